/** Cards that AI proposes for a topic; each is accepted or rejected, by mouse or keyboard. */
import { useEffect, useState } from "preact/hooks";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { Markdown } from "page/markdown.js";
import { decisionKeys } from "page/proposal.js";
import { sidesOf } from "page/study/sides.js";
import { loadTask } from "page/tasks.js";
import { Action, attempt, html } from "page/ui.js";

/** The maximum number of cards in one request to `cards/decide/`. */
const SHOWN = 100;

/** All undecided cards of the task's topic, including those of earlier tasks. */
export function MadeCards({ task }) {
  const [cards, setCards] = useState(null);
  const [decided, setDecided] = useState({}); // "accepted" or "rejected", by the card's id
  const isKnown = task.result !== undefined; // lists show tasks without their answers
  useEffect(() => { if (!isKnown) attempt(() => loadTask(task.id)); }, [task.id]);
  const load = async () => {
    if (!task.topic_id) return setCards([]); // the topic was deleted
    const page = await call("GET", `/api/study/cards/?topic=${task.topic_id}&state=proposed&page_size=${SHOWN}`);
    return setCards(page.results.reverse()); // in the order of the text
  };
  useEffect(() => { attempt(load); }, [task.id]);
  if (!isKnown || !cards) return html`<p class="loading">${t("loading")}</p>`;
  if (task.result === null) return null;
  const decide = async (how, ids) => {
    await call("POST", "/api/study/cards/decide/", { body: { [how]: ids } });
    setDecided((before) => ({ ...before, ...Object.fromEntries(ids.map((id) => [id, `${how}ed`])) }));
  };
  const open = cards.map((it) => it.id).filter((id) => !(id in decided));
  return html`${task.result.notice && html`<p class="notice" dir="auto">${task.result.notice}</p>`}
    <div class="proposal" role="group" aria-label=${t("proposedCards")}>
      ${cards.length === 0 && html`<p class="hint">${t("noProposedCards")}</p>`}
      ${cards.map((card) => html`<${ProposedCard} key=${card.id} card=${card} status=${decided[card.id] ?? "open"} decide=${decide} />`)}
      ${open.length > 0 && html`<p class="row">
        <${Action} class="primary small" run=${() => decide("accept", open)}>${t("acceptAll")}<//>
        <${Action} class="small" run=${() => decide("reject", open)}>${t("rejectAll")}<//>
        <small class="hint">${t("proposalKeys")}</small></p>`}
    </div>`;
}

function ProposedCard({ card, status, decide }) {
  const { question, answer } = sidesOf(card, 1);
  const isOpen = status === "open";
  const accept = () => decide("accept", [card.id]);
  const reject = () => decide("reject", [card.id]);
  return html`<section class=${`hunk ${status}`} tabindex="0" aria-label=${`${t("card")}: ${question}`} onKeyDown=${decisionKeys(isOpen && { accept, reject })}>
    <small>${t(`kind.${card.kind}`)}${!isOpen && html` · ${t(`hunk.${status}`)}`}</small>
    <${Markdown} text=${question} /><hr /><${Markdown} text=${answer} />
    ${isOpen && html`<span class="row"><${Action} class="small" run=${accept}>${t("accept")} <kbd>A</kbd><//>
      <${Action} class="small quiet" run=${reject}>${t("reject")} <kbd>R</kbd><//></span>`}
  </section>`;
}
