/** The changes that an AI answer proposes, block by block; each is accepted or rejected, by mouse or keyboard. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { call } from "page/api.js";
import { t } from "page/i18n.js";
import { inOrder } from "page/notes.js";
import { asked } from "page/tasks.js";
import { Action, attempt, html, sayProblem, toast } from "page/ui.js";

/** `reload` reads the note again after a change was accepted. */
export function Proposal({ id, reload }) {
  const [proposal, setProposal] = useState(null);
  const group = useRef(null);
  const after = useRef(null); // the change after which the focus goes on; null: it stays
  const path = `/api/proposals/${id}/`;
  const load = async () => setProposal(await call("GET", path));
  useEffect(() => { attempt(load); }, [id]);
  useLayoutEffect(() => { // before painting, so that the next key goes to the next change
    if (proposal && asked.delete(proposal.task_id)) after.current = 0;
    if (after.current !== null) focusOpen(group.current, after.current);
    after.current = null;
  }, [proposal]);
  /** Decide about some changes. Blocks that were edited meanwhile are shown again with their new text. */
  const decide = (decision) => inOrder(async () => {
    try {
      const { proposal: decided } = await call("POST", `${path}decide/`, { body: { accept: [], reject: [], ...decision } });
      after.current = Math.max(...Object.values(decision).flat());
      setProposal(decided);
      if (decision.accept) await reload();
    } catch (problem) {
      if (problem.status !== 412 && problem.status !== 409) throw problem;
      toast(sayProblem(problem), "error");
      await load();
    }
  });
  if (!proposal) return html`<p class="loading">${t("loading")}</p>`;
  const open = proposal.hunks.filter((it) => it.status === "open").map((it) => it.n);
  if (proposal.status === "superseded") return html`<p class="hint">${t("proposalSuperseded")}</p>`;
  return html`<div class="proposal" ref=${group} role="group" aria-label=${t("proposal")}>
    ${proposal.hunks.length === 0 && html`<p class="hint">${t("noDifference")}</p>`}
    ${proposal.hunks.map((hunk) => html`<${Hunk} key=${hunk.n} hunk=${hunk} decide=${decide} />`)}
    ${open.length > 0 && html`<p class="row">
      <${Action} class="primary small" run=${() => decide({ accept: open })}>${t("acceptAll")}<//>
      <${Action} class="small" run=${() => decide({ reject: open })}>${t("rejectAll")}<//>
      <small class="hint">${t("proposalKeys")}</small></p>`}
  </div>`;
}

/** Focus the open change after the nth, or else the first. The focus is taken from the nth or the button, and from nothing else. */
function focusOpen(group, n) {
  const at = document.activeElement;
  const hunks = [...(group?.querySelectorAll(".hunk") ?? [])];
  const from = n === 0 ? at.matches(".ask button") : hunks[n - 1]?.contains(at);
  if (at !== document.body && !from) return;
  const isOpen = (it) => it.classList.contains("open");
  (hunks.slice(n).find(isOpen) ?? hunks.find(isOpen))?.focus();
}

/** A accepts the focused change and R rejects it, if it is open; the arrow keys move the focus. */
export function decisionKeys(open) {
  return ({ key, repeat, ctrlKey, metaKey, altKey, currentTarget: it }) => {
    if (ctrlKey || metaKey || altKey) return;
    const neighbour = { ArrowDown: it.nextElementSibling, ArrowUp: it.previousElementSibling }[key];
    if (neighbour?.classList.contains("hunk")) neighbour.focus();
    if (!open || repeat) return; // a key that is held decides about one change only
    if (key.toLowerCase() === "a") attempt(open.accept);
    if (key.toLowerCase() === "r") attempt(open.reject);
  };
}

/** One change. */
function Hunk({ hunk, decide }) {
  const { n, op, before, after, status, drifted } = hunk;
  const isOpen = status === "open";
  const accept = () => decide({ accept: [n] });
  const reject = () => decide({ reject: [n] });
  return html`<section class=${`hunk ${status}`} tabindex="0" aria-label=${`${t(`hunk.${op}`)} ${n}`} onKeyDown=${decisionKeys(isOpen && { accept, reject })}>
    <small>${t(`hunk.${op}`)}${!isOpen && html` · ${t(`hunk.${status}`)}`}${drifted && html` · ${t("drifted")}`}</small>
    <p class="words" dir="auto">${op !== "move" && before && html`<del>${before.trim()}</del>`} ${after && html`<ins>${after.trim()}</ins>`}</p>
    ${isOpen && html`<span class="row"><${Action} class="small" run=${accept}>${t("accept")} <kbd>A</kbd><//>
      <${Action} class="small quiet" run=${reject}>${t("reject")} <kbd>R</kbd><//></span>`}
  </section>`;
}
