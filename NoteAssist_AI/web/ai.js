/** AI tasks about a topic, with their progress. */
import { useState } from "preact/hooks";
import { t } from "page/i18n.js";
import { below, cancel, hasEnded, retry, showBelow, submit, tasks, texts } from "page/tasks.js";
import { Action, html, Later, sayProblem } from "page/ui.js";

const ANSWER = () => import("page/answer.js");
const MADE = () => import("page/study/made.js");
const PROPOSAL = () => import("page/proposal.js");

export function Ask({ topic, save, reload }) {
  const [language, setLanguage] = useState(topic.code_language || "python");
  const ask = (type, data = {}, apply = false) => () => submit(type, topic.id, data, apply);
  const task = tasks.value.find((it) => it.id === below.value[topic.id]);
  return html`<div class="ask" role="group" aria-label=${t("askAi")}>
    <span class="spark" aria-hidden="true">✦</span>
    <${Action} class="small" run=${ask("generate_explanation")}>${t("explain")}<//>
    <${Action} class="small" run=${ask("improve_explanation", {}, "propose")}>${t("improve")}<//>
    <${Action} class="small" run=${ask("summarize", { length: "short" })}>${t("summarise")}<//>
    <${Action} class="small" run=${ask("make_cards")}>${t("makeCards")}<//>
    <${Action} class="small" run=${ask("generate_code", { language })}>${t("writeCode")}<//>
    <input class="small" aria-label=${t("codeLanguage")} value=${language} maxlength="30" size="8" dir="ltr" onInput=${(event) => setLanguage(event.target.value)} />
  </div>
  ${task && html`<section class="answer" aria-label=${t("answer")}>
    <${TaskState} task=${task} />
    ${hasEnded(task)
      ? html`<${Ended} key=${task.id} task=${task} />
          ${task.result?.proposal_id && html`<${Later} key=${task.result.proposal_id} load=${PROPOSAL} name="Proposal" id=${task.result.proposal_id} reload=${reload} />`}
          <${Use} task=${task} topic=${topic} save=${save} />`
      : html`<div class="coming" dir="auto">${texts.value[task.id] ?? ""}</div>`}
  </section>`}`;
}

/** The result of a task about a topic. */
export function Ended({ task }) {
  return task.request_type === "make_cards"
    ? html`<${Later} key="cards" load=${MADE} name="MadeCards" task=${task} />`
    : html`<${Later} key="answer" load=${ANSWER} name="Answer" task=${task} />`;
}

/** The state of a task, in words that say what the user can do. */
export function TaskState({ task }) {
  const isRunning = !hasEnded(task);
  return html`<div class="task-state">
    <p><b>${t(task.request_type)}</b> · ${t(`task.${task.status}`)}
      ${isRunning && task.message && html` · <span>${task.message}</span>`}</p>
    ${isRunning && html`<div class="row">
      <progress max="100" value=${task.progress} aria-label=${t("progress")}></progress>
      <${Action} class="small quiet" run=${() => cancel(task)}>${t("cancel")}<//>
    </div>`}
    ${task.status === "waiting_provider" && html`<p class="notice">${t("waitingProvider")}</p>`}
    ${task.error && html`<p class="wrong" role="alert">${sayProblem(task.error)}
      <${Action} class="small" run=${() => retry(task)}>${t("tryAgain")}<//></p>`}
  </div>`;
}

/** The actions for a complete answer. It replaces no text by itself. */
function Use({ task, topic, save }) {
  const close = () => showBelow(topic.id, null);
  const use = (change) => async () => {
    await save(change);
    close();
  };
  const { result } = task;
  const isCode = task.request_type === "generate_code";
  const isShorter = task.request_type === "summarize";
  const longer = topic.explanation ? `${topic.explanation}\n\n${result?.content}` : result?.content;
  return html`<div class="row">
    ${result && task.status === "succeeded" && (task.applicable || isShorter) && html`
      ${isCode && html`<${Action} class="primary small" run=${use({ code: result.code, code_language: result.code_language })}>${t("useCode")}<//>`}
      ${!isCode && !isShorter && !result.proposal_id && html`<${Action} class="primary small" run=${use({ explanation: result.content })}>${t("replaceText")}<//>`}
      ${!isCode && !result.proposal_id && html`<${Action} class="small" run=${use({ explanation: longer })}>${t("addBelow")}<//>`}`}
    <button type="button" class="quiet small" onClick=${close}>${t("dismiss")}</button>
  </div>`;
}
