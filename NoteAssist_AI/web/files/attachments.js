/** Images and PDFs of notes: uploading and showing them. */
import { useEffect } from "preact/hooks";
import { signal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { attempt, toast } from "page/ui.js";

const NAMED = /\]\(\/api\/attachments\//;
const FRESH_MS = 8 * 60_000; // links are valid for ten minutes

/** By the note's id: the links of its files by their ids, and when they were requested. */
const links = signal({});

/** Links to the files in a text; requested once for all texts of the note. */
export function useLinks(noteId, text) {
  const needs = NAMED.test(text);
  const known = links.value[noteId];
  const isFresh = known && Date.now() - known.askedAt < FRESH_MS;
  useEffect(() => { if (needs && !isFresh) attempt(() => load(noteId)); }, [needs, isFresh]);
  return known?.urls ?? {};
}

async function load(noteId) {
  links.value = { ...links.value, [noteId]: { urls: {}, ...links.value[noteId], askedAt: Date.now() } };
  const urls = {};
  for (let address = `/api/notes/${noteId}/attachments/?page_size=100`; address; ) {
    const page = await call("GET", address);
    for (const { id, url } of page.results) urls[id] = url;
    address = page.next;
  }
  links.value = { ...links.value, [noteId]: { urls, askedAt: Date.now() } };
}

/** Upload a file; return the Markdown that shows it. */
async function upload(noteId, file) {
  const form = new FormData();
  form.append("file", file);
  const { id, url, markdown } = await call("POST", `/api/notes/${noteId}/attachments/`, { form, key: newKey() });
  const known = links.value[noteId] ?? { urls: {}, askedAt: Date.now() };
  links.value = { ...links.value, [noteId]: { ...known, urls: { ...known.urls, [id]: url } } };
  return markdown;
}

/** For a text field: upload pasted or dropped files, and insert them at the cursor. */
export function takesFiles(noteId) {
  const take = (event, files) => {
    if (files.length === 0) return;
    event.preventDefault();
    const field = event.currentTarget;
    attempt(async () => {
      for (const file of files) {
        toast(t("uploading", { name: file.name }));
        field.setRangeText(await upload(noteId, file), field.selectionStart, field.selectionEnd, "end");
        field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      }
    });
  };
  return {
    onPaste: (event) => take(event, [...event.clipboardData.files]),
    onDrop: (event) => take(event, [...event.dataTransfer.files]),
  };
}
