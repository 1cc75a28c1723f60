/** Scrolling to one passage of a shown topic. */
import { call } from "page/api.js";

const letters = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "");
const MARKS = /^[\s>]*(?:[-*+]|\d+[.)])\s/gm; // markers of lists and quotes in Markdown, which are not in the rendered text
const BEGINNING = 24;

/** Mark the passage and scroll to it. Does nothing if it has changed or was deleted. */
export async function showPassage(topicId, blockId) {
  const [block, prose] = await Promise.all([blockOf(topicId, blockId), proseOf(topicId)]);
  if (!block || !prose) return;
  // The passage is found by its text: the HTML has no block ids, and a list is one block with many elements.
  const wanted = letters(block.text.replace(MARKS, ""));
  const shown = [...prose.children].map((element) => ({ element, text: letters(element.textContent) }));
  const beginsAlike = ({ text }) => text !== "" && text.slice(0, BEGINNING) === wanted.slice(0, BEGINNING); // only the beginning, as URLs of links are not shown
  const found = (shown.find((it) => it.text === wanted) ?? shown.find(beginsAlike))?.element;
  if (!found) return;
  document.querySelectorAll(".prose > .found").forEach((it) => it.classList.remove("found"));
  found.classList.add("found");
  found.scrollIntoView({ block: "center" });
}

async function blockOf(topicId, blockId) {
  for (let next = `/api/topics/${topicId}/blocks/`; next; ) {
    const page = await call("GET", next);
    const found = page.results.find((it) => it.id === blockId);
    if (found) return found;
    next = page.next;
  }
  return null;
}

/** Wait for the topic's text: the module that shows it may still be loading. */
async function proseOf(topicId) {
  const topic = document.getElementById(`topic-${topicId}`);
  const find = () => topic?.querySelector(".prose");
  if (!topic || find()) return find();
  return new Promise((resolve) => {
    const observer = new MutationObserver(() => {
      if (!find() && topic.isConnected) return;
      observer.disconnect();
      resolve(find());
    });
    observer.observe(topic, { childList: true, subtree: true });
  });
}
