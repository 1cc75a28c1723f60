"""Converts card texts to Anki fields: safe HTML in which user text cannot become an Anki command."""

import re
from collections.abc import Callable
from html import escape
from typing import Any

import comrak
import nh3

from study.pictures import ATTACHMENT_PATH

DEPTH_MAX = 50
"""Of nested tags. A deeper text is exported as plain text."""
_TAGS = {
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "img", "li", "ol", "p",
    "pre", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href"}, "img": {"src", "alt"}, "ol": {"start"}, "td": {"align"}, "th": {"align"}}
_NESTING = re.compile(r"<(/?)(?:blockquote|ol|ul|em|strong|del|a|table)\b")
_MATH = re.compile(r'<span data-math-style="(inline|display)">([^<]*)</span>')
_IMAGE = re.compile(r'<img src="([^"]*)" alt="([^"]*)"(?: title="[^"]*")? />')
_COMMAND = re.compile(r"\[(?=/?(?:sound:|anki:|latex\]|\$))", re.IGNORECASE)
"""Text that Anki would play as a sound, or pass to LaTeX."""
_ONE_PARAGRAPH = re.compile(r"<p>((?:(?!</?p>).)*)</p>\n?", re.DOTALL)

MediaName = Callable[[str], str | None]
"""The file name in the package for an attachment id in lower case; None if it has no file."""


def _options() -> dict[str, Any]:
    extensions, rendering = comrak.ExtensionOptions(), comrak.RenderOptions()
    extensions.table = extensions.strikethrough = extensions.math_dollars = True
    rendering.escape = True
    return {"extension_options": extensions, "render_options": rendering}


_OPTIONS = _options()


def to_field(text: str, *, media_name: MediaName, is_cloze: bool = False) -> str:
    """Convert a card's Markdown to the HTML of a field. HTML in the Markdown is shown as text."""
    html = comrak.render_markdown(text, **_OPTIONS)
    if _depth(html) > DEPTH_MAX:
        return _plain(text)
    html = _MATH.sub(lambda found: _math(found, is_cloze=is_cloze), html)
    html = _IMAGE.sub(lambda found: _image(found, media_name), html)
    html = nh3.clean(
        html,
        tags=_TAGS,
        attributes=_ATTRIBUTES,
        url_schemes={"http", "https", "mailto"},
        link_rel=None,
    )
    html = _COMMAND.sub("&#91;", html).replace("\x1f", " ").strip()  # \x1f separates fields in Anki
    if one := _ONE_PARAGRAPH.fullmatch(html):
        html = one[1]
    # A text with only link definitions renders as nothing.
    return html if html or not text.strip() else _plain(text)


def _plain(text: str) -> str:
    return "<pre>" + _COMMAND.sub("&#91;", escape(text)).replace("\x1f", " ") + "</pre>"


def _math(found: re.Match[str], *, is_cloze: bool) -> str:
    formula = found[2]
    if is_cloze:  # two closing braces would end the deletion
        formula = formula.replace("}}", "} }")
    return rf"\({formula}\)" if found[1] == "inline" else rf"\[{formula}\]"


def _image(found: re.Match[str], media_name: MediaName) -> str:
    """An image of the package; its label if the package lacks it, so that Anki loads nothing from the network."""
    attachment = ATTACHMENT_PATH.fullmatch(found[1])
    name = media_name(attachment[1].lower()) if attachment else None
    if name is None:
        return found[2] or found[1]
    return f'<img src="{name}" alt="{found[2]}" />'


def _depth(html: str) -> int:
    depth = deepest = 0
    for found in _NESTING.finditer(html):
        depth += -1 if found[1] else 1
        deepest = max(deepest, depth)
    return deepest
