/** The due cards, one after another. They are stored in the browser for offline use. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { call } from "page/api.js";
import { formatSpan, t } from "page/i18n.js";
import { Markdown } from "page/markdown.js";
import { addressOfTopic } from "page/notes.js";
import { go } from "page/router.js";
import { user } from "page/session.js";
import { get, put } from "page/store.js";
import { cardsWaiting, record, send, undo, waiting } from "page/study/log.js";
import { sidesOf } from "page/study/sides.js";
import { Action, attempt, html, inTurn, sayProblem } from "page/ui.js";

const RATINGS = ["again", "hard", "good", "easy"];
const LIMIT = 100;

/** `{counts, results}` of the API without the cards answered since; `isKept` if it comes from the browser's store. */
const queue = signal(null);
/** The last review, which can be undone: `{id, card}`. */
const last = signal(null);

const inOrder = inTurn(); // quick key presses must not overtake requests to the server

async function load() {
  await send();
  try {
    await show({ ...(await call("GET", `/api/study/due/?limit=${LIMIT}`)), isKept: false });
  } catch (problem) {
    if (problem.status !== 0) throw problem;
    const kept = await get("kept", "due");
    if (kept?.userId !== user.value?.id) throw problem;
    const answered = await cardsWaiting();
    queue.value = { ...kept, results: kept.results.filter((it) => !answered.has(it.id)), isKept: true };
  }
}

async function show(due) {
  queue.value = due;
  await put("kept", "due", { ...due, userId: user.value.id });
}

async function rate(card, rating, startedAt) {
  const review = {
    id: newId(),
    card_id: card.id,
    face: card.face,
    rating,
    reviewed_at: new Date().toISOString(),
    duration_ms: Math.min(Math.round(performance.now() - startedAt), 600_000),
  };
  await record(review);
  last.value = { id: review.id, card };
  const { results, counts } = queue.value;
  await show({ ...queue.value, results: results.slice(1), counts: { ...counts, [kindOf(card)]: Math.max(0, counts[kindOf(card)] - 1) } });
  if (queue.value.results.length === 0 && !queue.value.isKept) await load(); // learning cards may be due again
}

async function takeBack() {
  if (!last.value) return;
  const { id, card } = last.value;
  await undo(id);
  last.value = null;
  const { results, counts } = queue.value;
  await show({ ...queue.value, results: [card, ...results], counts: { ...counts, [kindOf(card)]: counts[kindOf(card)] + 1 } });
}

/** The name of the count to which a card belongs. */
function kindOf({ faces, face }) {
  const { state } = faces.find((it) => it.n === face);
  return state === "relearning" ? "learning" : state;
}

/** A random UUID, also without https. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

export function Due() {
  const [problem, setProblem] = useState(null);
  const start = () => inOrder(load).then(() => setProblem(null), setProblem);
  const undoLast = () => inOrder(takeBack);
  useEffect(() => {
    queue.value = null;
    last.value = null;
    start();
    const onKeyDown = (event) => { if (event.key.toLowerCase() === "u" && isForUs(event)) attempt(undoLast); };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
  if (problem) return html`<p class="wrong" role="alert">${sayProblem(problem)} <button class="link" onClick=${start}>${t("tryAgain")}</button></p>`;
  if (!queue.value) return html`<p class="loading">${t("loading")}</p>`;
  const { counts, results, isKept } = queue.value;
  return html`<p class="row spread" role="status">
      <span>${["new", "learning", "review"].map((it) => html`<span class="badge">${t(`due.${it}`, { count: counts[it] })}</span> `)}</span>
      ${last.value && html`<${Action} class="small quiet" run=${undoLast}>${t("undo")} <kbd>U</kbd><//>`}
    </p>
    ${isKept && html`<p class="notice">${t("studyOffline")}</p>`}
    ${waiting.value > 0 && html`<p class="hint">${t("reviewsWaiting", { count: waiting.value })}</p>`}
    ${results.length > 0
      ? html`<${Asked} key=${`${results[0].id}-${results[0].face}-${results[0].reps}`} card=${results[0]} />`
      : html`<section class="card"><p>${t(isKept ? "nothingDueOffline" : "nothingDue")}</p>
          <${Action} run=${start}>${t("tryAgain")}<//></section>`}`;
}

/** Whether a key press is for this screen: not while the user types, and not with a browser shortcut. */
function isForUs({ target, ctrlKey, metaKey, altKey }) {
  return !target.closest("input, textarea, select, dialog") && !ctrlKey && !metaKey && !altKey;
}

/** One card: its question, then its answer and the rating. */
function Asked({ card }) {
  const [isShown, show] = useState(false);
  const startedAt = useRef(performance.now());
  const focus = useRef(null);
  const isRated = useRef(false);
  const press = async (rating) => {
    if (isRated.current) return; // two quick key presses count once
    isRated.current = true;
    await inOrder(() => rate(card, rating, startedAt.current));
  };
  useLayoutEffect(() => { focus.current?.focus(); }, [isShown]); // before painting, so that Space goes to it
  useLayoutEffect(() => { // before the next key press, which may follow at once
    const onKeyDown = (event) => {
      if (!isForUs(event)) return;
      const rating = isShown && RATINGS[Number(event.key) - 1];
      if (rating) attempt(() => press(rating));
      else if (event.key === " " && !event.target.closest("button, a, summary")) {
        event.preventDefault();
        if (isShown) attempt(() => press("good"));
        else show(true);
      }
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, [isShown]);
  const { question, answer } = sidesOf(card, card.face);
  return html`<article class="card asked" aria-label=${t("card")}>
    <${Markdown} text=${question} />
    ${isShown
      ? html`<section class="answer-side" ref=${focus} tabindex="-1" aria-label=${t("answer")}><hr /><${Markdown} text=${answer} /></section>
        <div class="ratings" role="group" aria-label=${t("howWell")}>
          ${RATINGS.map((it, index) => html`<${Action} class=${it} run=${() => press(it)}>
            <b>${t(`rating.${it}`)}</b> <small>${formatSpan(card.next[it])}</small> <kbd>${index + 1}</kbd><//>`)}
        </div>`
      : html`<button type="button" class="primary show" ref=${focus} onClick=${() => show(true)}>${t("showAnswer")}</button>`}
    <p class="row">${card.stale && html`<span class="notice">${t("stale")}</span>`}
      ${card.topic_id && !card.orphan && html`<${Action} class="small quiet" run=${async () => go(`${await addressOfTopic(card.topic_id)}/${card.block_id ?? ""}`)}>${t("openNote")}<//>`}
      ${card.tags.map((it) => html`<small class="badge" dir="auto">${it}</small>`)}</p>
  </article>`;
}
