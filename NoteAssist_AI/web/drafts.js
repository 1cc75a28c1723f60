/**
 * Texts that are being edited, so that none is lost when the user leaves a note or the session ends.
 *
 * They are kept in memory, by the topic's id: `{base, version, change}`. `base` is the topic as it was when the editor
 * opened, `change` has the fields that the user has changed since.
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
