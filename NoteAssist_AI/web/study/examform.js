/** The form for a new or an existing exam. */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { t, weekdayName } from "page/i18n.js";
import { loadTags, tags } from "page/notes.js";
import { More, pagedList } from "page/pages.js";
import { attempt, Dialog, Field, Form, html, toast } from "page/ui.js";

const WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const NEW = {
  title: "",
  scope: { note_ids: [], tags: [] },
  minutes_per_day: Object.fromEntries(WEEKDAYS.map((day) => [day, 20])),
  target: 0.9,
};

const notes = pagedList(() => "/api/notes/?page_size=50");

/** `exam` is the one to change, if any; `onSaved` gets the saved exam, or null if it was changed elsewhere. */
export function ExamForm({ exam: given, onSaved, onClose }) {
  const [exam] = useState(() => ({ ...NEW, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, ...given })); // its state when the form opened
  const at = exam.at ? clockIn(exam.time_zone, exam.at) : "";
  useEffect(() => {
    attempt(loadTags);
    notes.load();
    return notes.forget;
  }, []);
  const shownIds = new Set(notes.state.value.items.map((it) => it.id));
  const hidden = exam.scope.note_ids.filter((it) => !shownIds.has(it)); // notes on pages that were not loaded, or deleted notes
  const shownTags = [...new Set([...tags.value.map((it) => it.tag), ...exam.scope.tags])];
  const save = async (fields, form) => {
    const chosen = new FormData(form);
    const body = {
      title: fields.title,
      scope: { note_ids: [...hidden, ...chosen.getAll("note").map(Number)], tags: chosen.getAll("tag") },
      minutes_per_day: Object.fromEntries(WEEKDAYS.map((day) => [day, Number(fields[day])])),
      target: Number(fields.target) / 100,
    };
    // A time is sent in the exam's time zone without an offset, as the server knows the zone's summer time. An unchanged
    // time is not sent: an hour that occurs twice (at the end of summer time) would become the first of the two.
    if (fields.at !== at || fields.time_zone !== exam.time_zone) Object.assign(body, { at: fields.at, time_zone: fields.time_zone });
    const saved = exam.id ? await change(exam, body) : await call("POST", "/api/study/exams/", { body, key: newKey() });
    onClose();
    onSaved(saved);
  };
  const box = (name, value, label, isChosen) => html`<label key=${`${name} ${value}`} class="row"><input type="checkbox" name=${name} value=${value} defaultChecked=${isChosen} /> <span dir="auto">${label}</span></label>`;
  return html`<${Dialog} title=${t(exam.id ? "editExam" : "newExam")} onClose=${onClose}>
    <${Form} label=${t(exam.id ? "save" : "create")} send=${save}>${(problem) => {
      const wrong = (pointer) => problem?.of?.(pointer);
      return html`
        <${Field} label=${t("title")} name="title" required maxlength="300" dir="auto" defaultValue=${exam.title} error=${wrong("/title")} />
        <${Field} label=${t("examAt")} name="at" type="datetime-local" required defaultValue=${at} error=${wrong("/at")} />
        <${Field} label=${t("settings.time_zone")} name="time_zone" required list="zones" dir="ltr" defaultValue=${exam.time_zone} error=${wrong("/time_zone")} />
        <datalist id="zones">${Intl.supportedValuesOf("timeZone").map((it) => html`<option value=${it} />`)}</datalist>
        <fieldset><legend>${t("examScope")}</legend>
          ${wrong("/scope") && html`<small class="wrong">${wrong("/scope")}</small>`}
          ${hidden.length > 0 && !notes.state.value.isLoading && html`<small>${t("scopeHidden", { count: hidden.length })}</small>`}
          <div class="choices">${notes.state.value.items.map((it) => box("note", it.id, it.title, exam.scope.note_ids.includes(it.id)))}<${More} list=${notes} />
            ${shownTags.map((it) => box("tag", it, `# ${it}`, exam.scope.tags.includes(it)))}</div></fieldset>
        <fieldset><legend>${t("minutesPerDay")}</legend>
          <div class="week">${WEEKDAYS.map((day, index) => html`<${Field} label=${weekdayName(index)} name=${day} type="number" required min="0" max="1440" defaultValue=${exam.minutes_per_day[day]} error=${wrong(`/minutes_per_day/${day}`)} />`)}</div></fieldset>
        <${Field} label=${t("target")} name="target" type="number" required min="50" max="99" defaultValue=${Math.round(exam.target * 100)} error=${wrong("/target")} />`;
    }}<//>
  <//>`;
}

/** Change an exam. Returns null if it was changed elsewhere and must be read again. */
async function change({ id, version }, body) {
  try {
    return await call("PATCH", `/api/study/exams/${id}/`, { body, ifMatch: `"${version}"` });
  } catch (problem) {
    if (problem.status !== 412) throw problem;
    toast(t("changedElsewhere"), "error");
    return null;
  }
}

/** A time in a time zone, in the format of a datetime-local field. */
function clockIn(timeZone, timestamp) {
  const parts = new Intl.DateTimeFormat("sv", { timeZone, dateStyle: "short", timeStyle: "short" }).format(new Date(timestamp));
  return parts.replace(" ", "T");
}
