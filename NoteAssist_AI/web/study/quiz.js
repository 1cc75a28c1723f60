/**
 * One quiz: its questions, then the results.
 *
 * Answers are stored in the browser until they are sent, so a reload loses none. The server grades them once.
 */
import { useEffect, useRef, useState } from "preact/hooks";
import { useSignal } from "@preact/signals";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { get, put, remove } from "page/store.js";
import { Question } from "page/study/questions.js";
import { Result } from "page/study/results.js";
import { Action, attempt, html, sayProblem } from "page/ui.js";

export function Quiz({ id }) {
  const [quiz, setQuiz] = useState(null);
  const [problem, setProblem] = useState(null);
  const answers = useSignal({}); // by the question's id
  const path = `/api/study/quizzes/${id}/`;
  const draft = `quiz:${id}`;
  const load = async () => {
    try {
      setProblem(null);
      const it = await call("GET", path);
      answers.value = (await get("kept", draft)) ?? firstAnswers(it);
      setQuiz(it);
    } catch (error) {
      setProblem(error);
    }
  };
  useEffect(() => { load(); }, [id]);
  const answer = (questionId, value) => {
    const { [questionId]: _, ...others } = answers.value;
    answers.value = value === null ? others : { ...others, [questionId]: value };
    attempt(() => put("kept", draft, answers.value));
  };
  const send = async () => {
    const left = quiz.questions.length - Object.keys(answers.value).length;
    if (left && !confirm(t("quizUnanswered", { count: left }))) return;
    const body = { answers: Object.entries(answers.value).map(([question_id, value]) => ({ question_id, answer: value })) };
    try {
      setQuiz(await call("POST", `${path}answers/`, { body, key: newKey() }));
    } catch (error) {
      if (error.code !== "quiz_answered") throw error; // sent from another tab, or the response was lost
      setQuiz(await call("GET", path));
    }
    await remove("kept", draft);
  };
  if (problem) return html`<${Back} /><p class="wrong" role="alert">${sayProblem(problem)} <button type="button" class="link" onClick=${load}>${t("tryAgain")}</button></p>`;
  if (!quiz) return html`<p class="loading">${t("loading")}</p>`;
  const { questions, results, notice } = quiz;
  return html`<${Back} />
    ${notice && html`<p class="notice">${t("quizTooLittle", { count: questions.length })}</p>`}
    ${results && html`<${Outcome} quiz=${quiz} />`}
    ${questions.map((question, index) => html`<section key=${question.id} class=${`card question ${results ? (results[index].correct ? "right" : "mistaken") : ""}`}
      aria-label=${t("quizQuestion", { n: index + 1, count: questions.length })}>
      <small>${t("quizQuestion", { n: index + 1, count: questions.length })} · ${t(`quiz.${question.kind}`)}</small>
      ${results
        ? html`<${Result} question=${question} result=${results[index]} />`
        : html`<${Question} question=${question} value=${answers.value[question.id] ?? null} change=${(value) => answer(question.id, value)} />`}
    </section>`)}
    ${!results && questions.length > 0 && html`<p class="row"><${Action} class="primary" run=${send}>${t("quizSend")}<//>
      <small role="status">${t("quizAnswered", { n: Object.keys(answers.value).length, count: questions.length })}</small></p>`}`;
}

const Back = () => html`<p><a href="#/study/quizzes">${t("quizAll")}</a></p>`;

/** The initial order counts as an answer, as it may be right. */
function firstAnswers({ questions }) {
  const ordered = questions.filter((it) => it.kind === "order");
  return Object.fromEntries(ordered.map((it) => [it.id, it.items.map((item) => item.id)]));
}

/** The number of right answers, and what happens to the wrong ones. */
function Outcome({ quiz: { correct, size } }) {
  const ref = useRef(null);
  useEffect(() => { ref.current.focus(); }, []); // the focused answers are no longer shown
  return html`<section class="card outcome" ref=${ref} tabindex="-1" aria-label=${t("quizResult")}>
    <h2>${t("quizScore", { correct, count: size })}</h2>
    <meter min="0" max=${Math.max(size, 1)} value=${correct} aria-label=${t("quizResult")}></meter>
    ${correct < size && html`<p>${t("quizMistakes")} <a href="#/study/due">${t("study.due")}</a></p>`}
  </section>`;
}
