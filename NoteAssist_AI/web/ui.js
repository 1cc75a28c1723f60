/** Small parts that all screens use. */
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

/** Say something; `undo` takes back what was done, as long as the message stands there. */
export function toast(text, kind = "info", undo = null) {
  const id = ++lastToast;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text, undo }];
  setTimeout(() => dropToast(id), undo ? UNDO_MS : TOAST_MS);
}

function dropToast(id) {
  toasts.value = toasts.value.filter((it) => it.id !== id);
}

/** What a person should know of a problem. A program's code gets words of its own, where there are any. */
export function sayProblem(problem) {
  const wait = problem.retryAfter ? ` ${t("retryIn", { seconds: problem.retryAfter })}` : "";
  const known = t(`problem.${problem.code}`);
  const text = known === `problem.${problem.code}` ? problem.detail ?? String(problem) : known;
  const fields = (problem.errors ?? []).map((error) => error.detail).join(" ");
  return `${text}${fields ? ` ${fields}` : ""}${wait}`;
}

/** Run what a button starts; a problem becomes a toast. Returns whether it went well. */
export async function attempt(task) {
  try {
    await task();
    return true;
  } catch (error) {
    if (error.name !== "AbortError") toast(sayProblem(error), "error");
    return false;
  }
}

/** A function that runs tasks one after the other, however quickly they are asked for. */
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

/** A button that cannot be pressed again while what it started goes on. */
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

/** A form that shows the problem of what it sent, also beside the fields: `children(problem)`. */
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

/** A window over the page, until it is closed. The browser keeps the focus inside. */
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

/** Hand a response to the browser as a file. It was fetched, as a link could not send the token. */
export async function saveAs(response, fallback) {
  const name = /filename="?([^";]+)/.exec(response.headers.get("Content-Disposition") ?? "")?.[1] ?? fallback;
  const url = URL.createObjectURL(await response.blob());
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

const loaded = new Map();

/** Part of the page whose module is loaded when it is first shown; from then on it is there at once. */
export function Later({ load, name, isQuiet, ...props }) {
  const [, setLast] = useState(null); // renders it again
  const component = loaded.get(name); // one screen may follow another in the same place
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
