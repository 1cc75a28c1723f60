/** The form for a new quiz: its subject, length and kinds of questions. */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { language, t } from "page/i18n.js";
import { loadTags, tags } from "page/notes.js";
import { More, pagedList } from "page/pages.js";
import { go } from "page/router.js";
import { attempt, Dialog, Field, Form, html } from "page/ui.js";

const KINDS = ["choice", "gap", "order", "match"];
const COUNT = 10;
const COUNT_MAX = 50;

const notes = pagedList(() => "/api/notes/?page_size=50");

/** `scope` is `{label, body}`: the subject in words and in the API's form. Without it the form asks for one. */
export function QuizForm({ scope, onClose }) {
  const make = async ({ count, by }, form) => {
    const chosen = new FormData(form);
    const about = scope?.body ?? (by === "tags" ? { tags: chosen.getAll("tag") } : { note_ids: chosen.getAll("note").map(Number) });
    const quiz = await call("POST", "/api/study/quizzes/", {
      body: { ...about, count: Number(count), kinds: chosen.getAll("kind") },
      key: newKey(),
      language: language.value, // for reading the user's numbers
    });
    onClose();
    go(`/study/quizzes/${quiz.id}`);
  };
  return html`<${Dialog} title=${t("quizNew")} onClose=${onClose}>
    <${Form} label=${t("quizStart")} send=${make}>${(problem) => {
      const wrong = (pointer) => problem?.of?.(pointer);
      return html`${scope ? html`<p><b dir="auto">${scope.label}</b></p>` : html`<${About} wrong=${wrong} />`}
        <${Field} label=${t("quizCount")} name="count" type="number" required min="1" max=${COUNT_MAX} defaultValue=${COUNT} error=${wrong("/count")} />
        <fieldset><legend>${t("quizKinds")}</legend>
          ${wrong("/kinds") && html`<small class="wrong">${wrong("/kinds")}</small>`}
          ${KINDS.map((it) => html`<label class="row"><input type="checkbox" name="kind" value=${it} defaultChecked /> ${t(`quiz.${it}`)}</label>`)}
        </fieldset>`;
    }}<//>
  <//>`;
}

/** Notes, or tags: the API takes one of the two. */
function About({ wrong }) {
  const [by, choose] = useState("notes");
  useEffect(() => {
    attempt(loadTags);
    notes.load();
    return notes.forget;
  }, []);
  const problem = wrong("/note_ids") || wrong("/tags");
  const radio = (value) => html`<label class="row"><input type="radio" name="by" value=${value} checked=${by === value} onChange=${() => choose(value)} /> ${t(value)}</label>`;
  const box = (name, value, label) => html`<label class="row"><input type="checkbox" name=${name} value=${value} /> <span dir="auto">${label}</span></label>`;
  return html`<fieldset><legend>${t("quizAbout")}</legend>
    <div class="row">${radio("notes")}${radio("tags")}</div>
    ${problem && html`<small class="wrong">${problem}</small>`}
    <div class="choices" key=${by}>${by === "notes"
      ? html`${notes.state.value.items.map((it) => box("note", it.id, it.title))}<${More} list=${notes} />`
      : tags.value.map((it) => box("tag", it.tag, `${it.tag} (${it.count})`))}</div></fieldset>`;
}
