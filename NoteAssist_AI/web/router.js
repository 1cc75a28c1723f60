/**
 * The part of the URL after `#` selects the screen: `#/`, `#/note/12`, `#/note/12/34` (a topic in it),
 * `#/note/12/34/<block>` (a passage in that), `#/title/Sorting`, `#/study/cards`, `#/study/exams/<id>`.
 */
import { signal } from "@preact/signals";

export const route = signal(read());

addEventListener("hashchange", () => { route.value = read(); });

function read() {
  const [, name = "", part = "", item = "", blockId = ""] = location.hash.split("/");
  return { name, part: decoded(part), id: Number(part) || null, topicId: Number(item) || null, item, blockId: decoded(blockId) };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // invalid encoding, as in an address typed by hand
  }
}

export function go(path) {
  location.hash = path;
}
