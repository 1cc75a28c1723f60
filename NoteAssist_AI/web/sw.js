/**
 * The service worker: it keeps the page for times without a network, and nothing that the API answers.
 *
 * While there is a network every file comes from there (or from the browser's own cache, by the file's hashed name), so
 * after a deploy nobody sees an old page. `SHELL.version` is a hash of the page and all its files, so it changes with
 * each deploy. The files of one version are kept together. Those of the version before are kept, too: a tab that was
 * opened before the deploy may ask for a file that the deploy took away.
 */
/* global SHELL, clients, skipWaiting */
const { version, files } = SHELL; // the server puts it above
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

/** Of this version, else of the one before. */
async function kept(pathname) {
  return (await (await caches.open(version)).match(pathname)) ?? caches.match(pathname);
}
