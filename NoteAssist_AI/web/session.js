/** Who is signed in, and the ways in and out. */
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

let lastId = null; // of who was signed in before, in this tab

effect(() => {
  if (!isSignedIn.value) user.value = null;
});

// Whoever comes back after a session ended finds what was open; somebody else begins at the list.
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

/** Who the stored session belongs to, after a reload. Without a network it is who the browser last knew. */
export async function loadUser() {
  try {
    user.value = await call("GET", "/api/users/me/");
    await put("kept", "user", user.value);
  } catch (problem) {
    if (problem.status !== 0) throw problem;
    user.value = (await get("kept", "user")) ?? null;
  }
}

/** Leave this browser without anything of the user's. */
export async function leave() {
  forgetTokens();
  forgetAll();
  await Promise.all([clear("kept"), clear("reviews")]);
}

function forgetAll() {
  forgetDrafts();
  go("/");
}

/** Leave this browser signed out, also if the server does not answer. Reviews that were not sent would be lost. */
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

/** All other sessions end with it; this one goes on with the new tokens. */
export async function changePassword(passwords) {
  keepTokens(await call("POST", "/api/auth/password/change/", { body: passwords }));
}

export async function deleteAccount(password) {
  await call("POST", "/api/users/me/delete/", { body: { password } });
  await leave();
}
