/** One note with its chapters and topics. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { STATUSES } from "page/list.js";
import { moveChapter, moveTopic, place } from "page/moving.js";
import { loadTags, showInList, trashNote } from "page/notes.js";
import { go } from "page/router.js";
import { Topic } from "page/topic.js";
import { Action, attempt, html, Later, sayProblem, toast } from "page/ui.js";

const VERSIONS = () => import("page/versions.js");
const OUTLINE = () => import("page/outline.js");
const PASSAGE = () => import("page/passage.js");
const QUIZ_FORM = () => import("page/study/quizform.js");
const SHARE = () => import("page/files/share.js");
const EXPORT = () => import("page/files/export.js");

/** `topicId`, `blockId`: the topic to begin with, and the passage in it, if any. */
export function NoteScreen({ id, topicId, blockId }) {
  const note = useSignal(null);
  const problem = useSignal(null);
  const [hasVersions, showVersions] = useState(false);
  const [hasOutline, showOutline] = useState(false);
  const [isSharing, share] = useState(false);
  const [isQuizzing, quiz] = useState(false);

  const load = async () => {
    try {
      problem.value = null;
      note.value = await call("GET", `/api/notes/${id}/`);
    } catch (error) {
      problem.value = error;
    }
  };
  /** After any write: chapters and topics carry their note's version, so the note is read again. */
  const reload = async () => {
    await load();
    if (note.value) showInList(note.value);
  };
  useEffect(() => { load(); }, []);
  const isLoaded = note.value !== null;
  useEffect(() => {
    if (!isLoaded || !topicId) return;
    document.getElementById(`topic-${topicId}`)?.focus();
    if (blockId) attempt(async () => (await PASSAGE()).showPassage(topicId, blockId));
  }, [isLoaded, topicId, blockId]);

  if (problem.value) return html`<section class="note"><${Back} /><p class="wrong" role="alert">${sayProblem(problem.value)}</p>
    <button onClick=${load}>${t("tryAgain")}</button></section>`;
  if (!note.value) return html`<section class="note"><p class="loading">${t("loading")}</p></section>`;
  const { title, chapters, version } = note.value;
  const trash = async () => {
    await trashNote(note.value);
    go("/");
  };
  return html`<section class="note" aria-label=${title}>
    <header class="note-head">
      <${Back} />
      <${Title} note=${note} reload=${reload} />
      <${Facts} note=${note} reload=${reload} />
      <div class="row">
        <button type="button" class="quiet" aria-expanded=${hasOutline} onClick=${() => showOutline(!hasOutline)}>${t("outline")}</button>
        <button type="button" class="quiet" onClick=${() => showVersions(true)}>${t("versions")}</button>
        <button type="button" class="quiet" onClick=${() => quiz(true)}>${t("quiz")}</button>
        <button type="button" class="quiet" onClick=${() => share(true)}>${t("share")}</button>
        <${Action} class="quiet" run=${async () => (await EXPORT()).exportMarkdown(note.value)}>${t("asMarkdown")}<//>
        <${Action} class="quiet" run=${async () => (await EXPORT()).exportPdf(note.value)}>${t("asPdf")}<//>
        <${Action} class="quiet danger" run=${trash}>${t("toTrash")}<//>
      </div>
      ${hasOutline && html`<div class="card"><${Later} key=${version} load=${OUTLINE} name="Outline" noteId=${id} /></div>`}
    </header>
    ${chapters.map((chapter) => html`<${Chapter} key=${chapter.id} chapter=${chapter} note=${note} reload=${reload} />`)}
    ${chapters.length === 0 && html`<p class="hint">${t("noChapters")}</p>`}
    <${Add} label=${t("newChapter")} create=${async (name) => {
      await call("POST", "/api/chapters/", { body: { note: id, title: name }, key: newKey() });
      await reload();
    }} />
    ${isQuizzing && html`<${Later} load=${QUIZ_FORM} name="QuizForm" scope=${{ label: title, body: { note_ids: [id] } }} onClose=${() => quiz(false)} />`}
    ${isSharing && html`<${Later} load=${SHARE} name="Share" note=${note.value} onClose=${() => share(false)} />`}
    ${hasVersions && html`<${Later} load=${VERSIONS} name="Versions" note=${note.value} key=${version}
      reload=${reload} onClose=${() => showVersions(false)} />`}
  </section>`;
}

const Back = () => html`<a class="back" href="#/">‹ ${t("notes")}</a>`;

async function renameChapter({ chapter, title, note, reload }) {
  try {
    await call("PATCH", `/api/chapters/${chapter.id}/`, { body: { title }, ifMatch: `"${note.id}-${note.version}"` });
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    toast(t("noteChangedElsewhere"), "error");
  }
  await reload();
}

