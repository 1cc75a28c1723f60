/** One topic: showing it, editing it in place, and AI tasks about it. */
import { useState } from "preact/hooks";
import { Ask } from "page/ai.js";
import { call } from "page/api.js";
import { Code } from "page/code.js";
import { Conflict } from "page/conflict.js";
import { drafts, dropDraft, keepDraft } from "page/drafts.js";
import { t } from "page/i18n.js";
import { takesFiles, useLinks } from "page/files/attachments.js";
import { handle, place } from "page/moving.js";
import { inOrder } from "page/notes.js";
import { Action, attempt, html, Later } from "page/ui.js";

const MARKDOWN = () => import("page/markdown.js");
const CARD_FORM = () => import("page/study/form.js");
const FIELDS = ["title", "explanation", "code", "code_language"];

/**
 * Write a topic, if it has not changed since `base` was read.
 *
 * A note and its parts have one version, so a 412 may be caused by another topic: then the write is sent again with the
 * new version. Returns null, or the current topic if there is a conflict.
 */
export async function saveTopic({ base, change, noteId, version }) {
  const path = `/api/topics/${base.id}/`;
  for (;;) {
    try {
      await call("PATCH", path, { body: change, ifMatch: `"${noteId}-${version}"` });
      return null;
    } catch (problem) {
      if (problem.status !== 412) throw problem;
      const now = await call("GET", path);
      if (FIELDS.some((field) => now[field] !== base[field])) return now;
      version = now.version;
    }
  }
}

/** `drop` handles drops on this topic; `up` and `down` move the topic by one position, if possible. */
export function Topic({ topic, note, reload, drop, up, down }) {
  const links = useLinks(note.value.id, topic.explanation);
  const [conflict, setConflict] = useState(null);
  const [isMakingCard, makeCard] = useState(false);
  const editing = drafts.value[topic.id];
  const edit = () => keepDraft(topic.id, { base: topic, version: note.value.version, change: {} });
  const close = () => dropDraft(topic.id);
  const remove = async () => {
    if (!confirm(t("confirmDelete", { title: topic.title }))) return;
    await inOrder(async () => {
      await call("DELETE", `/api/topics/${topic.id}/`);
      await reload();
    });
  };
  /** Save the editor's text or an AI answer; in a conflict the user chooses which text stays. */
  const save = (change, { base, version } = { base: topic, version: note.value.version }) => inOrder(async () => {
    const theirs = await saveTopic({ base, change, noteId: note.value.id, version });
    if (theirs) {
      setConflict({ mine: { ...base, ...change }, theirs, change });
      return;
    }
    await reload();
    close(); // only now: earlier, the user could edit the old text
    setConflict(null);
  });
  const keepTheirs = async () => {
    setConflict(null);
    close();
    await reload();
  };

  return html`<article class="topic" id=${`topic-${topic.id}`} tabindex="-1" aria-label=${topic.title} ...${place(drop)}>
    ${editing
      ? html`<${Editor} draft=${editing} noteId=${note.value.id} save=${(change) => save(change, editing)} cancel=${close} />`
      : html`<header><h4 dir="auto"><span class="handle" aria-hidden="true" title=${t("drag")} ...${handle({ id: topic.id, title: topic.title })}>⠿</span> ${topic.title}</h4>
          <span class="row">
            ${up && html`<${Action} class="quiet small" aria-label=${t("moveUp", { title: topic.title })} run=${up}>↑<//>`}
            ${down && html`<${Action} class="quiet small" aria-label=${t("moveDown", { title: topic.title })} run=${down}>↓<//>`}
            <button type="button" class="quiet small" onClick=${edit}>${t("edit")}</button>
            <button type="button" class="quiet small" onClick=${() => makeCard(true)}>${t("makeCard")}</button>
            ${topic.explanation && html`<a class="button quiet small" href=${`#/study/recall/${topic.id}`}>${t("recallTopic")}</a>`}
            <${Action} class="quiet danger small" run=${remove}>${t("delete")}<//>
          </span></header>
        ${topic.explanation ? html`<${Later} load=${MARKDOWN} name="Markdown" text=${topic.explanation} links=${links} />` : html`<p class="hint">${t("noText")}</p>`}
        ${topic.code && html`<pre dir="ltr" tabindex="0" aria-label=${topic.code_language || t("code")}><${Code} text=${topic.code} language=${topic.code_language} /></pre>`}
        ${topic.sources.length > 0 && html`<ul class="sources">${topic.sources.map((it) => html`<li><a href=${safeUrl(it.url)} target="_blank" rel="noopener noreferrer">${it.title}</a></li>`)}</ul>`}
        <${Ask} topic=${topic} save=${save} reload=${reload} />`}
    ${isMakingCard && html`<${Later} load=${CARD_FORM} name="CardForm" card=${{ topic_id: topic.id, front: topic.title, tags: note.value.tags }}
      onClose=${() => makeCard(false)} />`}
    ${conflict && html`<${Conflict} mine=${conflict.mine} theirs=${conflict.theirs}
      keepMine=${() => save(conflict.change, { base: conflict.theirs, version: conflict.theirs.version })}
      keepTheirs=${keepTheirs} onClose=${() => setConflict(null)} />`}
  </article>`;
}

function safeUrl(url) {
  return /^https?:/i.test(url) ? url : undefined;
}

function Editor({ draft: { base, version, change }, noteId, save, cancel }) {
  const written = { ...base, ...change };
  /** Record a field's change; a field with its original value is not a change. */
  const onInput = ({ target: { name, value } }) => {
    const { [name]: _, ...others } = change;
    keepDraft(base.id, { base, version, change: value === base[name] ? others : { ...others, [name]: value } });
  };
  const submit = () => (Object.keys(change).length ? save(change) : cancel());
  const onKeyDown = (event) => {
    if (event.key === "Escape") cancel();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) attempt(submit);
  };
  return html`<form class="form editor" onInput=${onInput} onKeyDown=${onKeyDown} onSubmit=${(event) => { event.preventDefault(); attempt(submit); }}>
    <label class="field"><span>${t("title")}</span><input name="title" required maxlength="300" value=${written.title} dir="auto" /></label>
    <label class="field"><span>${t("text")}</span><textarea name="explanation" rows="10" maxlength="100000" value=${written.explanation} dir="auto" autofocus ...${takesFiles(noteId)} /></label>
    <label class="field"><span>${t("code")}</span><textarea name="code" rows="4" class="code" dir="ltr" spellcheck=${false} value=${written.code} /></label>
    <label class="field"><span>${t("codeLanguage")}</span><input name="code_language" maxlength="30" dir="ltr" value=${written.code_language} /></label>
    <div class="row"><${Action} class="primary" run=${submit}>${t("save")}<//>
      <button type="button" class="quiet" onClick=${cancel}>${t("cancel")}</button>
      <small class="hint">${t("editorKeys")} ${t("editorFiles")}</small></div>
  </form>`;
}
