/** The form for a new or an existing card. */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { t } from "page/i18n.js";
import { attempt, Dialog, Field, Form, html, toast } from "page/ui.js";

const KINDS = ["basic", "reversed", "cloze"];
const NEW = { kind: "basic", front: "", back: "", tags: [] };

/** `card` is the card to change, or the initial values of a new one, such as its `topic_id`. */
export function CardForm({ card: given = {}, onSaved = () => {}, onClose }) {
  const card = { ...NEW, ...given };
  const [kind, setKind] = useState(card.kind);
  const isNew = card.id === undefined;
  const save = async ({ front, back, tags, block_id: blockId }) => {
    const body = { kind, front, back, tags: tags.split(",").map((it) => it.trim()).filter(Boolean) };
    const place = card.topic_id ? { topic_id: card.topic_id, block_id: blockId || null } : {};
    const saved = isNew
      ? await call("POST", "/api/study/cards/", { body: { ...body, ...place }, key: newKey() })
      : await call("PATCH", `/api/study/cards/${card.id}/`, { body, ifMatch: `"${card.version}"` });
    onSaved(saved);
    toast(t("saved"), "success");
    onClose();
  };
  const area = (name, label, problem, isRequired) => html`<label class="field"><span>${label}</span>
    <textarea name=${name} rows="4" required=${isRequired} defaultValue=${card[name]} dir="auto"></textarea>
    ${problem?.of?.(`/${name}`) && html`<small class="wrong">${problem.of(`/${name}`)}</small>`}</label>`;
  return html`<${Dialog} title=${t(isNew ? "newCard" : "editCard")} onClose=${onClose}>
    <${Form} label=${t("save")} send=${save}>${(problem) => html`
      <label class="field"><span>${t("kind")}</span>
        <select value=${kind} onChange=${(event) => setKind(event.target.value)}>${KINDS.map((it) => html`<option value=${it}>${t(`kind.${it}`)}</option>`)}</select></label>
      ${area("front", t(kind === "cloze" ? "clozeText" : "front"), problem, true)}
      ${kind === "cloze" && html`<small class="hint">${t("clozeHint")} <code dir="ltr">{{c1::Paris}}</code></small>`}
      ${area("back", t(kind === "cloze" ? "shownBesides" : "back"), problem, kind !== "cloze")}
      ${isNew && card.topic_id && html`<${Passage} topicId=${card.topic_id} />`}
      <${Field} label=${t("tags")} name="tags" hint=${t("tagsHint")} defaultValue=${card.tags.join(", ")} dir="auto" error=${problem?.of?.("/tags")} />`}<//>
  <//>`;
}

/** The block that the card is about: when it changes, the card is marked as stale. */
function Passage({ topicId }) {
  const [blocks, setBlocks] = useState([]);
  useEffect(() => { attempt(async () => setBlocks((await call("GET", `/api/topics/${topicId}/blocks/`)).results)); }, []);
  return html`<label class="field"><span>${t("passage")}</span>
    <select name="block_id"><option value="">${t("wholeTopic")}</option>
      ${blocks.filter((it) => it.text.trim()).map((it) => html`<option value=${it.id}>${it.text.trim().slice(0, 80)}</option>`)}</select>
    <small>${t("passageHint")}</small></label>`;
}
