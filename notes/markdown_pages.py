"""Renders Markdown to HTML for shared notes: with a fixed set of tags, without external resources, in bounded time.

``comrak`` takes linear time for any text and escapes HTML in it; ``nh3`` removes all tags that are not listed here.
"""

import re
from collections.abc import Callable, Mapping
from html import escape, unescape
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

import comrak
import nh3

from notes.blocks.formulas import replace_set_off
from notes.mathml import Formulas
from notes.models import Attachment

DEPTH_MAX = 50
"""The maximum nesting of tags. Deeper text is shown without markup: browsers and ``nh3`` take quadratic time for it."""
HEADINGS_BELOW = 3
"""Headings in texts begin below this level: the page's title, chapters and topics have the first levels."""

_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h4", "h5", "h6", "hr", "img", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href"}, "img": {"src", "alt"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}}
_NESTING = re.compile(r"<(/?)(?:blockquote|ol|ul|li|em|strong|del|a|table)\b")
_HEADING = re.compile(r"<(/?)h([1-6])>")
# Tags as comrak writes them; all other angle brackets are escaped.
_IMAGE = re.compile(r'<img src="([^"]*)" alt="([^"]*)"(?: title="[^"]*")? />')
_ATTACHMENT = re.compile(r"/api/attachments/([0-9a-fA-F-]{36})/")
_FORMULA = re.compile(r'<span data-math-style="(inline|display)">([^<]*)</span>')
_NOTE_LINK = re.compile(r'<a href="([^"]*)" data-wikilink="true">([^<]*)</a>')
_CALLOUT = re.compile(r"(<blockquote>\n<p>)\[!(\w[\w-]*)\][+-]?[ \t]*([^\n]*?)(?:(?:<br />)?(\n)|</p>)")
_SCROLLED = re.compile(r"<(pre|table)>")
"""Elements that may be wider than the screen; they can be scrolled, by the keyboard as well."""
_ELSEWHERE = re.compile(r"(?:https?|mailto):", re.IGNORECASE)

Address = Callable[[str], str | None]
"""Returns an attachment's URL by its id in lower case; None if the note does not have it."""


def _options() -> dict[str, Any]:
    extensions, rendering = comrak.ExtensionOptions(), comrak.RenderOptions()
    extensions.table = extensions.strikethrough = extensions.autolink = extensions.math_dollars = True
    extensions.wikilinks_title_after_pipe = True
    rendering.escape = True
    return {"extension_options": extensions, "render_options": rendering}


_OPTIONS = _options()


def to_html(text: str, *, address: Address, kinds: Mapping[str, str], formulas: Formulas) -> str:
    """Render a text to safe HTML; ``kinds`` are the content types of attachments by their ids.

    A link to another note is shown as text only, as the reader may not see that note. A callout becomes a quote with a
    title.
    """
    # The placeholder for formulas is random, so that no text can contain it.
    place, held = token_hex(8), []

    def hold(latex: str, *, is_block: bool) -> str:
        held.append(formulas.html(latex, is_block=is_block))
        return f"{place}-{len(held) - 1}-"

    html = comrak.render_markdown(replace_set_off(text, lambda latex: hold(latex, is_block=True)), **_OPTIONS)
    if _depth(html) > DEPTH_MAX:
        return f"<pre>{escape(text)}</pre>"
    html = _HEADING.sub(lambda found: f"<{found[1]}h{min(6, int(found[2]) + HEADINGS_BELOW)}>", html)
    html = _IMAGE.sub(lambda found: _image(found, kinds), html)
    html = _FORMULA.sub(lambda found: _in_line(found, hold), html)
    html = _CALLOUT.sub(_titled, _NOTE_LINK.sub(_words, html))

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name not in ("href", "src"):
            return value
        if attachment := _ATTACHMENT.fullmatch(value):
            return address(attachment[1].lower())
        return value if name == "href" and _ELSEWHERE.match(value) else None

    clean = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes={"http", "https", "mailto"},
        link_rel="nofollow noopener noreferrer",
    )
    clean = _SCROLLED.sub(r'<\1 tabindex="0">', clean)
    # Inside a tag, such as in an image's alt text, a formula cannot be rendered.
    return re.sub(
        rf'(<(?:[^>"]|"[^"]*")*>)|{place}-([0-9]+)-',
        lambda found: re.sub(f"{place}-[0-9]+-", "", found[1]) if found[1] else held[int(found[2])],
        clean,
    )


def _in_line(found: re.Match[str], hold: Callable[..., str]) -> str:
    if found[1] == "inline" and "`" in found[2]:  # the second dollar is in code
        return f"${found[2]}$"
    return hold(unescape(found[2]), is_block=found[1] == "display")


def _words(found: re.Match[str]) -> str:
    return found[2] or escape(unquote(unescape(found[1])))


def _titled(found: re.Match[str]) -> str:
    opening, kind, title, goes_on = found.groups()
    text = "\n<p>" if goes_on else ""
    return f"{opening}<strong>{kind.capitalize()}{f': {title}' if title else ''}</strong></p>{text}"


def _image(found: re.Match[str], kinds: Mapping[str, str]) -> str:
    """An image of the note. Any other image becomes a link, so that nothing is loaded from elsewhere."""
    source, text = found[1], found[2]
    attachment = _ATTACHMENT.fullmatch(source)
    if attachment and kinds.get(attachment[1].lower()) != Attachment.ContentType.PDF:
        return f'<img src="{source}" alt="{text}">'
    return f'<a href="{source}">{text or source}</a>'


def _depth(html: str) -> int:
    depth = deepest = 0
    for found in _NESTING.finditer(html):
        depth += -1 if found[1] else 1
        deepest = max(deepest, depth)
    return deepest
