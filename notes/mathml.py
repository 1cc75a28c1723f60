"""Converts LaTeX formulas to MathML, which browsers display without a script."""

import re
from html import escape, unescape
from itertools import pairwise
from xml.etree.ElementTree import Element

from latex2mathml import converter

FORMULA_MAX = 2_000
PAGE_MAX = 20_000
"""The maximum length of formulas on one page, in characters; the others are shown as source, to bound the time."""
_DEPTH_MAX = 50
_TAGS = {
    "math", "menclose", "mfrac", "mi", "mn", "mo", "mover", "mpadded", "mphantom", "mroot", "mrow", "mspace", "msqrt",
    "mstyle", "msub", "msubsup", "msup", "mtable", "mtd", "mtext", "mtr", "munder", "munderover",
}  # fmt: skip
_ATTRIBUTES = {
    "accent", "columnalign", "display", "displaystyle", "fence", "form", "linethickness", "lspace", "mathvariant",
    "maxsize", "minsize", "notation", "rspace", "scriptlevel", "separator", "stretchy", "symmetric", "width",
}  # fmt: skip
_ROWS = {"math", "mrow", "mstyle", "mtd"}
_THIN_SPACE = '<mspace width="0.167em"></mspace>'
_ALIGNED = re.compile(r"\\(begin|end)\{(?:aligned|align\*?|split|gathered|gather\*?|alignedat|equation\*?)\}")
_PLAIN = re.compile(r"[\w .%+-]{0,50}", re.ASCII)


class _Unknown(ValueError):
    pass


class Formulas:
    """The formulas of one page."""

    def __init__(self) -> None:
        self._left = PAGE_MAX

    def html(self, latex: str, *, is_block: bool) -> str:
        """The formula as HTML; its source if it is not understood or exceeds a limit."""
        found = None
        if len(latex) <= min(FORMULA_MAX, self._left):
            self._left -= len(latex)
            found = _mathml(latex, "block" if is_block else "inline")
        marks = "$$" if is_block else "$"
        return found or f"<code>{escape(f'{marks}{latex}{marks}')}</code>"


def with_matrices(latex: str) -> str:
    """Replace environments of several lines by matrices, as ``latex2mathml`` does not know them."""
    return _ALIGNED.sub(lambda found: f"\\{found[1]}{{matrix}}", latex)


def _mathml(latex: str, display: str) -> str | None:
    try:
        return _written(converter.convert_to_element(with_matrices(latex), display=display), 0)
    except _Unknown:
        return None
    except Exception:  # noqa: BLE001  # a library's parser may raise anything; the source is shown then
        return None


def _written(element: Element, depth: int) -> str:
    """Serialize with escaping: the library does not escape texts, so a `<` in a formula would become a tag."""
    tag = _tag(element)
    if tag not in _TAGS or depth > _DEPTH_MAX:
        raise _Unknown
    attributes = "".join(
        f' {name}="{value}"' for name, value in element.items() if name in _ATTRIBUTES and _PLAIN.fullmatch(value)
    )
    inner = ""
    for before, child in pairwise([None, *element]):
        assert child is not None
        if tag in _ROWS and before is not None and _is_spaced(before, child):
            inner += _THIN_SPACE
        inner += _written(child, depth + 1)
    return f"<{tag}{attributes}>{escape(unescape(element.text or ''))}{inner}</{tag}>"


def _is_spaced(before: Element, after: Element) -> bool:
    """Whether TeX puts a thin space between the two: one is a function's name, and neither is a sign or bracket."""
    return "mo" not in (_tag(before), _tag(after)) and (_is_function(before) or _is_function(after))


def _is_function(element: Element) -> bool:
    base = element[0] if _tag(element) in ("msub", "msup", "msubsup", "munder") and len(element) else element
    return _tag(base) == "mi" and len(unescape(base.text or "")) > 1


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]