/** Send a change of the note's own fields, unless it has changed since it was read. */
async function patchNote(note, change, reload) {
  try {
    note.value = await call("PATCH", `/api/notes/${note.value.id}/`, { body: change, ifMatch: `"${note.value.version}"` });
    showInList(note.value);
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    await reload();
    toast(t("noteChangedElsewhere"), "error");
  }
}

function Title({ note, reload }) {
  const save = (event) => {
    const title = event.target.value.trim();
    if (title && title !== note.value.title) attempt(() => patchNote(note, { title }, reload));
  };
  return html`<h2><input class="title" aria-label=${t("title")} value=${note.value.title} maxlength="300" dir="auto" onChange=${save} /></h2>`;
}

function Facts({ note, reload }) {
  const patch = (change) => attempt(() => patchNote(note, change, reload));
  const saveTags = async (event) => {
    const tags = event.target.value.split(",").map((it) => it.trim()).filter(Boolean);
    if (await patch({ tags })) attempt(loadTags);
  };
  return html`<div class="facts">
    <select aria-label=${t("status")} value=${note.value.status} onChange=${(event) => patch({ status: event.target.value })}>
      ${STATUSES.map((it) => html`<option value=${it}>${t(it)}</option>`)}
    </select>
    <input aria-label=${t("tags")} placeholder=${t("tagsHint")} value=${note.value.tags.join(", ")} dir="auto" onChange=${saveTags} />
  </div>`;
}

function Chapter({ chapter, note, reload }) {
  const { chapters } = note.value;
  const index = chapters.findIndex((it) => it.id === chapter.id);
  const remove = async () => {
    if (!confirm(t("confirmDelete", { title: chapter.title }))) return;
    await call("DELETE", `/api/chapters/${chapter.id}/`);
    await reload();
  };
  const rename = (event) => {
    const title = event.target.value.trim();
    if (title && title !== chapter.title) attempt(() => renameChapter({ chapter, title, note: note.value, reload }));
  };
  const move = (step) => () => moveChapter({ chapter, from: index, to: index + step, reload });
  /** Put the topic that was dragged before or after the one at `order`, in whichever chapter it was. */
  const drop = (order) => (dragged, isAfter) => attempt(async () => {
    const home = chapters.find((it) => it.topics.some((topic) => topic.id === dragged.id));
    if (!home) return; // it was dragged here from another window's note
    const from = { chapter: home.id, order: home.topics.findIndex((it) => it.id === dragged.id) };
    let target = order + (isAfter ? 1 : 0);
    if (home.id === chapter.id && from.order < target) target -= 1; // its old place closes
    if (home.id === chapter.id && from.order === target) return;
    await moveTopic({ topic: dragged, from, to: { chapter: chapter.id, order: target }, reload });
  });
  /** How a topic goes up or down by one place, also into the chapter beside; false at the note's ends. */
  const step = (topic, order, by) => {
    const beside = chapters[index + by];
    const isInside = order + by in chapter.topics;
    if (!isInside && !beside) return false;
    const to = isInside ? { chapter: chapter.id, order: order + by } : { chapter: beside.id, order: by < 0 ? beside.topics.length : 0 };
    return () => moveTopic({ topic, from: { chapter: chapter.id, order }, to, reload });
  };
  return html`<section class="chapter" aria-label=${chapter.title}>
    <header ...${place((dragged) => drop(0)(dragged, false))}><h3><input class="title" aria-label=${t("field.chapter")} value=${chapter.title} maxlength="300" dir="auto" onChange=${rename} /></h3>
      <span class="row">
        ${index > 0 && html`<${Action} class="quiet small" aria-label=${t("moveUp", { title: chapter.title })} run=${move(-1)}>↑<//>`}
        ${index < chapters.length - 1 && html`<${Action} class="quiet small" aria-label=${t("moveDown", { title: chapter.title })} run=${move(1)}>↓<//>`}
        <${Action} class="quiet danger small" run=${remove}>${t("delete")}<//>
      </span></header>
    ${chapter.topics.map((topic, order) => html`<${Topic} key=${topic.id} topic=${topic} note=${note} reload=${reload} drop=${drop(order)}
      up=${step(topic, order, -1)} down=${step(topic, order, 1)} />`)}
    <${Add} label=${t("newTopic")} create=${async (title) => {
      await call("POST", "/api/topics/", { body: { chapter: chapter.id, title }, key: newKey() });
      await reload();
    }} />
  </section>`;
}

function Add({ label, create }) {
  const input = useRef(null);
  const add = async () => {
    const title = input.current.value.trim();
    if (!title) return input.current.focus();
    await create(title);
    input.current.value = "";
  };
  return html`<form class="row add" onSubmit=${(event) => { event.preventDefault(); attempt(add); }}>
    <input ref=${input} aria-label=${label} placeholder=${label} maxlength="300" dir="auto" />
    <button aria-label=${`${t("create")}: ${label}`}>+</button>
  </form>`;
}
