/** Import of notes from a file, with the outcome of each. */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { notes } from "page/notes.js";
import { Action, attempt, html, sayProblem } from "page/ui.js";

const POLL_MS = 1500;
const OUTCOMES = ["created", "updated", "unchanged", "conflict", "skipped", "failed"];
const isOver = ({ status }) => ["succeeded", "failed", "cancelled"].includes(status);

export function Import() {
  const [job, setJob] = useState(null);
  const [problem, setProblem] = useState(null);
  const start = async (event) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    setProblem(null);
    try {
      setJob(await call("POST", "/api/notes/imports/", { form, key: newKey() }));
    } catch (error) {
      setProblem(error);
    }
  };
  useEffect(() => {
    if (!job || isOver(job)) return undefined;
    const timer = setTimeout(() => attempt(async () => {
      const now = await call("GET", `/api/notes/imports/${job.id}/`);
      if (isOver(now) && !now.dry_run) await notes.load();
      setJob(now);
    }), POLL_MS);
    return () => clearTimeout(timer);
  }, [job]);
  return html`<h1>${t("import")}</h1><p><a href="#/">‹ ${t("notes")}</a></p>
    <section class="card"><p>${t("importWhat")}</p>
      <form class="form" onSubmit=${start}>
        <label class="field"><span>${t("file")}</span><input type="file" name="file" required /></label>
        <label class="row"><input type="checkbox" name="dry_run" value="true" /> ${t("dryRun")}</label>
        ${problem && html`<p class="wrong" role="alert">${sayProblem(problem)}</p>`}
        <button class="primary" disabled=${job && !isOver(job)}>${t("import")}</button>
      </form></section>
    ${job && html`<${Report} job=${job} cancel=${async () => setJob(await call("POST", `/api/notes/imports/${job.id}/cancel/`))} />`}`;
}

function Report({ job, cancel }) {
  const { report, error } = job;
  return html`<section class="card" aria-live="polite"><h2 dir="auto">${job.name}</h2>
    <p>${t(`job.${job.status}`)}${job.dry_run && html` · ${t("dryRun")}`}</p>
    ${!isOver(job) && html`<div class="row"><progress max="100" value=${job.progress} aria-label=${t("progress")}></progress><${Action} class="small" run=${cancel}>${t("cancel")}<//></div>`}
    ${error && html`<p class="wrong" role="alert">${sayProblem(error)}</p>`}
    ${report && html`<p>${OUTCOMES.filter((it) => report[it]).map((it) => html`<span class="badge">${t(`outcome.${it}`)}: ${report[it]}</span> `)}</p>
      <ul class="plain">${report.files.map((it) => html`<li class="card-row"><b dir="auto">${it.note_id ? html`<a href=${`#/note/${it.note_id}`}>${it.name}</a>` : it.name}</b>
        <small>${t(`outcome.${it.outcome}`)}</small>${it.warnings.map((warning) => html`<p class="notice">${warning}</p>`)}</li>`)}</ul>`}
  </section>`;
}
