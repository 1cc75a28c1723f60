/** One exam: the expected recall on its day, what to study today, and its calendar. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { formatShare, formatTimeIn, t } from "page/i18n.js";
import { go } from "page/router.js";
import { ExamForm } from "page/study/examform.js";
import { Bands } from "page/study/forecast.js";
import { send } from "page/study/log.js";
import { lineOf } from "page/study/sides.js";
import { Action, attempt, html, sayProblem, toast } from "page/ui.js";

const PLAN_SHOWN = 20;

export function Exam({ id }) {
  const [exam, setExam] = useState(null);
  const [forecast, setForecast] = useState(null);
  const [plan, setPlan] = useState(null);
  const [problem, setProblem] = useState(null);
  const [isEditing, edit] = useState(false);
  const path = `/api/study/exams/${id}/`;
  const load = async () => {
    try {
      setProblem(null);
      setExam(await call("GET", path));
      await send(); // so that the latest reviews count
      setForecast(await call("GET", `${path}forecast/`));
      setPlan(await call("GET", `${path}plan/?limit=${PLAN_SHOWN}`));
    } catch (error) {
      setProblem(error); // such as an exam in the past
    }
  };
  useEffect(() => { load(); }, [id]);
  const remove = async () => {
    if (!confirm(t("confirmDelete", { title: exam.title }))) return;
    await call("DELETE", path);
    go("/study/exams");
  };
  return html`<p><a href="#/study/exams">${t("allExams")}</a></p>
    ${exam && html`<header class="row spread"><span><h2 dir="auto">${exam.title}</h2><small>${formatTimeIn(exam.at, exam.time_zone)}</small></span>
      <span class="row"><button type="button" class="small quiet" onClick=${() => edit(true)}>${t("edit")}</button>
        <${Action} class="small quiet danger" run=${remove}>${t("delete")}<//></span></header>`}
    ${problem && html`<p class="wrong" role="alert">${sayProblem(problem)} <button type="button" class="link" onClick=${load}>${t("tryAgain")}</button></p>`}
    ${forecast ? html`<${Forecast} forecast=${forecast} />` : !problem && html`<p class="loading">${t("loading")}</p>`}
    ${plan && forecast.overall && html`<${Plan} plan=${plan} />`}
    ${exam && html`<${Calendar} exam=${exam} path=${`${path}calendar-link/`} />`}
    ${isEditing && html`<${ExamForm} exam=${exam} onSaved=${load} onClose=${() => edit(false)} />`}`;
}

function Forecast({ forecast }) {
  const { overall, chapters, feasible, minutes_short: short, faces, minutes } = forecast;
  if (!overall) return html`<p class="notice">${t("noCardsInScope")}</p>`;
  const target = formatShare(forecast.target);
  const verdict = feasible ? t("feasible", { target }) : short === null ? t("notFeasible", { target }) : t("minutesShort", { target, minutes: short });
  return html`<section class="card forecast">
    <h2>${t("forecast")}</h2>
    <p class=${feasible ? "reached" : "wrong"} role="status">${verdict}</p>
    <${Bands} title=${t("allCards", { count: faces })} bands=${overall} target=${forecast.target} />
    <small>${t("forecastHint", { minutes })}</small>
    ${chapters.length > 1 && html`<details><summary>${t("byChapter")}</summary>
      ${chapters.map((it) => html`<${Bands} key=${it.chapter_id} title=${`${it.title ?? t("otherCards")} (${it.faces})`} bands=${it} target=${forecast.target} />`)}</details>`}
  </section>`;
}

function Plan({ plan: { minutes, minutes_planned: planned, count, cards } }) {
  return html`<section class="card">
    <h2>${t("planToday")}</h2>
    <p>${t("planMinutes", { minutes, planned, count })} <a href="#/study/due">${t("study.due")}</a></p>
    <ol class="planned">${cards.map((it) => html`<li key=${`${it.id}-${it.face}`}><span dir="auto">${lineOf(it)}</span> <small class="badge">${t(`why.${it.why}`)}</small></li>`)}</ol>
    ${count > cards.length && html`<small>${t("planMore", { count: count - cards.length })}</small>`}
  </section>`;
}

/** The URL is shown once, as the server stores only a hash of it. */
function Calendar({ exam, path }) {
  const [url, setUrl] = useState(null);
  const [isOpen, setOpen] = useState(exam.has_calendar_link);
  const create = async () => {
    setUrl((await call("POST", path)).url);
    setOpen(true);
  };
  const end = async () => {
    await call("DELETE", path);
    setUrl(null);
    setOpen(false);
  };
  const copy = async () => {
    await navigator.clipboard.writeText(url);
    toast(t("copied"), "success");
  };
  return html`<section class="card">
    <h2>${t("calendar")}</h2>
    <p class="hint">${t("calendarWhat")}</p>
    ${url && html`<a dir="ltr" href=${url}>${url}</a>`}
    <span class="row">
      ${url && html`<${Action} class="small primary" run=${copy}>${t("copyLink")}<//>`}
      <${Action} class="small" run=${create}>${t(isOpen ? "newLink" : "makeLink")}<//>
      ${isOpen && html`<${Action} class="small quiet danger" run=${end}>${t("endLink")}<//>`}</span>
  </section>`;
}
