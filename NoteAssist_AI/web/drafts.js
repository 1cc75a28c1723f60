/**
 * Texts that are being written, so that leaving a note, or a session that ends, loses none of them.
 *
 * They are kept in memory, by the topic's id: `{base, version, change}`. `base` is the topic as it was when the editor
 * opened, `change` is what the person has made of its fields since.
 */
import { signal } from "@preact/signals";

export const drafts = signal({});

export function keepDraft(topicId, draft) {
  drafts.value = { ...drafts.value, [topicId]: draft };
}

export function dropDraft(topicId) {
  const { [topicId]: _, ...rest } = drafts.value;
  drafts.value = rest;
}

export function forgetDrafts() {
  drafts.value = {};
}

addEventListener("beforeunload", (event) => {
  const hasWritten = Object.values(drafts.value).some((it) => Object.keys(it.change).length > 0);
  if (hasWritten) event.preventDefault(); // the browser asks whether to leave
});
