/** Markdown as safe HTML: no raw HTML, and no images from other hosts, which could track readers. */
import MarkdownIt from "markdown-it";
import "dompurify"; // not a module: it sets a global variable
import { highlighted } from "page/code.js";
import { withFormulas } from "page/formulas.js";
import { html } from "page/ui.js";

const markdown = new MarkdownIt({ html: false, linkify: false, typographer: false, highlight: highlighted });
withFormulas(markdown);
const { DOMPurify } = globalThis;
const PURE = { FORBID_TAGS: ["style", "form", "input"], FORBID_ATTR: ["style"] }; // the Content-Security-Policy allows no inline styles

const ATTACHMENT = /^\/api\/attachments\/([0-9a-f-]{36})\/$/;

// An attached image is shown by its signed link in `links`; a PDF, or an image from another host, becomes a link.
markdown.renderer.rules.image = (tokens, index, _, { links }) => {
  const source = tokens[index].attrGet("src") ?? "";
  const name = markdown.utils.escapeHtml(tokens[index].content || source);
  const id = ATTACHMENT.exec(source)?.[1];
  const url = markdown.utils.escapeHtml(id ? links[id] ?? "" : source);
  if (id && !url) return `<span>${name}</span>`;
  return id && !/\.pdf$/i.test(name) ? `<img src="${url}" alt="${name}">` : `<a href="${url}">${name}</a>`;
};

const NOTE_LINK = /\[\[([^[\]\n#|]{1,300})(#[^[\]\n|]{1,300})?(?:\|([^[\]\n]{0,300}))?\]\]/y;

/** `[[Title]]`, `[[Title#Topic]]` and `[[Title|shown text]]` link to the note with that title. */
markdown.inline.ruler.before("link", "note_link", (state, silent) => {
  NOTE_LINK.lastIndex = state.pos;
  const [whole, title, topic = "", shown] = NOTE_LINK.exec(state.src) ?? [];
  if (!title?.trim()) return false;
  if (!silent) {
    state.push("link_open", "a", 1).attrs = [["href", `#/title/${encodeURIComponent(title.trim())}`]];
    state.push("text", "", 0).content = shown?.trim() || `${title.trim()}${topic.trimEnd()}`;
    state.push("link_close", "a", -1);
  }
  state.pos += whole.length;
  return true;
});

const CALLOUT = /^\[!(\w)([\w-]*)\](?!\()[+-]?[ \t]*(.*)\n?/;

/** Callouts of Obsidian and GitHub: `> [!note] Title` is a quote whose first paragraph is its title. */
markdown.core.ruler.before("inline", "callout", (state) => {
  state.tokens = state.tokens.flatMap((token, index, { [index - 2]: quote, [index - 1]: open, [index + 1]: close }) => {
    const found = token.type === "inline" && quote?.type === "blockquote_open" && CALLOUT.exec(token.content);
    if (!found) return [token];
    const [whole, first, others, title] = found;
    const text = Object.assign(new state.Token("inline", "", 0), { ...token, content: token.content.slice(whole.length), children: [] });
    token.content = `${first.toUpperCase()}${others.toLowerCase()}${title.trim() && `: ${title.trim()}`}`;
    open.attrSet("class", "callout");
    const plain = Object.assign(new state.Token("paragraph_open", "p", 1), { ...open, attrs: null });
    return text.content ? [token, close, plain, text] : [token];
  });
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "PRE" || node.tagName === "TABLE") node.setAttribute("tabindex", "0"); // so that it can be scrolled by the keyboard
  if (node.tagName === "A" && !node.getAttribute("href")?.startsWith("#")) {
    node.setAttribute("rel", "noopener noreferrer nofollow");
    node.setAttribute("target", "_blank");
  }
});

/** `links`: the signed links of the note's files, by their ids. */
export function Markdown({ text, links = {} }) {
  const safe = DOMPurify.sanitize(markdown.render(text, { links }), PURE);
  return html`<div class="prose" dir="auto" dangerouslySetInnerHTML=${{ __html: safe }}></div>`;
}
