/** An edit conflict: the topic was changed by somebody else, and the user chooses which text stays. */
import { t } from "page/i18n.js";
import { Action, Dialog, html } from "page/ui.js";

const NAMES = { title: "title", explanation: "field.block", code: "code", code_language: "codeLanguage" };
const FIELDS = Object.keys(NAMES);

export function Conflict({ mine, theirs, keepMine, keepTheirs, onClose }) {
  const differing = FIELDS.filter((field) => mine[field] !== theirs[field]);
  const column = (topic, other) => differing.map((field) => html`<${Blocks} label=${t(NAMES[field])} text=${topic[field]} other=${other[field]} />`);
  return html`<${Dialog} title=${t("conflict")} onClose=${onClose} wide>
    <p>${t("conflictWhy")}</p>
    <div class="columns">
      <section><h3>${t("yours")}</h3>${column(mine, theirs)}<${Action} class="primary" run=${keepMine}>${t("keepYours")}<//></section>
      <section><h3>${t("theirs")}</h3>${column(theirs, mine)}<${Action} run=${keepTheirs}>${t("keepTheirs")}<//></section>
    </div>
    <p class="hint">${t("conflictHint")}</p>
  <//>`;
}

/** A text, split at blank lines; blocks that the other text does not have are marked. */
function Blocks({ label, text, other }) {
  const blocksOf = (whole) => whole.trim().split(/\n\s*\n/);
  const known = new Set(blocksOf(other));
  return html`<section class="blocks" tabindex="0" aria-label=${label}><small>${label}</small>
    ${blocksOf(text).map((block) => html`<p class="words" dir="auto">${known.has(block) ? block : html`<mark>${block}</mark>`}</p>`)}</section>`;
}
