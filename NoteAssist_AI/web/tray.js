/** The tasks of this user, from all devices. */
import { useEffect } from "preact/hooks";
import { Ended, TaskState } from "page/ai.js";
import { formatTime, t } from "page/i18n.js";
import { addressOfTopic } from "page/notes.js";
import { go } from "page/router.js";
import { forgetTasks, hasEnded, loadTasks, showBelow, shownId, tasks } from "page/tasks.js";
import { Action, attempt, Dialog, html, Later } from "page/ui.js";

const ASK = () => import("page/ask.js");

export function Tray() {
  const show = (id) => { shownId.value = id; };
  useEffect(() => {
    attempt(loadTasks);
    return forgetTasks;
  }, []);
  const running = tasks.value.filter((it) => !hasEnded(it)).length;
  const shown = tasks.value.find((it) => it.id === shownId.value);
  return html`<details class="menu">
    <summary aria-label=${t("tasksRunning", { count: running })}><span aria-hidden="true">✦</span>${running > 0 && html`<b class="count">${running}</b>`}</summary>
    <div class="panel">
      <h2>${t("tasks")}</h2>
      ${tasks.value.length === 0 && html`<p class="hint">${t("noTasks")}</p>`}
      <ul class="plain">${tasks.value.map((task) => html`<li key=${task.id}>
        <${TaskState} task=${task} />
        <small>${formatTime(task.created_at)}</small>
        ${hasEnded(task) && html`<button type="button" class="small quiet" onClick=${() => show(task.id)}>${t("show")}</button>`}
      </li>`)}</ul>
    </div>
  </details>
    ${shown && html`<${Dialog} title=${t(shown.request_type)} onClose=${() => show(null)} wide>
      ${shown.request_type === "ask"
        ? html`<${Later} key="ask" load=${ASK} name="Sentences" task=${shown} />`
        : html`<${Ended} key=${shown.id} task=${shown} />`}
      ${shown.topic_id && html`<${Action} run=${() => openTopic(shown)}>${t("openNote")}<//>`}
    <//>`}`;
}

/** Go to the note that a task is about. */
async function openTopic({ id, topic_id: topicId }) {
  const address = await addressOfTopic(topicId);
  showBelow(topicId, id);
  document.querySelector("dialog[open]")?.close();
  go(address);
}
