/** The result of one answer: whether it was right, the right answer, and the passage that supports it. */
import { t } from "page/i18n.js";
import { Markdown } from "page/markdown.js";
import { addressOfTopic } from "page/notes.js";
import { go } from "page/router.js";
import { bare, Prompt } from "page/study/questions.js";
import { Action, html } from "page/ui.js";

const squeezed = (text) => text.replace(/[^\p{L}\p{N}]+/gu, "");

export function Result({ question, result: { answer, correct, expected, explanation, quote, reviews } }) {
  const { kind, prompt, choices } = question;
  const right = kind === "choice" ? choices[expected] : expected;
  // Do not repeat it: the right answer, question and answer together, or the passage says it already.
  const isTold = kind === "order" || kind === "match" || squeezed(prompt + right) === squeezed(explanation)
    || (quote && squeezed(quote.text).includes(squeezed(explanation)));
  return html`<${Prompt} question=${question} />
    <p class=${correct ? "reached" : "wrong"}><b>${correct ? `✓ ${t("quizCorrect")}` : `✗ ${t("quizWrong")}`}</b></p>
    ${!correct && html`<${Said} label=${t("quizYours")} question=${question} answer=${answer} />`}
    ${reviews?.length > 0 && html`<p class="hint">${t("quizComesAgain")}</p>`}
    <${Said} label=${t("quizExpected")} question=${question} answer=${expected} />
    ${!isTold && html`<${Markdown} text=${explanation} />`}
    ${quote && html`<blockquote class="passage"><${Markdown} text=${quote.text} />
      <${Action} class="small quiet" run=${async () => go(`${await addressOfTopic(quote.topic_id)}/${quote.block_id}`)}>${t("openPassage")}<//></blockquote>`}`;
}

function Said({ label, question, answer }) {
  return html`<div class="said-answer"><small>${label}</small>${answer === null || answer === "" ? html`<p>–</p>` : html`<${Shown} question=${question} answer=${answer} />`}</div>`;
}

function Shown({ question: { kind, choices, items, pairs }, answer }) {
  const textIn = (list, id) => bare(list.find((it) => it.id === id)?.text ?? "–");
  if (kind === "choice") return html`<p dir="auto">${bare(choices[answer])}</p>`;
  if (kind === "gap") return html`<p dir="auto">${answer}</p>`;
  if (kind === "order") return html`<ol dir="auto">${answer.map((id) => html`<li>${textIn(items, id)}</li>`)}</ol>`;
  return html`<ul>${pairs.left.map(({ id, text }) => html`<li><span dir="auto">${bare(text)}</span> – <span dir="auto">${textIn(pairs.right, answer[id])}</span></li>`)}</ul>`;
}
