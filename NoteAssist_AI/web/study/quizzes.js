/** The lists of quizzes and recalls, and new ones. `#/study/quizzes/<id>` and `#/study/recall/<id>` show one. */
import { useEffect, useState } from "preact/hooks";
import { formatTime, t } from "page/i18n.js";
import { More, pagedList } from "page/pages.js";
import { route } from "page/router.js";
import { Quiz } from "page/study/quiz.js";
import { QuizForm } from "page/study/quizform.js";
import { html, sayProblem } from "page/ui.js";

const quizzes = pagedList(() => "/api/study/quizzes/?page_size=20");
const recalls = pagedList(() => "/api/study/recalls/?page_size=20");

export function Quizzes() {
  const { item } = route.value;
  return item ? html`<${Quiz} key=${item} id=${item} />` : html`<${Lists} />`;
}

function Lists() {
  const [isWriting, write] = useState(false);
  useEffect(() => {
    quizzes.load();
    recalls.load();
    return () => {
      quizzes.forget();
      recalls.forget();
    };
  }, []);
  return html`<p class="hint">${t("quizWhat")}</p>
    <p><button type="button" class="primary" onClick=${() => write(true)}>${t("quizNew")}</button></p>
    <${Rows} list=${quizzes} none="quizNone" row=${(quiz) => html`<a href=${`#/study/quizzes/${quiz.id}`}><b>${formatTime(quiz.created_at)}</b></a>
      <small>${quiz.answered_at ? t("quizScore", { correct: quiz.correct, count: quiz.size }) : t("quizOpen", { count: quiz.size })}</small>`} />
    <h2>${t("recalls")}</h2>
    <${Rows} list=${recalls} none="recallNone" row=${(recall) => html`<a href=${`#/study/recall/${recall.id}`}><b>${formatTime(recall.created_at)}</b></a>
      <small>${t("recallScore", { score: recall.score })}</small>`} />
    ${isWriting && html`<${QuizForm} onClose=${() => write(false)} />`}`;
}

function Rows({ list, none, row }) {
  const { items, isLoading, problem } = list.state.value;
  return html`${problem && html`<p class="wrong" role="alert">${sayProblem(problem)}</p>`}
    <ul class="plain" aria-busy=${isLoading}>${items.map((it) => html`<li key=${it.id} class="card-row">${row(it)}</li>`)}</ul>
    ${!isLoading && !problem && items.length === 0 && html`<p class="hint">${t(none)}</p>`}
    <${More} list=${list} />`;
}
