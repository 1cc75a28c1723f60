/** Exams: the list of them, and writing a new one. One of them is `#/study/exams/<id>`. */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { formatTimeIn, t, weekdayName } from "page/i18n.js";
import { loadTags, tags } from "page/notes.js";
import { More, pagedList } from "page/pages.js";
import { go, route } from "page/router.js";
import { Exam } from "page/study/exam.js";
import { attempt, Dialog, Field, Form, html, sayProblem } from "page/ui.js";

const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

const exams = pagedList(() => "/api/study/exams/?page_size=30");
const notes = pagedList(() => "/api/notes/?page_size=50");

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
    ${isWriting && html`<${ExamForm} onClose=${() => write(false)} />`}`;
}

/** `at` is sent as the clocks of the exam's zone show it, without an offset: the server knows their summer time. */
function ExamForm({ onClose }) {
  useEffect(() => {
    attempt(loadTags);
    notes.load();
    return notes.forget;
  }, []);
  const save = async (fields, form) => {
    const chosen = new FormData(form);
    const exam = await call("POST", "/api/study/exams/", {
      body: {
        title: fields.title,
        at: fields.at,
        time_zone: fields.time_zone,
        scope: { note_ids: chosen.getAll("note").map(Number), tags: chosen.getAll("tag") },
        minutes_per_day: Object.fromEntries(WEEKDAYS.map((day) => [day, Number(fields[day])])),
        target: Number(fields.target) / 100,
      },
      key: newKey(),
    });
    go(`/study/exams/${exam.id}`);
  };
  const box = (name, value, label) => html`<label class="row"><input type="checkbox" name=${name} value=${value} /> <span dir="auto">${label}</span></label>`;
  return html`<${Dialog} title=${t("newExam")} onClose=${onClose}>
    <${Form} label=${t("create")} send=${save}>${(problem) => {
      const wrong = (pointer) => problem?.of?.(pointer);
      return html`
        <${Field} label=${t("title")} name="title" required maxlength="300" dir="auto" error=${wrong("/title")} />
        <${Field} label=${t("examAt")} name="at" type="datetime-local" required error=${wrong("/at")} />
        <${Field} label=${t("settings.time_zone")} name="time_zone" required list="zones" dir="ltr" defaultValue=${Intl.DateTimeFormat().resolvedOptions().timeZone} error=${wrong("/time_zone")} />
        <datalist id="zones">${Intl.supportedValuesOf("timeZone").map((it) => html`<option value=${it} />`)}</datalist>
        <fieldset><legend>${t("examScope")}</legend>
          ${wrong("/scope") && html`<small class="wrong">${wrong("/scope")}</small>`}
          <div class="choices">${notes.state.value.items.map((it) => box("note", it.id, it.title))}<${More} list=${notes} />
            ${tags.value.map((it) => box("tag", it.tag, `# ${it.tag}`))}</div></fieldset>
        <fieldset><legend>${t("minutesPerDay")}</legend>
          <div class="week">${WEEKDAYS.map((day, index) => html`<${Field} label=${weekdayName(index)} name=${day} type="number" required min="0" max="1440" defaultValue="20" error=${wrong(`/minutes_per_day/${day}`)} />`)}</div></fieldset>
        <${Field} label=${t("target")} name="target" type="number" required min="50" max="99" defaultValue="90" error=${wrong("/target")} />`;
    }}<//>
  <//>`;
}
