/** The state of the list of notes: its filter, and its changes by writes. */
import { signal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { pagedList, TYPING_MS } from "page/pages.js";
import { inTurn, toast } from "page/ui.js";

const PAGE_SIZE = 20;
const EVERYTHING = { search: "", status: "", tags: "", trash: false };

/** The filter of the list. */
export const filter = signal(EVERYTHING);
export const notes = pagedList(() => {
  const { search, status, tags: tag, trash } = filter.value;
  const query = new URLSearchParams({ page_size: PAGE_SIZE });
  if (search.trim()) query.set("search", search.trim());
  if (status) query.set("status", status);
  if (tag) query.set("tags", tag);
  if (trash) query.set("trash", "true");
  return `/api/notes/?${query}`;
});
/** The user's tags, each with how many notes have it. */
export const tags = signal([]);

/** Runs writes to a note's contents one after another, as each names the version of the write before it. */
export const inOrder = inTurn();

/** Change the filter. A change of the search text waits for a pause in typing. */
export function narrow(change) {
  filter.value = { ...filter.value, ...change };
  notes.loadIn("search" in change ? TYPING_MS : 0);
}

export async function loadTags() {
  tags.value = await call("GET", "/api/tags/");
}

export async function createNote(fields) {
  const note = await call("POST", "/api/notes/", { body: fields, key: newKey() });
  await notes.load();
  return note;
}

/** Update a note in the list after a write. */
export function showInList({ chapters: _, ...note }) {
  notes.change((items) => items.map((it) => (it.id === note.id ? { ...it, ...note } : it)));
}

export async function trashNote({ id, title }) {
  await call("DELETE", `/api/notes/${id}/`);
  if (filter.value.trash) await notes.load(); // the trash is shown at the moment
  else removeFromList(id);
  toast(t("inTrash", { title }), "success", async () => {
    await call("POST", `/api/notes/${id}/restore/`);
    await notes.load();
  });
}

/** The ids of the selected notes; null outside the selection mode. */
export const chosen = signal(null);

export function choose(id) {
  const ids = new Set(chosen.value);
  if (!ids.delete(id)) ids.add(id);
  chosen.value = ids;
}

/** Change all selected notes, or none if one is missing. Undo is offered only if one step can do it. */
export async function changeChosen(action, value) {
  const ids = [...chosen.value];
  const send = (name) => call("POST", "/api/notes/bulk/", { body: { ids, action: name, ...(value && { value }) } });
  const { changed } = await send(action);
  const back = { trash: "restore", restore: "trash" }[action];
  chosen.value = null;
  await Promise.all([notes.load(), loadTags()]);
  toast(t("notesChanged", { count: changed }), "success", back && (async () => { await send(back); await notes.load(); }));
}

export async function restoreNote(id) {
  await call("POST", `/api/notes/${id}/restore/`);
  removeFromList(id);
}

/** Empty the trash, if it still has the notes that the user was asked about. */
export async function emptyTrash() {
  while (notes.state.value.next) await notes.loadMore();
  const { length: count } = notes.state.value.items;
  if (!confirm(t("confirmEmptyTrash", { count }))) return;
  try {
    await call("DELETE", "/api/notes/trash/", { body: { count } });
  } finally {
    await notes.load();
  }
}

function removeFromList(id) {
  notes.change((items) => items.filter((it) => it.id !== id));
}

/** The address of a topic in this client. The topic names its chapter, and the chapter its note. */
export async function addressOfTopic(id) {
  const topic = await call("GET", `/api/topics/${id}/`);
  const chapter = await call("GET", `/api/chapters/${topic.chapter}/`);
  return `/note/${chapter.note}/${id}`;
}

/** The address of the note with this title, or null. Like the API, it ignores case. */
export async function addressOfTitle(title) {
  const phrase = title.replaceAll('"', " ");
  const page = await call("GET", `/api/notes/?${new URLSearchParams({ search: `"${phrase}"` })}`);
  const same = page.results.find((it) => it.title.toLowerCase() === title.toLowerCase());
  return same ? `/note/${same.id}` : null;
}

/** Forget all data of the user at sign-out. */
export function forgetNotes() {
  notes.forget();
  filter.value = EVERYTHING;
  tags.value = [];
  chosen.value = null;
}
