"""LaTeX formulas as MathML, which browsers set without a script."""

import re
from html import escape, unescape
from xml.etree.ElementTree import Element

from latex2mathml import converter

FORMULA_MAX = 2_000
PAGE_MAX = 20_000
"""In characters: what is more is shown as its source, so that a page takes a bounded time."""
_DEPTH_MAX = 50
_TAGS = {
    "math", "menclose", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace", "msqrt",
    "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover",
}  # fmt: skip
_ATTRIBUTES = {
    "accent", "columnalign", "display", "displaystyle", "fence", "form", "linethickness", "lspace", "mathvariant",
    "maxsize", "minsize", "notation", "rspace", "scriptlevel", "separator", "stretchy", "symmetric", "width",
}  # fmt: skip
_PLAIN = re.compile(r"[\w .%+-]{0,50}", re.ASCII)


class _Unknown(ValueError):
    pass


class Formulas:
    """The formulas of one page."""

    def __init__(self) -> None:
        self._left = PAGE_MAX

    def html(self, latex: str, *, is_block: bool) -> str:
        """The formula; as its source if it is not understood, too long, or one too many."""
        found = None
        if len(latex) <= min(FORMULA_MAX, self._left):
            self._left -= len(latex)
            found = _mathml(latex, "block" if is_block else "inline")
        marks = "$$" if is_block else "$"
        return found or f"<code>{escape(f'{marks}{latex}{marks}')}</code>"


def _mathml(latex: str, display: str) -> str | None:
    try:
        return _written(converter.convert_to_element(latex, display=display), 0)
    except _Unknown:
        return None
    except Exception:  # noqa: BLE001  # a parser of others; what it cannot read is shown as it is
        return None


def _written(element: Element, depth: int) -> str:
    """The library writes texts as they are: `<` of a formula would be a tag."""
    tag = element.tag.rpartition("}")[2]
    if tag not in _TAGS or depth > _DEPTH_MAX:
        raise _Unknown
    attributes = "".join(
        f' {name}="{value}"' for name, value in element.items() if name in _ATTRIBUTES and _PLAIN.fullmatch(value)
    )
    inner = "".join(_written(child, depth + 1) for child in element)
    return f"<{tag}{attributes}>{escape(unescape(element.text or ''))}{inner}</{tag}>"
