/** The signed-in user; signing in and out. */
import { effect, signal } from "@preact/signals";
import { call, callPublic, forgetTokens, isSignedIn, keepTokens } from "page/api.js";
import { forgetDrafts } from "page/drafts.js";
import { t } from "page/i18n.js";
import { go } from "page/router.js";
import { all, clear, get, put } from "page/store.js";

/** The signed-in user; null until that is known. */
export const user = signal(null);

const { demoEmail, demoPassword } = document.documentElement.dataset;
/** The demo login, in development only. */
export const demo = demoEmail ? { email: demoEmail, password: demoPassword } : null;

let lastId = null; // the id of the user who was signed in before, in this tab

effect(() => {
  if (!isSignedIn.value) user.value = null;
});

// After a session has ended, the same user finds the open screen again; another user begins at the list.
effect(() => {
  const id = user.value?.id ?? lastId;
  if (lastId !== null && lastId !== id) forgetAll();
  lastId = id;
});

export async function signIn(credentials) {
  enter(await callPublic("POST", "/api/auth/login/", credentials));
}

export async function register(details) {
  enter(await callPublic("POST", "/api/auth/register/", details));
}

function enter(answer) {
  user.value = answer.user;
  keepTokens(answer);
}

/** Restore the user of the stored session after a reload; offline, the last known user. */
export async function loadUser() {
  try {
    user.value = await call("GET", "/api/users/me/");
    await put("kept", "user", user.value);
  } catch (problem) {
    if (problem.status !== 0) throw problem;
    user.value = (await get("kept", "user")) ?? null;
  }
}

/** Delete all data of the user in this browser. */
export async function leave() {
  forgetTokens();
  forgetAll();
  await Promise.all([clear("kept"), clear("reviews")]);
}

function forgetAll() {
  forgetDrafts();
  go("/");
}

/** Sign out, even if the server does not respond. Unsent reviews would be lost, so they are sent first. */
export async function signOut() {
  const { length: unsent } = await all("reviews");
  if (unsent) {
    const { send } = await import("page/study/log.js");
    await send();
    const { length: left } = await all("reviews");
    if (left && !confirm(t("confirmLosing", { count: left }))) return;
  }
  try {
    await call("POST", "/api/auth/logout/");
  } finally {
    await leave();
  }
}

/** Change the password. All other sessions end; this one continues with the new tokens. */
export async function changePassword(passwords) {
  keepTokens(await call("POST", "/api/auth/password/change/", { body: passwords }));
}

export async function deleteAccount(password) {
  await call("POST", "/api/users/me/delete/", { body: { password } });
  await leave();
}
