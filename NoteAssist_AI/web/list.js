/** The list of notes, next to the open note. */
import { useEffect, useRef, useState } from "preact/hooks";
import { call } from "page/api.js";
import { formatTime, t } from "page/i18n.js";
import { changeChosen, choose, chosen, createNote, emptyTrash, filter, loadTags, narrow, notes, restoreNote, tags } from "page/notes.js";
import { More } from "page/pages.js";
import { go, route } from "page/router.js";
import { Found, query, search } from "page/search.js";
import { Action, attempt, html, Later, sayProblem } from "page/ui.js";

const QUIZ_FORM = () => import("page/study/quizform.js");
export const STATUSES = ["draft", "published", "archived"];

export function NoteList({ isTrash }) {
  useEffect(() => { attempt(loadTags); }, []);
  useEffect(() => {
    if (filter.value.trash !== isTrash) filter.value = { ...filter.value, search: "", trash: isTrash };
    chosen.value = null;
    notes.load();
  }, [isTrash]);
  const isSearching = !isTrash && query.value.trim() !== "";
  return html`<section class="list" aria-label=${t(isTrash ? "trash" : "notes")}>
    <header><h1>${t(isTrash ? "trash" : "notes")}</h1>
      <span class="row">
        <button type="button" class="quiet" aria-pressed=${chosen.value !== null} onClick=${() => { chosen.value = chosen.value ? null : new Set(); }}>${t("choose")}</button>
        ${isTrash ? html`<a class="button" href="#/">${t("notes")}</a>` : html`<a class="button quiet" href="#/trash">${t("trash")}</a>`}
      </span>
    </header>
    ${!isTrash && html`<${NewNote} />`}
    <div class="filters" role="search">
      <${SearchField} isTrash=${isTrash} />
      ${!isSearching && html`<${Filters} />`}
    </div>
    ${chosen.value && html`<${Chosen} isTrash=${isTrash} />`}
    ${isSearching ? html`<${Found} />` : html`<${Rows} isTrash=${isTrash} />`}
  </section>`;
}

