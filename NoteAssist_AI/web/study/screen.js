/** Study: what is due, the cards, exams, how it goes, and how one wants to study. */
import { t } from "page/i18n.js";
import { route } from "page/router.js";
import { html, Later } from "page/ui.js";

const PARTS = {
  due: { load: () => import("page/study/due.js"), name: "Due" },
  cards: { load: () => import("page/study/cards.js"), name: "Cards" },
  exams: { load: () => import("page/study/exams.js"), name: "Exams" },
  stats: { load: () => import("page/study/stats.js"), name: "Stats" },
  settings: { load: () => import("page/study/settings.js"), name: "Settings" },
};

export function Study() {
  const shown = route.value.part in PARTS ? route.value.part : "due";
  return html`<h1>${t("study")}</h1>
    <nav class="tabs" aria-label=${t("study")}>
      ${Object.keys(PARTS).map((it) => html`<a href=${`#/study/${it}`} aria-current=${it === shown ? "page" : undefined}>${t(`study.${it}`)}</a>`)}
    </nav>
    <${Later} key=${shown} ...${PARTS[shown]} />`;
}
