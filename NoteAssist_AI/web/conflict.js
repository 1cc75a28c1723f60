/** Two texts of one topic, written at the same time: whoever comes second says which one stays. */
import { t } from "page/i18n.js";
import { Action, Dialog, html } from "page/ui.js";

const FIELDS = ["title", "explanation", "code", "code_language"];

export function Conflict({ mine, theirs, keepMine, keepTheirs, onClose }) {
  const differing = FIELDS.filter((field) => mine[field] !== theirs[field]);
  const column = (topic) => differing.map((field) => html`<pre dir="auto" tabindex="0" aria-label=${field}>${topic[field]}</pre>`);
  return html`<${Dialog} title=${t("conflict")} onClose=${onClose} wide>
    <p>${t("conflictWhy")}</p>
    <div class="columns">
      <section><h3>${t("yours")}</h3>${column(mine)}<${Action} class="primary" run=${keepMine}>${t("keepYours")}<//></section>
      <section><h3>${t("theirs")}</h3>${column(theirs)}<${Action} run=${keepTheirs}>${t("keepTheirs")}<//></section>
    </div>
    <p class="hint">${t("conflictHint")}</p>
  <//>`;
}
