/** Questions about the user's notes: each sentence of the answer links to the passages that it quotes. */
import { useEffect, useState } from "preact/hooks";
import { TaskState } from "page/ai.js";
import { t } from "page/i18n.js";
import { loadTags, tags } from "page/notes.js";
import { hasEnded, loadTask, submit, tasks } from "page/tasks.js";
import { attempt, Form, html } from "page/ui.js";

export function AskNotes() {
  const [taskId, setTaskId] = useState(null);
  useEffect(() => { attempt(loadTags); }, []);
  const ask = async ({ question, tag }) => {
    const task = await submit("ask", null, { question, ...(tag && { scope: { tags: [tag] } }) });
    setTaskId(task.id);
  };
  const task = tasks.value.find((it) => it.id === taskId);
  return html`<h1>${t("askNotes")}</h1>
    <section class="card"><${Form} label=${t("ask")} send=${ask}>${(problem) => html`
      <label class="field"><span>${t("question")}</span><textarea name="question" rows="3" required maxlength="1000" dir="auto"></textarea></label>
      <label class="field"><span>${t("askWhere")}</span><select name="tag"><option value="">${t("allNotes")}</option>
        ${tags.value.map((it) => html`<option value=${it.tag}>${it.tag} (${it.count})</option>`)}</select></label>
      ${problem?.of?.("/request_data/question") && html`<small class="wrong">${problem.of("/request_data/question")}</small>`}`}<//></section>
    ${task && html`<section class="card" aria-label=${t("answer")} aria-live="polite"><${TaskState} task=${task} />
      ${hasEnded(task) && html`<${Sentences} task=${task} />`}</section>`}`;
}

/** Each sentence shows whether its quotes are in the notes, and links to them. */
export function Sentences({ task }) {
  const isKnown = task.result !== undefined; // lists show tasks without their answers
  useEffect(() => { if (!isKnown) attempt(() => loadTask(task.id)); }, [task.id]);
  if (!isKnown) return html`<p class="loading">${t("loading")}</p>`;
  if (task.result === null) return null;
  const { sentences, notice } = task.result;
  return html`${notice && html`<p class="notice" dir="auto">${notice}</p>`}
    <ol class="sentences">${sentences.map(({ text, verdict, quotes }) => html`<li class=${verdict} dir="auto">${text}
      ${verdict !== "supported" && html` <small class="badge">${t(`verdict.${verdict}`)}</small>`}
      ${quotes.map((it) => html`<blockquote><a href=${`#/note/${it.note_id}/${it.topic_id}/${it.block_id}`}>${it.text}</a>
        ${it.state !== "current" && html` <small class="badge">${t(`quote.${it.state}`)}</small>`}</blockquote>`)}</li>`)}</ol>`;
}
