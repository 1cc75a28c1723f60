/**
 * Formulas in Markdown: inline `$…$`, display `$$…$$`. The rules are the same as on shared pages
 * (notes/markdown_pages.py), so "$5 and $6" is text. Temml, which makes MathML, is loaded with the first formula. Until
 * then, and for formulas that it does not understand, the source is shown.
 */
import { signal } from "@preact/signals";
import { attempt } from "page/ui.js";

const FORMULA_MAX = 2_000;
const TEXT_MAX = 20_000; // in characters, of all formulas of a text; the others are shown as source
const OPTIONS = { throwOnError: true, trust: refuse, maxSize: [20, 20], maxExpand: 1_000 }; // sizes in em

const temml = signal(null); // components that read this signal render again when Temml is loaded
let loading = null;

async function load() {
  temml.value = (await import("temml")).default;
}

/** Add parsing and rendering of formulas to a MarkdownIt. */
export function withFormulas(markdown) {
  markdown.inline.ruler.before("escape", "formula", inLine);
  markdown.block.ruler.before("fence", "formula", onLinesOfItsOwn, { alt: ["paragraph", "reference", "blockquote", "list"] });
  markdown.renderer.rules.formula = (tokens, index, _, env) => {
    const { content, markup } = tokens[index];
    const isBlock = markup === "$$";
    const math = mathOf(content, isBlock, env);
    if (math === null) return `<code>${markdown.utils.escapeHtml(`${markup}${content}${markup}`)}</code>`;
    return isBlock ? `<span class="formula" tabindex="0">${math}</span>` : math;
  };
}

function mathOf(latex, displayMode, env) {
  env.formulasLeft ??= TEXT_MAX;
  if (latex.length > Math.min(FORMULA_MAX, env.formulasLeft)) return null;
  env.formulasLeft -= latex.length;
  if (temml.value === null) {
    loading ??= attempt(load);
    return null;
  }
  try {
    // The Content-Security-Policy allows no styles. Texts in the result are escaped, so this matches only attributes.
    return temml.value.renderToString(latex, { ...OPTIONS, displayMode }).replace(/ style="[^"]*"/g, "");
  } catch {
    return null; // Temml may throw anything; the source is shown then
  }
}

/** Refuse formulas with links, images and attributes. */
function refuse({ command }) {
  throw new temml.value.ParseError(`${command} is not allowed here.`);
}

function inLine(state, silent) {
  const { src, pos, posMax } = state;
  if (src[pos] !== "$") return false;
  const [run] = /\$+/y.exec(src.slice(pos, posMax));
  const start = pos + run.length;
  let end = run.length > 2 ? -1 : endOf(src, start, posMax, run.length);
  if (run === "$" && src.slice(start, Math.max(start, end)).includes("`")) end = -1; // a dollar inside code does not end a formula
  if (!silent && end < 0) state.pending += run;
  if (!silent && end >= 0) Object.assign(state.push("formula", "", 0), { content: src.slice(start, end), markup: run });
  state.pos = end < 0 ? start : end + run.length;
  return true;
}

/** The index of the dollars that end the formula which begins at `start`, or -1. The rules are Pandoc's. */
function endOf(src, start, max, size) {
  if (size === 1 && /\s/.test(src[start])) return -1;
  for (let at = src.indexOf("$", start); at >= 0 && at + size <= max; at = src.indexOf("$", at + 1)) {
    if (size === 2) {
      if (src[at + 1] === "$") return at;
    } else if (src[at - 1] !== "\\") {
      return /\s/.test(src[at - 1]) || /\d/.test(src[at + 1]) ? -1 : at;
    }
  }
  return -1;
}

/** A block formula. Its lines are not parsed as Markdown, where one that begins with "+" would be a list. */
function onLinesOfItsOwn(state, first, end, silent) {
  const lineAt = (line) => state.src.slice(state.bMarks[line] + state.tShift[line], state.eMarks[line]).trim();
  if (state.sCount[first] - state.blkIndent >= 4 || !/^\$\$(?!\$)/.test(lineAt(first))) return false;
  const inside = Math.min(state.blkIndent, state.sCount[first]); // a line after a list item is read from the item's indent
  let last = first;
  let close = lineAt(first).indexOf("$$", 2);
  while (close < 0 && ++last < end && (state.sCount[last] >= inside || !lineAt(last))) close = lineAt(last).indexOf("$$");
  if (close < 0 || close !== lineAt(last).length - 2) return false;
  const content = state.getLines(first, last + 1, state.blkIndent, false).trim().slice(2, -2);
  if (silent) return true;
  state.push("paragraph_open", "p", 1).map = [first, last + 1];
  Object.assign(state.push("formula", "", 0), { content, markup: "$$" });
  state.push("paragraph_close", "p", -1);
  state.line = last + 1;
  return true;
}
