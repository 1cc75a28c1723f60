/**
 * Calls of the API.
 *
 * The access token is kept only in memory. The refresh token is in localStorage, which all tabs share; sign-out removes
 * it. Each refresh replaces it, so only one tab refreshes at a time (Web Locks), and reads the stored token under the lock.
 */
import { signal } from "@preact/signals";

const STORED = "noteassist.refresh";
const TIMEOUT_MS = 30_000;
const FILE_MS = 600_000;

let access = "";
let refreshing = null;

/** Whether there is a session, as far as this browser knows. */
export const isSignedIn = signal(localStorage.getItem(STORED) !== null);

/** Called for each response: `(method, path, response, milliseconds)`. The panel "under the hood" adds itself. */
export const observers = new Set();

addEventListener("storage", (event) => {
  if (event.key !== STORED && event.key !== null) return;
  access = ""; // another tab has signed out, or signed in another user
  isSignedIn.value = localStorage.getItem(STORED) !== null;
});

/** An error response of the API (problem+json); `status` is 0 if there was no response. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail);
    Object.assign(this, { status, code: body.code, detail: body.detail, errors: body.errors ?? [], retryAfter });
  }

  /** The error of one field, such as "/email". */
  of(pointer) {
    return this.errors.filter((error) => error.pointer === pointer).map((error) => error.detail).join(" ");
  }
}

export function keepTokens(pair) {
  access = pair.access;
  localStorage.setItem(STORED, pair.refresh);
  isSignedIn.value = true;
}

export function forgetTokens() {
  access = "";
  localStorage.removeItem(STORED);
  isSignedIn.value = false;
}

/** A random idempotency key: a request that is sent twice creates only one thing. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Send a request without a token: signing in and registering. */
export async function callPublic(method, path, body) {
  return read(await send(method, path, { body }));
}

/**
 * Send a request as the signed-in user; return the response's JSON, or null if it has no body.
 *
 * Options: `body`, `form` (FormData with a file), `ifMatch` (a quoted version), `key` (Idempotency-Key), `language` (of the
 * text), `signal` (to abort it), `raw` (return the response itself). Uploads and downloads have no time-out.
 * Throws `Problem`; an AbortError if it was aborted.
 */
export async function call(method, path, options = {}) {
  if (!access) await refresh();
  let response = await send(method, path, options);
  if (response.status === 401) {
    await refresh();
    response = await send(method, path, options);
  }
  return options.raw && response.ok ? response : read(response);
}

function refresh() {
  refreshing ??= inOneTab(async () => {
    const stored = localStorage.getItem(STORED);
    if (stored === null) throw signedOut();
    const response = await send("POST", "/api/auth/refresh/", { body: { refresh: stored } });
    if (response.status === 401) throw signedOut();
    keepTokens(await read(response));
  }).finally(() => { refreshing = null; });
  return refreshing;
}

function inOneTab(task) {
  // Browsers have locks only on https and on localhost. Without them the API helps: for ten seconds it exchanges the
  // previous refresh token for the current pair.
  return navigator.locks ? navigator.locks.request(STORED, task) : task();
}

function signedOut() {
  forgetTokens();
  return new Problem(401, { code: "signed_out", detail: "You are signed out." });
}

async function send(method, path, { body, form, ifMatch, key, language, signal, raw } = {}) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (ifMatch) headers["If-Match"] = ifMatch;
  if (key) headers["Idempotency-Key"] = key;
  if (language) headers["Accept-Language"] = language;
  if (access) headers.Authorization = `Bearer ${access}`;
  const timeout = AbortSignal.timeout(raw || form ? FILE_MS : TIMEOUT_MS);
  const startedAt = performance.now();
  try {
    const response = await fetch(path, {
      method,
      headers,
      body: form ?? (body === undefined ? undefined : JSON.stringify(body)), // the browser sets the form's content type
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      credentials: "omit", // the API uses no cookies
    });
    for (const observer of observers) observer(method, path, response, performance.now() - startedAt);
    return response;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "no_answer", detail: "The server cannot be reached." });
  }
}

async function read(response) {
  if (response.status === 204) return null;
  if (response.ok) return response.json();
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const body = isProblem ? await response.json() : { code: "error", detail: response.statusText };
  throw new Problem(response.status, body, Number(response.headers.get("Retry-After")) || 0);
}
