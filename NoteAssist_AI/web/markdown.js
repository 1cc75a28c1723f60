/** Markdown as safe HTML: no raw HTML of the author's, and no picture from elsewhere, which would tell who reads. */
import MarkdownIt from "markdown-it";
import "dompurify"; // a script of the older kind: it sets a global name
import { html } from "page/ui.js";

const markdown = new MarkdownIt({ html: false, linkify: false, typographer: false });
const { DOMPurify } = globalThis;

const ATTACHMENT = /^\/api\/attachments\/([0-9a-f-]{36})\/$/;

// A file of the note is shown by its signed link, which `links` has; a PDF, and a picture from elsewhere, is a link.
markdown.renderer.rules.image = (tokens, index, _, { links }) => {
  const source = tokens[index].attrGet("src") ?? "";
  const name = markdown.utils.escapeHtml(tokens[index].content || source);
  const id = ATTACHMENT.exec(source)?.[1];
  const url = markdown.utils.escapeHtml(id ? links[id] ?? "" : source);
  if (id && !url) return `<span>${name}</span>`;
  return id && !/\.pdf$/i.test(name) ? `<img src="${url}" alt="${name}">` : `<a href="${url}">${name}</a>`;
};

/** `[[Title]]` leads to the note of that title. */
markdown.inline.ruler.before("link", "note_link", (state, silent) => {
  const [whole, title] = /^\[\[([^[\]\n]{1,300})\]\]/.exec(state.src.slice(state.pos, state.pos + 310)) ?? [];
  if (!title?.trim()) return false;
  if (!silent) {
    state.push("link_open", "a", 1).attrs = [["href", `#/title/${encodeURIComponent(title.trim())}`]];
    state.push("text", "", 0).content = title.trim();
    state.push("link_close", "a", -1);
  }
  state.pos += whole.length;
  return true;
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A" && !node.getAttribute("href")?.startsWith("#")) {
    node.setAttribute("rel", "noopener noreferrer nofollow");
    node.setAttribute("target", "_blank");
  }
});

/** `links`: the signed links of the note's files, by their ids. */
export function Markdown({ text, links = {} }) {
  const safe = DOMPurify.sanitize(markdown.render(text, { links }), { FORBID_TAGS: ["style", "form", "input"], FORBID_ATTR: ["style"] });
  return html`<div class="prose" dir="auto" dangerouslySetInnerHTML=${{ __html: safe }}></div>`;
}
