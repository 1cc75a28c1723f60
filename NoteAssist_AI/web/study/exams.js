/** The list of exams, and the form for a new one. `#/study/exams/<id>` shows one exam. */
import { useEffect, useState } from "preact/hooks";
import { formatTimeIn, t } from "page/i18n.js";
import { More, pagedList } from "page/pages.js";
import { go, route } from "page/router.js";
import { Exam } from "page/study/exam.js";
import { ExamForm } from "page/study/examform.js";
import { html, sayProblem } from "page/ui.js";

const exams = pagedList(() => "/api/study/exams/?page_size=30");

export function Exams() {
  const { item } = route.value;
  return item ? html`<${Exam} key=${item} id=${item} />` : html`<${List} />`;
}

function List() {
  const [isWriting, write] = useState(false);
  useEffect(() => {
    exams.load();
    return exams.forget;
  }, []);
  const { items, isLoading, problem } = exams.state.value;
  return html`<p><button type="button" class="primary" onClick=${() => write(true)}>${t("newExam")}</button></p>
    ${problem && html`<p class="wrong" role="alert">${sayProblem(problem)}</p>`}
    <ul class="plain" aria-busy=${isLoading}>${items.map((exam) => html`<li key=${exam.id} class="card-row">
      <a href=${`#/study/exams/${exam.id}`} dir="auto"><b>${exam.title}</b></a>
      <small>${formatTimeIn(exam.at, exam.time_zone)}</small></li>`)}</ul>
    ${!isLoading && !problem && items.length === 0 && html`<p class="hint">${t("noExams")}</p>`}
    <${More} list=${exams} />
    ${isWriting && html`<${ExamForm} onSaved=${(exam) => go(`/study/exams/${exam.id}`)} onClose=${() => write(false)} />`}`;
}
