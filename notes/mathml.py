"""LaTeX formulas as MathML, which browsers set without a script."""

import re
from html import escape, unescape
from itertools import pairwise
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
        """The formula; as its source if it is not understood, too long, or one too many."""
        found = None
        if len(latex) <= min(FORMULA_MAX, self._left):
            self._left -= len(latex)
            found = _mathml(latex, "block" if is_block else "inline")
        marks = "$$" if is_block else "$"
        return found or f"<code>{escape(f'{marks}{latex}{marks}')}</code>"


def with_matrices(latex: str) -> str:
    """The formula with matrices for environments of lines, which ``latex2mathml`` does not know."""
    return _ALIGNED.sub(lambda found: f"\\{found[1]}{{matrix}}", latex)


def _mathml(latex: str, display: str) -> str | None:
    try:
        return _written(converter.convert_to_element(with_matrices(latex), display=display), 0)
    except _Unknown:
        return None
    except Exception:  # noqa: BLE001  # a parser of others; what it cannot read is shown as it is
        return None


def _written(element: Element, depth: int) -> str:
    """The library writes texts as they are: `<` of a formula would be a tag."""
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
    """Whether TeX sets a thin space between the two: the name of a function stands there, and no sign or bracket."""
    return "mo" not in (_tag(before), _tag(after)) and (_is_function(before) or _is_function(after))


def _is_function(element: Element) -> bool:
    base = element[0] if _tag(element) in ("msub", "msup", "msubsup", "munder") and len(element) else element
    return _tag(base) == "mi" and len(unescape(base.text or "")) > 1


def _tag(element: Element) -> str:
    return element.tag.rpartition("}")[2]
