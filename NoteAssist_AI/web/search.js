/** Search as the user types: the matches with marked words, and their common tags and statuses. */
import { useEffect, useRef } from "preact/hooks";
import { signal } from "@preact/signals";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { TYPING_MS } from "page/pages.js";
import { html, sayProblem } from "page/ui.js";

/** The search text. It may contain tags and statuses, as in `pivot tag:algorithms`. */
export const query = signal("");
/** `{results, facets, capped}` of the API, null before the first response; `problem` after an error. */
const found = signal(null);

let request = null;
let timer = null;

/** Search after a pause in typing. */
export function search(text) {
  query.value = text;
  clearTimeout(timer);
  request?.abort();
  if (text.trim()) timer = setTimeout(ask, TYPING_MS);
  else found.value = null;
}

async function ask() {
  const mine = (request = new AbortController());
  const asked = new URLSearchParams({ q: query.value.trim(), facets: "true" });
  try {
    found.value = await call("GET", `/api/search/?${asked}`, { signal: mine.signal });
  } catch (problem) {
    if (problem.name === "AbortError" || mine !== request) return;
    found.value = { results: found.value?.results ?? [], problem };
    if (problem.retryAfter) timer = setTimeout(ask, problem.retryAfter * 1000); // the server says when to try again
  }
}

/** Text with its matches, from the API's HTML, in which everything but `<mark>` is escaped. */
function Marked({ snippet }) {
  const ref = useRef(null);
  useEffect(() => {
    const { body } = new DOMParser().parseFromString(snippet, "text/html");
    const pieces = [...body.childNodes].map((node) => {
      if (node.nodeName !== "MARK") return document.createTextNode(node.textContent);
      return Object.assign(document.createElement("mark"), { textContent: node.textContent });
    });
    ref.current.replaceChildren(...pieces);
  }, [snippet]);
  return html`<small ref=${ref} class="snippet" dir="auto"></small>`;
}

export function Found() {
  if (!found.value) return html`<p class="loading">${t("loading")}</p>`;
  const { results, facets, capped, problem } = found.value;
  const add = (word) => search(`${query.value.trim()} ${word}`);
  return html`${problem && html`<p class="wrong" role="alert">${sayProblem(problem)}</p>`}
    ${facets && html`<p class="tags facets">
      ${facets.tags.slice(0, 8).map(({ tag, count }) => html`<button type="button" class="small" onClick=${() => add(`tag:${quoted(tag)}`)}>${tag} ${count}</button>`)}
      ${Object.entries(facets.statuses).filter(([, count]) => count).map(([status, count]) => html`<button type="button" class="small" onClick=${() => add(`status:${status}`)}>${t(status)} ${count}</button>`)}
    </p>`}
    <ul aria-live="polite">${results.map((it) => html`<li key=${`${it.note_id}-${it.topic_id}`}>
      <a class="row-item" href=${`#/note/${it.note_id}${it.topic_id ? `/${it.topic_id}` : ""}`}><b dir="auto">${it.title}</b><${Marked} snippet=${it.snippet} /></a></li>`)}</ul>
    ${!problem && results.length === 0 && html`<p class="hint">${t("nothingFound")}</p>`}
    ${capped && html`<p class="hint">${t("searchCapped")}</p>`}`;
}

const quoted = (tag) => (/\s/.test(tag) ? `"${tag}"` : tag);

export function forgetSearch() {
  request?.abort();
  clearTimeout(timer);
  query.value = "";
  found.value = null;
}
