"""Converts Anki's HTML to safe Markdown: nothing in it runs, and nothing is loaded from the network."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import unquote

import nh3
from markdownify import MarkdownConverter

DEPTH_MAX = 50
"""Of nested tags. A deeper text loses its tags, as ``nh3`` takes quadratic time for it."""
_TAGS = {
    "a", "b", "blockquote", "br", "code", "dd", "del", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6",
    "hr", "i", "img", "li", "ol", "p", "pre", "s", "strike", "strong", "table", "tbody", "td", "th", "thead", "tr",
    "ul",
}  # fmt: skip
_ATTRIBUTES = {"a": {"href"}, "img": {"src", "alt"}, "ol": {"start"}}
_DROPPED = {"script", "style", "svg", "math", "iframe", "object", "template", "noscript"}
_TAG = re.compile(r"<[^<>]*>")
_NESTING = re.compile(r"<(/?)(?!p\b|li\b|br\b|hr\b|img\b|td\b|th\b|tr\b|input\b|dd\b|dt\b)[a-z]", re.IGNORECASE)
_LINE = re.compile(r"<(?:br|/div|/p)\b[^<>]*>", re.IGNORECASE)
_SOUND = re.compile(r"\[sound:[^\]\n]{1,500}\]|\[anki:[^\]\n]{1,500}\]")
_MATH = re.compile(  # each stops at the next opening mark, so time is linear
    r"\\\((?P<inline>(?:(?!\\[()]).)+)\\\)|\\\[(?P<display>(?:(?!\\[\[\]]).)+)\\\]"
    r"|\[\$\](?P<old>(?:(?!\[/?\$).)+)\[/\$\]|\[\$\$\](?P<old_display>(?:(?!\[/?\$).)+)\[/\$\$\]"
    r"|\[latex\](?P<latex>(?:(?!\[/?latex\]).)+)\[/latex\]",
    re.DOTALL | re.IGNORECASE,
)
_KEPT = re.compile("\ue000(\\d+)\ue001")
_MARKS = re.compile("[\ue000\ue001]")
_BLANK_LINES = re.compile(r"\n{3,}")
_BACKSLASH = re.compile(r"\\(?=[!-/:-@\[-`{-~])")
_INLINE_MARKUP = re.compile(r"[`*$]|(?<!\w)_|_(?!\w)|~(?=~)|\[(?=[^\[\]]*\]\()")
_LINE_MARKUP = re.compile(r"^(?=#{1,6}\s|[>+-]\s|[-=]{3,}\s*$)|^(\d{1,9})(?=[.)]\s)", re.MULTILINE)

HTML_MAX = 40_000
"""In characters, of sanitised HTML. A side of a card has half as much."""

Picture = Callable[[str, str], str | None]
"""Returns the Markdown of a picture, given its file name and description; None if it is missing."""


class TooLong(ValueError):
    """The text does not fit on a side of a card."""


def to_markdown(html: str, *, picture: Picture, told: Callable[[str], None]) -> str:
    """Convert the text of a card. Calls ``told`` with what it leaves out: ``sound`` or ``picture``. Raises
    :class:`TooLong`."""
    html = _MARKS.sub("", html)
    if _SOUND.search(html):
        told("sound")
        html = _SOUND.sub("", html)
    formulas: list[str] = []

    def keep(found: re.Match[str]) -> str:
        is_display = found["display"] is not None or found["old_display"] is not None
        formulas.append(_formula(next(part for part in found.groups() if part is not None), is_display=is_display))
        return f"\ue000{len(formulas) - 1}\ue001"

    html = _MATH.sub(keep, html)
    if "<" not in html and "&" not in html:
        text = _escaped(html)
    elif _depth(html) > DEPTH_MAX:
        text = _escaped(unescape(_TAG.sub("", _LINE.sub("\n", html))))
    else:
        clean = nh3.clean(
            html,
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            clean_content_tags=_DROPPED,
            url_schemes={"http", "https", "mailto"},
            link_rel=None,
        )
        if len(clean) > HTML_MAX:
            raise TooLong
        text = _Converter(picture, told).convert(clean)
    text = _KEPT.sub(lambda found: formulas[int(found[1])] if int(found[1]) < len(formulas) else "", text)
    return _BLANK_LINES.sub("\n\n", text.replace("\xa0", " ")).strip()


class _Converter(MarkdownConverter):
    def __init__(self, picture: Picture, told: Callable[[str], None]) -> None:
        super().__init__(heading_style="ATX", bullets="-", newline_style="backslash", autolinks=False)
        self._picture = picture
        self._told = told

    def convert_img(self, el: Any, text: str, parent_tags: Any) -> str:
        source = unquote(str(el.get("src") or ""))
        found = self._picture(source, str(el.get("alt") or ""))
        if found is None:
            self._told("picture")
            return _escaped(str(el.get("alt") or ""))
        return found

    def convert_div(self, el: Any, text: str, parent_tags: Any) -> str:
        """A line: Anki's editor writes each new line as a div."""
        return text if "_inline" in parent_tags else f"\n\n{text.strip()}\n\n"

    def escape(self, text: str, parent_tags: Any) -> str:
        return _escaped(text)


def _escaped(text: str) -> str:
    """Markdown that shows exactly this text."""
    text = _INLINE_MARKUP.sub(r"\\\g<0>", _BACKSLASH.sub(r"\\\\", text))
    return _LINE_MARKUP.sub(lambda found: f"{found[1]}\\" if found[1] else "\\", text)


def _formula(html: str, *, is_display: bool) -> str:
    """The source of a formula between our delimiters."""
    source = unescape(_TAG.sub("", _LINE.sub("\n", html))).replace("$", r"\$").strip()
    return f"$${source}$$" if is_display else f"${' '.join(source.split())}$"


def _depth(html: str) -> int:
    depth = deepest = 0
    for found in _NESTING.finditer(html):
        depth = max(0, depth - 1) if found[1] else depth + 1
        deepest = max(deepest, depth)
    return deepest
