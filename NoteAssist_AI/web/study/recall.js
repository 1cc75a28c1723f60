/** Free recall: the user explains a topic from memory, and sees what the text covers. `#/study/recall/<id>` */
import { useEffect, useState } from "preact/hooks";
import { call, newKey } from "page/api.js";
import { formatTime, t } from "page/i18n.js";
import { Markdown } from "page/markdown.js";
import { addressOfTopic } from "page/notes.js";
import { go, route } from "page/router.js";
import { get, put, remove } from "page/store.js";
import { attempt, Form, html, sayProblem } from "page/ui.js";

const BYTES_MAX = 20_000;
const STATES = ["covered", "partial", "missing", "contradicted"];

/** A number is a topic to explain, a UUID an existing recall. */
export function Recall() {
  const { item } = route.value;
  return /^\d+$/.test(item) ? html`<${Write} key=${item} topicId=${Number(item)} />` : html`<${Compared} key=${item} id=${item} />`;
}

const Back = () => html`<p><a href="#/study/quizzes">${t("quizAll")}</a></p>`;

function Failed({ problem, load }) {
  return html`<${Back} /><p class="wrong" role="alert">${sayProblem(problem)} <button type="button" class="link" onClick=${load}>${t("tryAgain")}</button></p>`;
}

/** The text is stored in the browser until it is sent. */
function Write({ topicId }) {
  const [topic, setTopic] = useState(null);
  const [kept, setKept] = useState("");
  const [problem, setProblem] = useState(null);
  const draft = `recall:${topicId}`;
  const load = async () => {
    try {
      setProblem(null);
      const it = await call("GET", `/api/topics/${topicId}/`);
      setKept((await get("kept", draft)) ?? "");
      setTopic(it);
    } catch (error) {
      setProblem(error);
    }
  };
  useEffect(() => { load(); }, []);
  if (problem) return html`<${Failed} problem=${problem} load=${load} />`;
  if (!topic) return html`<p class="loading">${t("loading")}</p>`;
  const compare = async ({ text }) => {
    const recall = await call("POST", "/api/study/recalls/", { body: { topic_id: topicId, text }, key: newKey() });
    await remove("kept", draft);
    go(`/study/recall/${recall.id}`);
  };
  return html`<${Back} /><section class="card">
    <h2>${t("recallTopic")}: <span dir="auto">${topic.title}</span></h2>
    <p class="hint">${t("recallWhat")}</p>
    <${Form} label=${t("recallCompare")} send=${compare}>${(wrong) => html`
      <label class="field"><span>${t("recallText")}</span>
        <textarea name="text" rows="10" maxlength=${BYTES_MAX} dir="auto" required defaultValue=${kept} onInput=${({ target }) => attempt(() => put("kept", draft, target.value))}></textarea>
        ${wrong?.of?.("/text") && html`<small class="wrong">${wrong.of("/text")}</small>`}</label>`}<//>
  </section>`;
}

/** A recall next to the topic's current passages. */
function Compared({ id }) {
  const [shown, setShown] = useState(null);
  const [problem, setProblem] = useState(null);
  const load = async () => {
    try {
      setProblem(null);
      const recall = await call("GET", `/api/study/recalls/${id}/`);
      setShown({ recall, ...(await topicOf(recall.topic_id)) });
    } catch (error) {
      setProblem(error);
    }
  };
  useEffect(() => { load(); }, []);
  if (problem) return html`<${Failed} problem=${problem} load=${load} />`;
  if (!shown) return html`<p class="loading">${t("loading")}</p>`;
  const { recall, title, address, texts } = shown;
  const count = (state) => recall.blocks.filter((it) => it.state === state).length;
  return html`<${Back} />
    <section class="card outcome"><h2>${t("recallScore", { score: recall.score })}</h2>
      <meter min="0" max="100" value=${recall.score} aria-label=${t("recallScore", { score: recall.score })}></meter>
      <p><b dir="auto">${title}</b> <small>${formatTime(recall.created_at)}</small></p>
      <p>${STATES.map((it) => html`<span class=${`badge ${it}`}>${t(`recall.${it}`)}: ${count(it)}</span> `)}</p>
      ${recall.notice && html`<p class="notice">${t(recall.blocks.length ? "recallLong" : "recallEmpty")}</p>`}
      ${address && html`<p><a href=${`#/study/recall/${recall.topic_id}`}>${t("tryAgain")}</a></p>`}
    </section>
    <ol class="plain">${recall.blocks.map((block) => html`<li key=${block.block_id} class=${`card-row recalled ${block.state}`}>
      <span class="row spread"><span class=${`badge ${block.state}`}>${t(`recall.${block.state}`)}</span>
        ${texts.has(block.block_id) && html`<a href=${`#${address}/${block.block_id}`}>${t("openPassage")}</a>`}</span>
      ${texts.has(block.block_id) ? html`<${Markdown} text=${texts.get(block.block_id)} />` : html`<p class="hint">${t("quote.gone")}</p>`}
      ${block.evidence && html`<blockquote class="passage"><small>${t("recallEvidence")}</small><p dir="auto">${block.evidence}</p></blockquote>`}
    </li>`)}</ol>
    <details class="card"><summary>${t("recallText")}</summary><p class="words" dir="auto">${recall.text}</p></details>`;
}

/** The topic's title, its address in this client, and its passages by id; all empty for a deleted topic. */
async function topicOf(topicId) {
  const texts = new Map();
  try {
    const [{ title }, address] = await Promise.all([call("GET", `/api/topics/${topicId}/`), addressOfTopic(topicId)]);
    for (let next = `/api/topics/${topicId}/blocks/`; next; ) {
      const page = await call("GET", next);
      for (const it of page.results) texts.set(it.id, it.text);
      next = page.next;
    }
    return { title, address, texts };
  } catch (error) {
    if (error.status !== 404) throw error;
    return { title: "", address: null, texts };
  }
}
