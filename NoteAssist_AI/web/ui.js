/** Small components that all screens use. */
import { h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import htm from "htm";
import { t } from "page/i18n.js";

export const html = htm.bind(h);

/** Messages at the edge of the page, the newest last: `{id, kind, text, undo}`. */
export const toasts = signal([]);
let lastToast = 0;

const TOAST_MS = 7000;
const UNDO_MS = 15_000;

/** Show a message; `undo` can be called while the message is shown. */
export function toast(text, kind = "info", undo = null) {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text, undo }];
  setTimeout(() => dropToast(id), undo ? UNDO_MS : TOAST_MS);
}

function dropToast(id) {
  toasts.value = toasts.value.filter((it) => it.id !== id);
}

/** The text of a problem for the user: a translated text for its code, if there is one. */
export function sayProblem(problem) {
  const wait = problem.retryAfter ? ` ${t("retryIn", { seconds: problem.retryAfter })}` : "";
  const known = t(`problem.${problem.code}`);
  const text = known === `problem.${problem.code}` ? problem.detail ?? String(problem) : known;
  const fields = (problem.errors ?? []).map((error) => error.detail).join(" ");
  return `${text}${fields ? ` ${fields}` : ""}${wait}`;
}

/** Run a button's action; a problem is shown as a message. Returns whether it succeeded. */
export async function attempt(task) {
  try {
    await task();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") toast(sayProblem(error), "error");
    return false;
  }
}

/** A function that queues tasks and runs them one after another. */
export function inTurn() {
  let last = Promise.resolve();
  return (task) => (last = last.then(task, task));
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(({ id, kind, text, undo }) => html`<p key=${id} class="toast ${kind}">${text}
      ${undo && html`<${Action} class="small" run=${async () => { dropToast(id); await undo(); }}>${t("undo")}<//>`}</p>`)}
  </div>`;
}

/** A button that is disabled while its action runs. */
export function Action({ run, children, class: name = "", disabled = false, ...rest }) {
  const [isBusy, setBusy] = useState(false);
  const press = async () => {
    setBusy(true);
    await attempt(run);
    setBusy(false);
  };
  return html`<button type="button" class=${name} disabled=${isBusy || disabled} onClick=${press} ...${rest}>${children}</button>`;
}

export function Field({ label, error, hint, ...input }) {
  return html`<label class="field">
    <span>${label}</span>
    <input ...${input} aria-invalid=${error ? "true" : undefined} />
    ${hint && html`<small>${hint}</small>`}
    ${error && html`<small class="wrong">${error}</small>`}
  </label>`;
}

/** A form that shows the problem of its request, also next to the fields: `children(problem)`. */
export function Form({ send, label, children, class: name = "" }) {
  const [problem, setProblem] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const form = event.currentTarget;
    setBusy(true);
    setProblem(null);
    try {
      await send(Object.fromEntries(new FormData(form)), form);
    } catch (error) {
      setProblem(error);
    }
    setBusy(false);
  };
  return html`<form class="form ${name}" onSubmit=${submit}>
    ${children(problem)}
    ${problem && html`<p class="wrong" role="alert">${sayProblem({ ...problem, errors: [] })}</p>`}
    <button class="primary" disabled=${isBusy}>${label}</button>
  </form>`;
}

/** A modal dialog. The browser keeps the focus inside. */
export function Dialog({ title, onClose, wide, children }) {
  const ref = useRef(null);
  useEffect(() => { ref.current.showModal(); }, []);
  return html`<dialog ref=${ref} class=${wide ? "wide" : ""} aria-label=${title} onClose=${onClose}>
    <header><h2>${title}</h2>
      <button type="button" class="quiet" aria-label=${t("close")} onClick=${() => ref.current.close()}>✕</button>
    </header>
    ${children}
  </dialog>`;
}

/** Save a response as a file. It was fetched, as a link cannot send the token. */
export async function saveAs(response, fallback) {
  const name = /filename="?([^";]+)/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? fallback;
  const url = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const loaded = new Map();

/** A component whose module is loaded when it is first shown; later it is shown at once. */
export function Later({ load, name, isQuiet, ...props }) {
  const [, setLast] = useState(null); // to render again
  const component = loaded.get(name); // another screen may take the same place
  useEffect(() => {
    if (component) return;
    attempt(async () => {
      loaded.set(name, (await load())[name]);
      setLast(name);
    });
  }, [name]);
  if (component) return html`<${component} ...${props} />`;
  return isQuiet ? null : html`<p class="loading">${t("loading")}</p>`;
}
