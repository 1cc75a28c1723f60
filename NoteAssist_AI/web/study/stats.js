/** Statistics: reviews, the share of known cards, and upcoming ones. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { formatDay, formatShare, t } from "page/i18n.js";
import { send } from "page/study/log.js";
import { attempt, html } from "page/ui.js";

const DAYS = 30;

export function Stats() {
  const [stats, setStats] = useState(null);
  const read = async () => {
    await send(); // so that the latest reviews count
    setStats(await call("GET", `/api/study/stats/?days=${DAYS}`));
  };
  useEffect(() => { attempt(read); }, []);
  if (!stats) return html`<p class="loading">${t("loading")}</p>`;
  const { days, retention, tags, load, cards } = stats;
  const share = (value) => (value === null ? "–" : formatShare(value));
  return html`<section class="card">
      <h2>${t("reviewsOfDays", { days: DAYS })}</h2>
      <${Bars} label=${t("reviewsOfDays", { days: DAYS })} bars=${days.map((it) => ({ day: it.day, value: it.reviews }))} />
      <dl class="facts-list">
        <dt>${t("reviewed")}</dt><dd>${days.reduce((sum, it) => sum + it.reviews, 0)}</dd>
        <dt>${t("known")}</dt><dd>${share(retention.true)}</dd>
        <dt>${t("expected")}</dt><dd>${share(retention.predicted)}</dd>
      </dl></section>
    <section class="card"><h2>${t("comingUp", { days: DAYS })}</h2>
      <${Bars} label=${t("comingUp", { days: DAYS })} bars=${load.map((it) => ({ day: it.day, value: it.faces }))} /></section>
    <section class="card"><h2>${t("study.cards")}</h2>
      <dl class="facts-list">${Object.entries(cards).map(([state, count]) => html`<dt>${t(state === "suspended" ? state : `state.${state}`)}</dt><dd>${count}</dd>`)}</dl></section>
    ${tags.length > 0 && html`<section class="card"><h2>${t("tags")}</h2>
      <table><thead><tr><th>${t("tag")}</th><th>${t("reviewed")}</th><th>${t("known")}</th><th>${t("expected")}</th></tr></thead>
        <tbody>${tags.map((it) => html`<tr><td dir="auto">${it.tag}</td><td>${it.reviews}</td><td>${share(it.true)}</td><td>${share(it.predicted)}</td></tr>`)}</tbody></table></section>`}`;
}

/** A bar for each day. Screen readers get the days with a value. */
function Bars({ label, bars }) {
  const most = Math.max(1, ...bars.map((it) => it.value));
  const said = bars.filter((it) => it.value > 0).map((it) => `${formatDay(it.day)}: ${it.value}`).join(", ");
  return html`<figure class="bars">
    <svg viewBox=${`0 0 ${bars.length * 10} 60`} preserveAspectRatio="none" role="img" aria-label=${`${label}: ${said || 0}`}>
      ${bars.map(({ value }, index) => {
        const height = value ? Math.max(2, (56 * value) / most) : 0.7;
        return html`<rect x=${index * 10 + 1} y=${60 - height} width="8" height=${height} />`;
      })}
    </svg>
    <figcaption class="row spread"><small>${formatDay(bars[0].day)}</small><small>${t("atMost", { count: most })}</small><small>${formatDay(bars.at(-1).day)}</small></figcaption>
  </figure>`;
}
