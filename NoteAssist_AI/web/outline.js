/** A note's outline, the links to it, and its state in the search for questions. Loaded when it is opened. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { attempt, html } from "page/ui.js";

export function Outline({ noteId }) {
  const [outline, setOutline] = useState(null);
  const [links, setLinks] = useState(null);
  const [indexing, setIndexing] = useState({ state: "off" });
  useEffect(() => {
    attempt(async () => setOutline(await call("GET", `/api/notes/${noteId}/outline/`)));
    attempt(async () => setLinks((await call("GET", `/api/notes/${noteId}/backlinks/?page_size=50`)).results));
    attempt(async () => setIndexing(await call("GET", `/api/notes/${noteId}/indexing/`)));
  }, []);
  if (!outline || !links) return html`<p class="loading">${t("loading")}</p>`;
  return html`<nav aria-label=${t("outline")}><${Entries} entries=${outline} noteId=${noteId} topicId=${null} /></nav>
    ${indexing.state !== "off" && html`<p class="hint">${t(`indexing.${indexing.state}`, { count: indexing.passages - indexing.skipped })}
      ${indexing.error && html` <span dir="auto">${indexing.error.detail}</span>`}</p>`}
    <h3>${t("backlinks")}</h3>
    ${links.length === 0 && html`<p class="hint">${t("noBacklinks")} <code dir="ltr">[[…]]</code></p>`}
    <ul>${links.map((it) => html`<li><a dir="auto" href=${`#/note/${it.note_id}/${it.topic_id}`}>${it.title}</a></li>`)}</ul>`;
}

/** Headings link to their topic. */
function Entries({ entries, noteId, topicId }) {
  return entries.length > 0 && html`<ul>${entries.map((it) => {
    const inside = it.type === "topic" ? it.id : topicId;
    return html`<li>${inside ? html`<a dir="auto" href=${`#/note/${noteId}/${inside}`}>${it.title}</a>` : html`<span dir="auto">${it.title}</span>`}
      <${Entries} entries=${it.children} noteId=${noteId} topicId=${inside} /></li>`;
  })}</ul>`;
}