function Rows({ isTrash }) {
  const { items, isLoading, problem } = notes.state.value;
  const { trash, search: text, status, tags: tag } = filter.value;
  const isWholeTrash = isTrash && trash && !isLoading && items.length > 0 && !text && !status && !tag; // not while the previous list is shown
  return html`${problem && html`<p class="wrong" role="alert">${sayProblem(problem)} <button class="link" onClick=${notes.load}>${t("tryAgain")}</button></p>`}
    <ul aria-busy=${isLoading}>${items.map((note) => html`<${Row} key=${note.id} note=${note} isTrash=${isTrash} />`)}</ul>
    ${!isLoading && !problem && items.length === 0 && html`<p class="hint">${t(isEmptyFor(isTrash))}</p>`}
    ${isWholeTrash && html`<p><${Action} class="danger" run=${emptyTrash}>${t("emptyTrash")}<//></p>`}
    <${More} list=${notes} />`;
}

function isEmptyFor(isTrash) {
  const { search: text, status, tags: tag } = filter.value;
  if (text || status || tag) return "nothingFound";
  return isTrash ? "trashEmpty" : "noNotes";
}

function NewNote() {
  const input = useRef(null);
  const create = async () => {
    const field = input.current;
    const title = field.value.trim();
    if (!title) return field.focus();
    const note = await createNote({ title });
    if (field.value.trim() === title) field.value = ""; // unless the user is typing the next title already
    go(`/note/${note.id}`);
  };
  return html`<form class="row" onSubmit=${(event) => { event.preventDefault(); attempt(create); }}>
    <input ref=${input} aria-label=${t("newNote")} placeholder=${t("newNote")} maxlength="300" dir="auto" />
    <button class="primary" aria-label=${t("create")}>+</button>
    <${Templates} />
  </form>`;
}

/** Templates: notes with chapters and topics to fill in. They are loaded when the menu is opened. */
function Templates() {
  const [templates, setTemplates] = useState([]);
  const menu = useRef(null);
  const load = () => {
    if (menu.current.open && templates.length === 0) attempt(async () => setTemplates(await call("GET", "/api/notes/templates/")));
  };
  const create = async (template) => {
    const note = await createNote({ template: template.id });
    menu.current.open = false;
    go(`/note/${note.id}`);
  };
  return html`<details class="menu" ref=${menu} onToggle=${load}>
    <summary aria-label=${t("templates")} title=${t("templates")}>▤</summary>
    <div class="panel"><h2>${t("templates")}</h2>
      <p><a href="#/import">${t("import")}</a></p>
      <ul class="plain">${templates.map((it) => html`<li><${Action} run=${() => create(it)}>${it.title}<//><p class="hint">${it.description}</p></li>`)}</ul></div>
  </details>`;
}

function SearchField({ isTrash }) {
  const text = isTrash ? filter.value.search : query.value;
  const change = ({ target: { value } }) => (isTrash ? narrow({ search: value }) : search(value));
  return html`<input type="search" aria-label=${t("search")} placeholder=${t("search")} value=${text} maxlength="200" dir="auto" onInput=${change} />`;
}

function Filters() {
  const { status, tags: tag, trash } = filter.value;
  const [isQuizzing, quiz] = useState(false);
  return html`<select aria-label=${t("status")} value=${status} onChange=${(event) => narrow({ status: event.target.value })}>
      <option value="">${t("anyStatus")}</option>
      ${STATUSES.map((it) => html`<option value=${it}>${t(it)}</option>`)}
    </select>
    <select aria-label=${t("tag")} value=${tag} onChange=${(event) => narrow({ tags: event.target.value })}>
      <option value="">${t("anyTag")}</option>
      ${tags.value.map((it) => html`<option value=${it.tag}>${it.tag} (${it.count})</option>`)}
    </select>
    ${tag && !trash && html`<button type="button" onClick=${() => quiz(true)}>${t("quizOfTag", { tag })}</button>`}
    ${isQuizzing && html`<${Later} load=${QUIZ_FORM} name="QuizForm" scope=${{ label: `# ${tag}`, body: { tags: [tag] } }} onClose=${() => quiz(false)} />`}`;
}

/** The actions for all selected notes. */
function Chosen({ isTrash }) {
  const tag = useRef(null);
  const isNone = chosen.value.size === 0;
  const withTag = (action) => () => (tag.current.value.trim() ? changeChosen(action, tag.current.value.trim()) : tag.current.focus());
  return html`<div class="chosen" role="group" aria-label=${t("chosenCount", { count: chosen.value.size })}>
    <b>${t("chosenCount", { count: chosen.value.size })}</b>
    ${isTrash
      ? html`<${Action} class="small" disabled=${isNone} run=${() => changeChosen("restore")}>${t("restore")}<//>`
      : html`<span class="row"><input ref=${tag} class="small" aria-label=${t("tag")} placeholder=${t("tag")} maxlength="50" size="10" dir="auto" />
          <${Action} class="small" disabled=${isNone} run=${withTag("tag")}>${t("addTag")}<//>
          <${Action} class="small" disabled=${isNone} run=${withTag("untag")}>${t("removeTag")}<//></span>
        <span class="row">${STATUSES.map((it) => html`<${Action} class="small" disabled=${isNone} run=${() => changeChosen("status", it)}>${t(it)}<//>`)}
          <${Action} class="small danger" disabled=${isNone} run=${() => changeChosen("trash")}>${t("toTrash")}<//></span>`}
  </div>`;
}

function Row({ note, isTrash }) {
  const isOpen = route.value.name === "note" && route.value.id === note.id;
  const facts = html`<small>${t(note.status)} · ${t("topicCount", { count: note.topic_count })} · ${formatTime(note.updated_at)}</small>
    ${note.tags.length > 0 && html`<small class="tags">${note.tags.map((it) => html`<span>${it}</span>`)}</small>`}`;
  if (chosen.value) return html`<li><label class="row-item"><span class="row"><input type="checkbox" checked=${chosen.value.has(note.id)} onChange=${() => choose(note.id)} />
    <b dir="auto">${note.title}</b></span>${facts}</label></li>`;
  if (isTrash) return html`<li class="row-item"><b dir="auto">${note.title}</b>${facts}
    <${Action} run=${() => restoreNote(note.id)}>${t("restore")}<//></li>`;
  return html`<li><a class="row-item" href=${`#/note/${note.id}`} aria-current=${isOpen ? "page" : undefined}><b dir="auto">${note.title}</b>${facts}</a></li>`;
}
