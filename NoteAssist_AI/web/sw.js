/**
 * The service worker: it stores the client's files for offline use, and no responses of the API.
 *
 * With a network, every file is loaded from it (or from the browser's own cache, by the file's hashed name), so users
 * see the new client after a deploy. `SHELL.version` is a hash of all files, so it changes when one of them does. The
 * files of one version are stored together. Those of the previous version are kept, too: a tab that was opened before
 * the deploy may request a file that the deploy removed.
 */
/* global SHELL, clients, skipWaiting */
const { version, files } = SHELL; // the server prepends it
const VERSIONS_KEPT = 2;

addEventListener("install", (event) => {
  event.waitUntil(caches.open(version).then((cache) => cache.addAll(files)).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([forgetOld(), clients.claim()]));
});

async function forgetOld() {
  const oldest = (await caches.keys()).filter((name) => name !== version).slice(0, 1 - VERSIONS_KEPT);
  await Promise.all(oldest.map((name) => caches.delete(name)));
}

addEventListener("fetch", (event) => {
  const { pathname, origin } = new URL(event.request.url);
  const isOurs = pathname === "/" || pathname.startsWith("/static/web/");
  if (isOurs && origin === location.origin && event.request.method === "GET") event.respondWith(fromNetwork(event.request, pathname));
});

async function fromNetwork(request, pathname) {
  try {
    const response = await fetch(request);
    return response.status === 404 ? (await kept(pathname)) ?? response : response;
  } catch (error) {
    const file = await kept(pathname);
    if (file) return file;
    throw error;
  }
}

/** The stored file of this version, or of the previous one. */
async function kept(pathname) {
  return (await (await caches.open(version)).match(pathname)) ?? caches.match(pathname);
}
