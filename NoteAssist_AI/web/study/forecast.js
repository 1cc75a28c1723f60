/** Expected recall as a plot that is also a table: each row has a band, and its values as text. */
import { formatShare, t } from "page/i18n.js";
import { html } from "page/ui.js";

const COURSES = ["no_study", "plan", "due_first"];

/** `bands` has `{p10, p50, p90}` (0 to 1) for each course; the dashed line is the target. */
export function Bands({ title, bands, target }) {
  return html`<table class="bands">
    <caption dir="auto">${title}</caption>
    <tbody>${COURSES.map((it) => html`<tr key=${it}>
      <th scope="row">${t(`course.${it}`)}</th>
      <td><${Band} course=${it} ...${bands[it]} target=${target} /></td>
      <td><b>${formatShare(bands[it].p50)}</b> <small>${t("fromTo", { low: formatShare(bands[it].p10), high: formatShare(bands[it].p90) })}</small></td>
    </tr>`)}</tbody>
  </table>`;
}

/** From 0 to 100 %: a bar from p10 to p90, a line at p50. A narrow band gets a visible minimum width. */
function Band({ course, p10, p50, p90, target }) {
  const width = Math.max(1.5, (p90 - p10) * 100);
  return html`<svg class=${course} viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">
    <rect class="ground" x="0" y="8.5" width="100" height="3" />
    <rect class="band" x=${Math.min(p10 * 100, 100 - width)} y="4" width=${width} height="12" />
    <line x1=${p50 * 100} x2=${p50 * 100} y1="2" y2="18" vector-effect="non-scaling-stroke" />
    <line class="target" x1=${target * 100} x2=${target * 100} y1="0" y2="20" vector-effect="non-scaling-stroke" />
  </svg>`;
}
