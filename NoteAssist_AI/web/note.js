/** One note with its chapters and topics. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { STATUSES } from "page/list.js";
import { moveChapter, moveTopic, place } from "page/moving.js";
import { inOrder, loadTags, showInList, trashNote } from "page/notes.js";
import { go, route } from "page/router.js";
import { Topic } from "page/topic.js";
import { Action, attempt, html, Later, sayProblem, toast } from "page/ui.js";

const VERSIONS = () => import("page/versions.js");
const OUTLINE = () => import("page/outline.js");
const PASSAGE = () => import("page/passage.js");
const QUIZ_FORM = () => import("page/study/quizform.js");
const SHARE = () => import("page/files/share.js");
const EXPORT = () => import("page/files/export.js");

/** `topicId`, `blockId`: the topic to show first, and the passage in it; both optional. */
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
  /** Called after any write: chapters and topics have their note's version, so the note is read again. */
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
    await inOrder(() => trashNote(note.value));
    if (route.value.id === id) go("/"); // unless the user has opened another note meanwhile
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
    <${Add} label=${t("newChapter")} create=${(name) => inOrder(async () => {
      await call("POST", "/api/chapters/", { body: { note: id, title: name }, key: newKey() });
      await reload();
    })} />
    ${isQuizzing && html`<${Later} load=${QUIZ_FORM} name="QuizForm" scope=${{ label: title, body: { note_ids: [id] } }} onClose=${() => quiz(false)} />`}
    ${isSharing && html`<${Later} load=${SHARE} name="Share" note=${note.value} onClose=${() => share(false)} />`}
    ${hasVersions && html`<${Later} load=${VERSIONS} name="Versions" note=${note.value} key=${version}
      reload=${reload} onClose=${() => showVersions(false)} />`}
  </section>`;
}

const Back = () => html`<a class="back" href="#/">‹ ${t("notes")}</a>`;

async function renameChapter({ chapter, title, note, reload }) {
  const { id, version } = note.value;
  try {
    await call("PATCH", `/api/chapters/${chapter.id}/`, { body: { title }, ifMatch: `"${id}-${version}"` });
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    toast(t("noteChangedElsewhere"), "error");
  }
  await reload();
}

/** Change the note's own fields, unless the note has changed since it was read. */
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

/** A field that keeps its text while the note is read again; `save` gets the text when the field loses the focus. */
function Kept({ value, save, ...input }) {
  const [written, write] = useState(null); // null while it is unchanged
  const done = async ({ target }) => {
    const text = target.value;
    if (await attempt(() => inOrder(() => save(text)))) write((now) => (now === text ? null : now));
  };
  return html`<input ...${input} value=${written ?? value} dir="auto" onInput=${({ target }) => write(target.value)} onChange=${done} />`;
}

function Title({ note, reload }) {
  const save = async (text) => {
    const title = text.trim();
    if (title && title !== note.value.title) await patchNote(note, { title }, reload);
  };
  return html`<h2><${Kept} class="title" aria-label=${t("title")} value=${note.value.title} maxlength="300" save=${save} /></h2>`;
}

function Facts({ note, reload }) {
  const setStatus = ({ target }) => attempt(() => inOrder(() => patchNote(note, { status: target.value }, reload)));
  const saveTags = async (text) => {
    await patchNote(note, { tags: text.split(",").map((it) => it.trim()).filter(Boolean) }, reload);
    await loadTags();
  };
  return html`<div class="facts">
    <select aria-label=${t("status")} value=${note.value.status} onChange=${setStatus}>
      ${STATUSES.map((it) => html`<option value=${it}>${t(it)}</option>`)}
    </select>
    <${Kept} aria-label=${t("tags")} placeholder=${t("tagsHint")} value=${note.value.tags.join(", ")} save=${saveTags} />
  </div>`;
}

function Chapter({ chapter, note, reload }) {
  const { chapters } = note.value;
  const index = chapters.findIndex((it) => it.id === chapter.id);
  const remove = async () => {
    if (!confirm(t("confirmDelete", { title: chapter.title }))) return;
    await inOrder(async () => {
      await call("DELETE", `/api/chapters/${chapter.id}/`);
      await reload();
    });
  };
  const rename = async (text) => {
    const title = text.trim();
    if (title && title !== chapter.title) await renameChapter({ chapter, title, note, reload });
  };
  const move = (step) => () => moveChapter({ chapter, from: index, to: index + step, reload });
  /** Move the dragged topic, of any chapter, before or after the one at `order`. */
  const drop = (order) => (dragged, isAfter) => attempt(async () => {
    const home = chapters.find((it) => it.topics.some((topic) => topic.id === dragged.id));
    if (!home) return; // it was dragged from another window's note
    const from = { chapter: home.id, order: home.topics.findIndex((it) => it.id === dragged.id) };
    let target = order + (isAfter ? 1 : 0);
    if (home.id === chapter.id && from.order < target) target -= 1; // its old position is removed
    if (home.id === chapter.id && from.order === target) return;
    await moveTopic({ topic: dragged, from, to: { chapter: chapter.id, order: target }, reload });
  });
  /** A function that moves a topic up or down by one, also into the next chapter; false at the note's ends. */
  const step = (topic, order, by) => {
    const beside = chapters[index + by];
    const isInside = order + by in chapter.topics;
    if (!isInside && !beside) return false;
    const to = isInside ? { chapter: chapter.id, order: order + by } : { chapter: beside.id, order: by < 0 ? beside.topics.length : 0 };
    return () => moveTopic({ topic, from: { chapter: chapter.id, order }, to, reload });
  };
  return html`<section class="chapter" aria-label=${chapter.title}>
    <header ...${place((dragged) => drop(0)(dragged, false))}><h3><${Kept} class="title" aria-label=${t("field.chapter")} value=${chapter.title} maxlength="300" save=${rename} /></h3>
      <span class="row">
        ${index > 0 && html`<${Action} class="quiet small" aria-label=${t("moveUp", { title: chapter.title })} run=${move(-1)}>↑<//>`}
        ${index < chapters.length - 1 && html`<${Action} class="quiet small" aria-label=${t("moveDown", { title: chapter.title })} run=${move(1)}>↓<//>`}
        <${Action} class="quiet danger small" run=${remove}>${t("delete")}<//>
      </span></header>
    ${chapter.topics.map((topic, order) => html`<${Topic} key=${topic.id} topic=${topic} note=${note} reload=${reload} drop=${drop(order)}
      up=${step(topic, order, -1)} down=${step(topic, order, 1)} />`)}
    <${Add} label=${t("newTopic")} create=${(title) => inOrder(async () => {
      await call("POST", "/api/topics/", { body: { chapter: chapter.id, title }, key: newKey() });
      await reload();
    })} />
  </section>`;
}

function Add({ label, create }) {
  const input = useRef(null);
  const add = async () => {
    const field = input.current;
    const title = field.value.trim();
    if (!title) return field.focus();
    await create(title);
    if (field.value.trim() === title) field.value = ""; // unless the user is typing the next title already
  };
  return html`<form class="row add" onSubmit=${(event) => { event.preventDefault(); attempt(add); }}>
    <input ref=${input} aria-label=${label} placeholder=${label} maxlength="300" dir="auto" />
    <button aria-label=${`${t("create")}: ${label}`}>+</button>
  </form>`;
}
