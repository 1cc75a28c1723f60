/** The answer of a finished task. */
import { useEffect } from "preact/hooks";
import { t } from "page/i18n.js";
import { Markdown } from "page/markdown.js";
import { loadTask } from "page/tasks.js";
import { attempt, html } from "page/ui.js";

export function Answer({ task }) {
  const isKnown = task.result !== undefined; // lists show tasks without their answers
  useEffect(() => { if (!isKnown) attempt(() => loadTask(task.id)); }, [task.id]);
  if (!isKnown) return html`<p class="loading">${t("loading")}</p>`;
  if (task.result === null) return null;
  const { content, notice, sources = [] } = task.result;
  return html`${notice && html`<p class="notice" dir="auto">${notice}</p>`}
    <${Markdown} text=${content} />
    ${sources.length > 0 && html`<ul class="sources">${sources.map((it) => html`<li>${/^https?:/i.test(it.url)
      ? html`<a href=${it.url} target="_blank" rel="noopener noreferrer">${it.title}</a>` : it.title}</li>`)}</ul>`}`;
}
