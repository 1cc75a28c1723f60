/** The kept versions of a note: showing and restoring one. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { formatTime, t } from "page/i18n.js";
import { Action, attempt, Dialog, html, toast } from "page/ui.js";

export function Versions({ note, reload, onClose }) {
  const [page, setPage] = useState(null);
  const [shown, setShown] = useState(null);
  const path = `/api/notes/${note.id}/versions/`;
  useEffect(() => { attempt(async () => setPage(await call("GET", `${path}?page_size=50`))); }, []);
  const restore = async (version) => {
    await call("POST", `${path}${version}/restore/`, { ifMatch: `"${note.version}"` });
    toast(t("restored"), "success");
    onClose();
    await reload();
  };
  return html`<${Dialog} title=${t("versions")} onClose=${onClose} wide>
    ${page === null && html`<p class="loading">${t("loading")}</p>`}
    ${page?.results.length === 0 && html`<p class="hint">${t("noVersions")}</p>`}
    <ul class="plain">${page?.results.map(({ version, reason, created_at: time }) => html`<li class="row spread">
      <span>${version} · ${t(`reason.${reason}`)} · ${formatTime(time)}</span>
      <span class="row">
        <${Action} class="quiet small" run=${async () => setShown(await call("GET", `${path}${version}/?against=current`))}>${t("show")}<//>
        <${Action} class="small" run=${() => restore(version)}>${t("restore")}<//>
      </span></li>`)}</ul>
    ${shown && html`<section class="difference" aria-live="polite"><h3>${t("restoreWould")}</h3>
      ${shown.diff.length === 0 && html`<p class="hint">${t("noDifference")}</p>`}
      <ul class="plain">${shown.diff.map((it) => html`<${Difference} entry=${it} />`)}</ul></section>`}
    ${shown && html`<section class="snapshot" aria-live="polite"><h3 dir="auto">${shown.version} · ${shown.snapshot.title}</h3>
      ${shown.snapshot.chapters.map((chapter) => html`<h4 dir="auto">${chapter.title}</h4>
        ${chapter.topics.map((topic) => html`<b dir="auto">${topic.title}</b><pre dir="auto" tabindex="0">${topic.explanation}${topic.code && `\n\n${topic.code}`}</pre>`)}`)}</section>`}
  <//>`;
}

/** One difference: the removed and added words of a replaced text, otherwise the whole text. */
function Difference({ entry: { field, op, before, after, words } }) {
  const asText = (value) => (Array.isArray(value) ? value.join(", ") : value.trim());
  return html`<li><small>${t(`field.${field}`)} · ${t(`op.${op}`)}</small>
    ${op === "move" ? null : html`<p class="words" dir="auto">${words
      ? words.map(([how, text]) => (how === "equal" ? text : how === "delete" ? html`<del>${text}</del>` : html`<ins>${text}</ins>`))
      : html`${before !== null && html`<del>${asText(before)}</del>`} ${after !== null && html`<ins>${asText(after)}</ins>`}`}</p>`}</li>`;
}
