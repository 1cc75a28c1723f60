/** All cards: finding, writing, suspending and deleting them. */
import { useEffect, useState } from "preact/hooks";
import { signal } from "@preact/signals";
import { call } from "page/api.js";
import { formatTime, t } from "page/i18n.js";
import { More, pagedList, TYPING_MS } from "page/pages.js";
import { CardForm } from "page/study/form.js";
import { lineOf } from "page/study/sides.js";
import { Action, html, saveAs, sayProblem, toast } from "page/ui.js";

const STATES = ["proposed", "new", "learning", "review", "relearning"];
const EVERYTHING = { q: "", state: "", stale: "" };

const filter = signal(EVERYTHING);
const cards = pagedList(() => {
  const query = new URLSearchParams({ page_size: 30 });
  for (const [name, value] of Object.entries(filter.value)) if (value.trim()) query.set(name, value.trim());
  return `/api/study/cards/?${query}`;
});

function narrow(change) {
  filter.value = { ...filter.value, ...change };
  cards.loadIn("q" in change ? TYPING_MS : 0);
}

export function Cards() {
  const [isWriting, write] = useState(false);
  useEffect(() => {
    cards.load();
    return () => {
      cards.forget();
      filter.value = EVERYTHING;
    };
  }, []);
  const { items, isLoading, problem } = cards.state.value;
  const { q, state, stale } = filter.value;
  const isNarrowed = q || state || stale;
  const download = async () => saveAs(await call("GET", "/api/study/export.apkg", { raw: true }), "cards.apkg");
  return html`<p class="row"><button type="button" class="primary" onClick=${() => write(true)}>${t("newCard")}</button>
      <${Action} class="quiet" run=${download}>${t("forAnki")}<//></p>
    <div class="filters" role="search">
      <input type="search" aria-label=${t("search")} placeholder=${t("search")} value=${q} maxlength="200" dir="auto" onInput=${(event) => narrow({ q: event.target.value })} />
      <select aria-label=${t("state")} value=${state} onChange=${(event) => narrow({ state: event.target.value })}>
        <option value="">${t("anyState")}</option>
        ${STATES.map((it) => html`<option value=${it}>${t(`state.${it}`)}</option>`)}
      </select>
      <label class="row"><input type="checkbox" checked=${stale === "true"} onChange=${(event) => narrow({ stale: event.target.checked ? "true" : "" })} /> ${t("onlyStale")}</label>
    </div>
    ${problem && html`<p class="wrong" role="alert">${sayProblem(problem)}</p>`}
    <ul class="plain" aria-busy=${isLoading}>${items.map((card) => html`<${Row} key=${card.id} card=${card} />`)}</ul>
    ${!isLoading && items.length === 0 && html`<p class="hint">${t(isNarrowed ? "nothingFound" : "noCards")}</p>`}
    <${More} list=${cards} />
    ${isWriting && html`<${CardForm} onSaved=${(card) => cards.change((them) => [card, ...them])} onClose=${() => write(false)} />`}`;
}

const replace = (card) => cards.change((items) => items.map((it) => (it.id === card.id ? card : it)));
const removeFromList = ({ id }) => cards.change((items) => items.filter((it) => it.id !== id));

function Row({ card }) {
  const [isEditing, edit] = useState(false);
  const act = (action) => async () => replace(await call("POST", `/api/study/cards/${card.id}/${action}/`));
  const decide = (how) => async () => {
    const { cards: accepted } = await call("POST", "/api/study/cards/decide/", { body: { [how]: [card.id] } });
    if (accepted.length) replace(accepted[0]);
    else removeFromList(card);
  };
  const remove = async () => {
    if (!confirm(t("confirmDelete", { title: lineOf(card) }))) return;
    await call("DELETE", `/api/study/cards/${card.id}/`);
    removeFromList(card);
    toast(t("deleted"), "success");
  };
  const isProposed = card.state === "proposed";
  return html`<li class="card-row">
    <b dir="auto">${lineOf(card)}</b>
    <small>${t(`kind.${card.kind}`)} · ${t(`state.${card.state}`)}${card.due_at && html` · ${t("dueAt", { time: formatTime(card.due_at) })}`}
      ${card.suspended && html` · ${t("suspended")}`}${card.orphan && html` · ${t("orphan")}`}</small>
    ${card.stale && html`<p class="notice">${t("stale")} <${Action} class="small" run=${act("confirm")}>${t("stillRight")}<//></p>`}
    <span class="row">
      ${isProposed
        ? html`<${Action} class="small primary" run=${decide("accept")}>${t("accept")}<//><${Action} class="small" run=${decide("reject")}>${t("reject")}<//>`
        : html`<${Action} class="small quiet" run=${act(card.suspended ? "unsuspend" : "suspend")}>${t(card.suspended ? "unsuspend" : "suspend")}<//>
          <${Action} class="small quiet" run=${act("reset")}>${t("learnAnew")}<//>`}
      <button type="button" class="small quiet" onClick=${() => edit(true)}>${t("edit")}</button>
      <${Action} class="small quiet danger" run=${remove}>${t("delete")}<//>
    </span>
    ${isEditing && html`<${CardForm} card=${card} onSaved=${replace} onClose=${() => edit(false)} />`}
  </li>`;
}
