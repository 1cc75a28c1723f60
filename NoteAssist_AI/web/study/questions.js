/** The four kinds of questions; each can be answered by mouse, touch, keyboard and screen reader. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { t } from "page/i18n.js";
import { Markdown } from "page/markdown.js";
import { handle, place } from "page/moving.js";
import { html } from "page/ui.js";

const TYPED_MAX = 2000;

/** `value` is the answer in the API's form, or null; `change` sets a new one. */
export function Question({ question, value, change }) {
  const Kind = { choice: Choice, gap: Gap, order: Order, match: Match }[question.kind];
  return html`<${Prompt} question=${question} /><${Kind} question=${question} value=${value} change=${change} />`;
}

/** The question as Markdown. For order and match, its last paragraph repeats in English what the kind's text says. */
export function Prompt({ question: { kind, prompt } }) {
  const paragraphs = prompt.split("\n\n");
  const isSaid = kind === "order" || kind === "match" || paragraphs.at(-1) === "____"; // then a field follows
  const text = (isSaid ? paragraphs.slice(0, -1) : paragraphs).join("\n\n");
  return text && html`<${Markdown} text=${text.replaceAll("____", "[…]")} />`;
}

/** A short text without Markdown markers, for places that show plain text. */
export function bare(text) {
  return text.replace(/(\*\*|__|`|\*)(?=\S)(.+?)(?<=\S)\1/g, "$2");
}

function Choice({ question, value, change }) {
  return html`<div class="options" role="radiogroup" aria-label=${t("quiz.choice")}>
    ${question.choices.map((choice, index) => html`<label class="option"><input type="radio" name=${question.id} checked=${value === index} onChange=${() => change(index)} />
      <span dir="auto">${bare(choice)}</span></label>`)}
  </div>`;
}

function Gap({ value, change }) {
  return html`<label class="field"><span>${t("quizYours")}</span>
    <input value=${value ?? ""} maxlength=${TYPED_MAX} dir="auto" autocomplete="off" autocapitalize="off" spellcheck=${false}
      onInput=${({ target }) => change(target.value || null)} /></label>`;
}

/** Items are moved by arrow buttons or dragged. A moved item keeps the focus and is announced. */
function Order({ question, value, change }) {
  const [said, say] = useState("");
  const moved = useRef(null); // the button to focus again, as moving an item may take its focus
  const list = useRef(null);
  useLayoutEffect(() => {
    if (moved.current) list.current.querySelector(`[data-button="${moved.current}"]`)?.focus();
    moved.current = null;
  });
  const textOf = (id) => bare(question.items.find((it) => it.id === id).text);
  const move = (id, to) => {
    if (to < 0 || to >= value.length) return;
    const next = value.filter((it) => it !== id);
    next.splice(to, 0, id);
    say(t("quizMoved", { title: textOf(id), n: to + 1, count: next.length }));
    change(next);
  };
  const press = (id, to, button) => () => {
    moved.current = button;
    move(id, to);
  };
  const drop = (index) => ({ id, question: from }, isAfter) => {
    if (from !== question.id) return;
    const target = index + (isAfter ? 1 : 0);
    move(id, value.indexOf(id) < target ? target - 1 : target); // its old position is removed
  };
  const arrow = (id, index, by, label, sign) => html`<button type="button" class="small" data-button=${`${sign}${id}`} aria-label=${t(label, { title: textOf(id) })}
    aria-disabled=${!(index + by in value)} onClick=${press(id, index + by, `${sign}${id}`)}>${sign}</button>`;
  return html`<ol class="plain order" ref=${list}>${value.map((id, index) => html`<li key=${id} class="option" ...${place(drop(index))}>
      <span class="handle" aria-hidden="true" title=${t("drag")} ...${handle({ id, question: question.id })}>⠿</span>
      <b aria-hidden="true">${index + 1}</b><span class="grow" dir="auto">${textOf(id)}</span>
      ${arrow(id, index, -1, "moveUp", "↑")}${arrow(id, index, 1, "moveDown", "↓")}</li>`)}</ol>
    <p class="said" role="status">${said}</p>`;
}

/** Pairs each left item with a right one. A right item that is chosen again leaves its former pair. */
function Match({ question: { pairs }, value, change }) {
  const choose = (left, right) => {
    const others = Object.entries(value ?? {}).filter(([it, taken]) => it !== left && taken !== right);
    const next = Object.fromEntries(right ? [...others, [left, right]] : others);
    change(Object.keys(next).length ? next : null);
  };
  return html`<div class="pairs">${pairs.left.map((left) => html`<label class="field"><span dir="auto">${bare(left.text)}</span>
    <select value=${value?.[left.id] ?? ""} onChange=${({ target }) => choose(left.id, target.value)}>
      <option value="">–</option>
      ${pairs.right.map((it) => html`<option value=${it.id}>${bare(it.text)}</option>`)}</select></label>`)}</div>`;
}
