/**
 * The log of reviews: each is stored in the browser first, and sent a moment later, or when the network is back.
 *
 * The client chooses a review's id, so that the server records it once even if it is sent again. A stored review has
 * its user's id, and is never sent for another user.
 */
import { signal } from "@preact/signals";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { user } from "page/session.js";
import { all, put, remove } from "page/store.js";
import { attempt, toast } from "page/ui.js";

const SEND_MS = 1500; // so that quick reviews are one request, and a mistake can be undone before it is sent
const AGAIN_MS = 30_000;
const BATCH = 100;

/** How many reviews of this user have not been sent yet. */
export const waiting = signal(0);
let timer = null;

async function mine() {
  const kept = await all("reviews");
  return kept.filter((it) => it.userId === user.value?.id).sort((a, b) => a.reviewed_at.localeCompare(b.reviewed_at));
}

/** The ids of the cards whose reviews have not been sent. */
export async function cardsWaiting() {
  return new Set((await mine()).map((it) => it.card_id));
}

export async function record(review) {
  await put("reviews", review.id, { ...review, userId: user.value.id });
  waiting.value += 1;
  sendIn(SEND_MS);
}

/** Undo a review: before sending it is dropped, after that it is undone at the server. */
export async function undo(id) {
  const wasKept = (await mine()).some((it) => it.id === id);
  if (!wasKept) return call("POST", `/api/study/reviews/${id}/undo/`);
  await remove("reviews", id);
  waiting.value -= 1;
  return null;
}

function sendIn(milliseconds) {
  clearTimeout(timer);
  timer = setTimeout(() => attempt(send), milliseconds);
}

/** Send the stored reviews. Only one tab sends at a time. */
export function send() {
  clearTimeout(timer);
  return navigator.locks ? navigator.locks.request("noteassist.reviews", sendAll) : sendAll();
}

async function sendAll() {
  for (let reviews = await mine(); reviews.length > 0; reviews = await mine()) {
    const batch = reviews.slice(0, BATCH).map(({ userId: _, ...review }) => review);
    try {
      const { results } = await call("POST", "/api/study/reviews/", { body: { reviews: batch } });
      await Promise.all(batch.map(({ id }) => remove("reviews", id)));
      const rejected = results.filter((it) => it.outcome === "rejected").length;
      if (rejected) toast(t("reviewsRejected", { count: rejected }), "error");
    } catch (problem) {
      waiting.value = reviews.length;
      if (problem.status !== 0 && !problem.retryAfter) throw problem;
      return sendIn(problem.retryAfter * 1000 || AGAIN_MS);
    }
  }
  waiting.value = 0;
}

addEventListener("online", () => { if (user.value) attempt(send); });
