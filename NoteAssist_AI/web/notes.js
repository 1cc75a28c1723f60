/** The list of notes: what is asked for, and what writes make of it. */
import { signal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { pagedList, TYPING_MS } from "page/pages.js";
import { inTurn, toast } from "page/ui.js";

const PAGE_SIZE = 20;
const EVERYTHING = { search: "", status: "", tags: "", trash: false };

/** What the list is narrowed to. */
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

/** Writes to what is in a note, one after the other: each names the version that the one before it has made. */
export const inOrder = inTurn();

/** Narrow the list. A change of the search waits until nobody has typed for a while. */
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

/** Show in the list what a write has made of a note. */
export function showInList({ chapters: _, ...note }) {
  notes.change((items) => items.map((it) => (it.id === note.id ? { ...it, ...note } : it)));
}

export async function trashNote({ id, title }) {
  await call("DELETE", `/api/notes/${id}/`);
  if (filter.value.trash) await notes.load(); // somebody is there already
  else removeFromList(id);
  toast(t("inTrash", { title }), "success", async () => {
    await call("POST", `/api/notes/${id}/restore/`);
    await notes.load();
  });
}

/** Which notes are chosen, to change all of them at once; null while one does not choose. */
export const chosen = signal(null);

export function choose(id) {
  const ids = new Set(chosen.value);
  if (!ids.delete(id)) ids.add(id);
  chosen.value = ids;
}

/** Change all chosen notes: all of them, or, if one is gone, none. Only what can be taken back in one step offers it. */
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

/** Delete what is in the trash, as long as it is what one was asked about. */
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

/** The address of a topic on this page: it names its chapter, and a chapter its note. */
export async function addressOfTopic(id) {
  const topic = await call("GET", `/api/topics/${id}/`);
  const chapter = await call("GET", `/api/chapters/${topic.chapter}/`);
  return `/note/${chapter.note}/${id}`;
}

/** The address of the note of this title, null if there is none. The API compares titles of links without case, too. */
export async function addressOfTitle(title) {
  const phrase = title.replaceAll('"', " ");
  const page = await call("GET", `/api/notes/?${new URLSearchParams({ search: `"${phrase}"` })}`);
  const same = page.results.find((it) => it.title.toLowerCase() === title.toLowerCase());
  return same ? `/note/${same.id}` : null;
}

/** Keep nothing of one user for the next. */
export function forgetNotes() {
  notes.forget();
  filter.value = EVERYTHING;
  tags.value = [];
  chosen.value = null;
}
