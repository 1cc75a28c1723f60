/** The study screen: due cards, all cards, quizzes, exams, statistics and settings. */
import { t } from "page/i18n.js";
import { route } from "page/router.js";
import { html, Later } from "page/ui.js";

const PARTS = {
  due: { load: () => import("page/study/due.js"), name: "Due" },
  cards: { load: () => import("page/study/cards.js"), name: "Cards" },
  quizzes: { load: () => import("page/study/quizzes.js"), name: "Quizzes" },
  recall: { load: () => import("page/study/recall.js"), name: "Recall", tab: "quizzes" },
  exams: { load: () => import("page/study/exams.js"), name: "Exams" },
  stats: { load: () => import("page/study/stats.js"), name: "Stats" },
  settings: { load: () => import("page/study/settings.js"), name: "Settings" },
};

const TABS = Object.keys(PARTS).filter((it) => !PARTS[it].tab);

export function Study() {
  const { part, item } = route.value;
  const shown = part in PARTS && (part !== "recall" || item) ? part : "due";
  const { tab = shown, ...module } = PARTS[shown];
  return html`<h1>${t("study")}</h1>
    <nav class="tabs" aria-label=${t("study")}>
      ${TABS.map((it) => html`<a href=${`#/study/${it}`} aria-current=${it === tab ? "page" : undefined}>${t(`study.${it}`)}</a>`)}
    </nav>
    <${Later} key=${shown} ...${module} />`;
}
