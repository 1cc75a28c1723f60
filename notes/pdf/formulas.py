"""LaTeX formulas as data for the template: nested lists ``[kind, ...]``.

A formula with unknown elements is None, and is printed as its source.
"""

import html
import re
from typing import Any
from xml.etree.ElementTree import Element

from latex2mathml import converter

from notes.mathml import with_matrices

FORMULA_MAX = 5000
"""The maximum length in characters."""
_DEPTH_MAX = 12
_FENCES = set("()[]{}|‖⟨⟩⌊⌋⌈⌉")
_ACCENTS = {
    "^": "\u0302", "\u02c6": "\u0302", "~": "\u0303", "\u02dc": "\u0303", "→": "\u20d7", "\u20d7": "\u20d7",
    "\u02d9": "\u0307", "\xa8": "\u0308", "\u02c7": "\u030c", "\xb4": "\u0301", "`": "\u0300", "\u02d8": "\u0306",
}  # fmt: skip
_LINES = set("¯‾―_")
_VARIANTS = {
    "bold": "bold",
    "italic": "italic",
    "normal": "upright",
    "double-struck": "bb",
    "script": "cal",
    "fraktur": "frak",
    "sans-serif": "sans",
    "monospace": "mono",
}
_WITH_LIMITS = {"lim", "max", "min", "sup", "inf", "limsup", "liminf", "det", "gcd", "Pr", "argmax", "argmin"}


class _Unknown(ValueError):
    pass


def translate(latex: str) -> list[Any] | None:
    """The formula as data; None if it cannot be converted."""
    if len(latex) > FORMULA_MAX:
        return None
    try:
        return _node(converter.convert_to_element(with_matrices(latex.strip())), 0)
    except _Unknown:
        return None
    except Exception:  # noqa: BLE001  # a library's parser may raise anything; the source is printed then
        return None


def _node(element: Element, depth: int) -> list[Any]:
    if depth > 4 * _DEPTH_MAX:
        raise _Unknown
    tag = element.tag.rpartition("}")[2]
    children = list(element)
    text = _text(element)
    match tag:
        case "math" | "mrow" | "mstyle" | "mpadded" | "semantics" | "mtd":
            return _variant(element, _row(children, depth))
        case "mi" | "mo" | "mn":
            return _variant(element, _token(tag, text))
        case "mtext" | "ms":
            return ["text", text]
        case "mspace":
            if element.get("linebreak"):
                return ["newline"]
            return ["space", _ems(element.get("width", "0em"))]
        case "mfrac":
            _expect(children, 2)
            if element.get("linethickness") in ("0", "0em", "0pt"):
                return ["table", [[_node(child, depth + 1)] for child in children]]
            return ["frac", _node(children[0], depth + 1), _node(children[1], depth + 1)]
        case "msqrt":
            return ["sqrt", _row(children, depth)]
        case "mroot":
            _expect(children, 2)
            return ["root", _node(children[1], depth + 1), _node(children[0], depth + 1)]
        case "msub" | "msup" | "msubsup":
            return _attached(tag, children, depth, limits=False)
        case "munder" | "mover" | "munderover":
            return _attached(tag, children, depth, limits=True)
        case "mtable":
            return ["table", [[_node(cell, depth + 1) for cell in row] for row in children]]
        case "mphantom":
            return ["space", 0.5]
    raise _Unknown


def _row(children: list[Element], depth: int) -> list[Any]:
    nodes = [_node(child, depth + 1) for child in children]
    if len(nodes) == 1:
        return nodes[0]
    ends = [_text(child) for child in (children[0], children[-1])] if children else []
    has_table = any(node[0] == "table" for node in nodes)
    if children and (children[0].get("fence") == "true" or (has_table and set(ends) <= _FENCES)):
        return ["fenced", nodes]
    return ["row", nodes]


def _token(tag: str, text: str) -> list[Any]:
    if not text:
        return ["row", []]
    if text.startswith("\\") or text == "&":
        raise _Unknown
    if tag == "mn":
        return ["text", text]
    if len(text) == 1:
        return ["symbol", text]
    name = text.strip()
    if tag == "mo" or name.isalpha():
        return ["operator", name, name in _WITH_LIMITS]
    return ["text", text]


def _variant(element: Element, node: list[Any]) -> list[Any]:
    variant = element.get("mathvariant")
    if variant is None:
        return node
    style = _VARIANTS.get(variant)
    if style is None:
        return node
    return ["style", style, node]


def _attached(tag: str, children: list[Element], depth: int, *, limits: bool) -> list[Any]:
    _expect(children, 3 if tag in ("msubsup", "munderover") else 2)
    base = _node(children[0], depth + 1)
    if tag in ("mover", "munder"):
        mark = _text(children[1]).strip() if not len(children[1]) else ""
        if tag == "mover" and mark in _ACCENTS:
            return ["accent", base, _ACCENTS[mark]]
        if mark in _LINES:
            return ["overline" if tag == "mover" else "underline", base]
        if mark in ("⏞", "⏟"):
            return ["overbrace" if tag == "mover" else "underbrace", base]
    rest = [_node(child, depth + 1) for child in children[1:]]
    below = rest[0] if tag != "msup" and tag != "mover" else None
    above = rest[-1] if tag != "msub" and tag != "munder" else None
    return ["attach", base, below, above, limits]


def _text(element: Element) -> str:
    """The element's text. The library does not resolve character references, so it is done here."""
    return html.unescape(element.text or "").replace("\xa0", " ")


def _expect(children: list[Element], count: int) -> None:
    if len(children) != count:
        raise _Unknown


def _ems(width: str) -> float:
    found = re.fullmatch(r"(-?[0-9.]+)em", width)
    return max(-1.0, min(float(found[1]), 10.0)) if found else 0.2
