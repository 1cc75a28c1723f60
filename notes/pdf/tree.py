"""Markdown as data for the template: nested dictionaries with a kind ``t``."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from secrets import token_hex
from typing import Any

import pyromark

from notes.blocks.formulas import replace_set_off
from notes.pdf.formulas import translate
from notes.pdf.images import Images, attachment_in

OPTIONS = (
    pyromark.Options.ENABLE_TABLES
    | pyromark.Options.ENABLE_FOOTNOTES
    | pyromark.Options.ENABLE_STRIKETHROUGH
    | pyromark.Options.ENABLE_TASKLISTS
    | pyromark.Options.ENABLE_MATH
    | pyromark.Options.ENABLE_WIKILINKS
)
NESTING_MAX = 8
"""Deeper parts are moved up to this depth, as Typst limits the template's nested calls."""
WORD_MAX = 40
"""A longer word may be broken, so that it fits the page."""
_PART_OF_WORD = 10
URL_MAX = 2000
_LONG_WORD = re.compile(rf"[!-\u024f]{{{WORD_MAX + 1},}}")
_INLINE = {"Emphasis": "em", "Strong": "strong", "Strikethrough": "del", "Superscript": "sup", "Subscript": "sub"}
_CALLOUT = re.compile(r"\[!(\w[\w-]*)\][+-]?[ \t]*")
_NESTED_BLOCKS = ("quote", "list", "definition")
_NESTED_INLINES = (*_INLINE.values(), "link", "image", "picture")

Node = dict[str, Any]

_SOFT_BREAK: Node = {"t": "text", "v": " "}


def blocks_of(markdown: str, images: Images) -> list[Node]:
    """The blocks of a text."""
    return _Reader(markdown, images).read()


def text_node(text: str) -> Node:
    return {"t": "text", "v": breakable(text)}


def breakable(text: str) -> str:
    """The text with possible line breaks in its longest words."""
    return _LONG_WORD.sub(lambda found: "\u200b".join(_pieces(found[0], _PART_OF_WORD)), printable(text))


def printable(text: str) -> str:
    """The text without characters that cannot be printed."""
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs", "Cn", "Co"))


def is_right_to_left(text: str) -> bool:
    """Whether the text's first letter belongs to a right-to-left script."""
    for character in text:
        match unicodedata.bidirectional(character):
            case "R" | "AL":
                return True
            case "L":
                return False
    return False


def _pieces(text: str, length: int) -> Iterator[str]:
    for start in range(0, len(text), length):
        yield text[start : start + length]


class _Reader:
    """Builds the tree from the parser's events; ``_open`` has the nodes that are not closed yet.

    A display formula is replaced by an empty code block before parsing. The block's language is a random name, which no
    text can contain.
    """

    def __init__(self, markdown: str, images: Images) -> None:
        self._formulas: dict[str, str] = {}
        self._events = pyromark.events(replace_set_off(markdown, self._hold), options=OPTIONS)
        self._images = images
        self._root: Node = {"t": "root", "c": []}
        self._open: list[Node] = [self._root]

    def _hold(self, latex: str) -> str:
        name = token_hex(8)
        self._formulas[name] = latex
        return f"```{name}\n```"

    def read(self) -> list[Node]:
        event: Any
        for event in self._events:
            match event:
                case "SoftBreak":
                    self._add(_SOFT_BREAK)
                case "HardBreak":
                    self._add({"t": "br"})
                case "Rule":
                    self._add({"t": "rule"})
                case {"Start": start}:
                    self._start(start)
                case {"End": _}:
                    self._end()
                case {"Text": text}:
                    self._text(text)
                case {"Code": text}:
                    self._add({"t": "code", "v": breakable(text)})
                case {"InlineMath": text} if "`" in text:  # the second dollar is in code
                    self._text(f"${text}$")
                case {"InlineMath": text}:
                    self._add({"t": "math", "m": translate(text), "v": breakable(text)})
                case {"DisplayMath": text}:
                    self._add(_display(text))
                case {"Html": text} | {"InlineHtml": text}:
                    self._text(text)
                case {"FootnoteReference": name}:
                    self._add({"t": "note", "v": name})
                case {"TaskListMarker": done}:
                    self._add({"t": "task", "v": "☑" if done else "☐"})
        return self._root["c"]

    def _start(self, start: Any) -> None:
        details: Any
        kind, details = (start, None) if isinstance(start, str) else next(iter(start.items()))
        match kind:
            case "Paragraph" | "HtmlBlock":
                node: Node = {"t": "p"}
            case "Heading":
                node = {"t": "heading", "level": int(details["level"][1])}
            case "BlockQuote":
                node = {"t": "quote"}
            case "CodeBlock":
                info = details.get("Fenced", "") if isinstance(details, dict) else ""
                node = {"t": "block_code", "lang": info.split()[0][:30] if info.split() else "", "v": ""}
            case "List":
                node = {"t": "list", "start": details}
            case "Table":
                node = {"t": "table", "align": [str(one).lower() for one in details]}
            case "FootnoteDefinition":
                node = {"t": "definition", "v": details}
            case "Image" if "WikiLink" in details["link_type"]:  # only its name can be shown
                node = {"t": "link", "url": ""}
            case "Link":
                url = details["dest_url"]
                is_safe = url.startswith(("https://", "http://", "mailto:")) and len(url) <= URL_MAX
                node = {"t": "link", "url": url if is_safe else "", "v": breakable(url)}
            case "Image":
                node = self._image(details["dest_url"])
            case _:
                node = {"t": _INLINE.get(kind, kind.lower())}
        node["c"] = []
        self._open.append(node)

    def _image(self, address: str) -> Node:
        attachment = attachment_in(address)
        if attachment is None:
            return {"t": "image", "v": breakable(address)}
        shown = self._images.take(attachment)
        return {"t": "picture", **shown} if shown else {"t": "image", "v": ""}

    def _end(self) -> None:
        node = self._open.pop()
        if node["t"] == "block_code" and node["lang"] in self._formulas:
            node = _display(self._formulas[node["lang"]])
        if node["t"] == "quote":
            _title_callout(node)
        if node["t"] == "picture":
            node["alt"] = _plain(node)
            node["c"] = []
        elif node["t"] == "p" and _is_picture(node):
            node["t"] = "pictures"
        if self._is_too_deep(node):
            self._open[-1]["c"].extend(_contents(node))
            return
        if node["t"] == "definition":
            _number(node)
        for part in _parted(node):
            self._add(part)

    def _is_too_deep(self, node: Node) -> bool:
        kinds = next((kinds for kinds in (_NESTED_BLOCKS, _NESTED_INLINES) if node["t"] in kinds), ())
        return sum(parent["t"] in kinds for parent in self._open) >= NESTING_MAX

    def _add(self, node: Node) -> None:
        if node["t"] in ("p", "heading") and is_right_to_left(_plain(node)):
            node["rtl"] = True
        self._open[-1]["c"].append(node)

    def _text(self, text: str) -> None:
        top = self._open[-1]
        if top["t"] == "block_code":
            top["v"] += _with_breaks(text)
        else:
            self._add(text_node(text))


def _contents(node: Node) -> list[Node]:
    """The node's children; of a list, the children of its items."""
    if node["t"] == "list":
        return [part for item in node["c"] for part in item["c"]]
    return node["c"]


def _parted(node: Node) -> Iterator[Node]:
    """Split a paragraph at its display formulas."""
    if node["t"] != "p" or not any(child["t"] == "display" for child in node["c"]):
        yield node
        return
    for is_display, children in groupby(node["c"], key=lambda child: child["t"] == "display"):
        if is_display:
            yield from children
        else:
            yield {"t": "p", "c": list(children)}


def _is_picture(paragraph: Node) -> bool:
    """Whether a paragraph has only images."""
    kinds = {child["t"] for child in paragraph["c"] if child["t"] != "text" or child["v"].strip()}
    return kinds == {"picture"}


def _display(latex: str) -> Node:
    return {"t": "display", "m": translate(latex), "v": breakable(latex)}


def _title_callout(quote: Node) -> None:
    """Make the first line of a callout (``> [!note] Title``) a separate paragraph with its title."""
    first = quote["c"][0] if quote["c"] else {}
    beginning = first["c"][0] if first.get("t") == "p" and first["c"] else {}
    found = _CALLOUT.match(beginning["v"]) if beginning.get("t") == "text" else None
    if not found:
        return
    parts = [text_node(beginning["v"][found.end() :]), *first["c"][1:]]
    end = next((at for at, part in enumerate(parts) if part is _SOFT_BREAK or part["t"] == "br"), len(parts))
    title = [part for part in parts[:end] if part.get("v") != ""]
    kind = text_node(found[1].capitalize() + (": " if title else ""))
    quote["c"][:1] = [{"t": "p", "c": [{"t": "strong", "c": [kind, *title]}]}]
    if parts[end + 1 :]:
        quote["c"].insert(1, {**first, "c": parts[end + 1 :]})


def _number(definition: Node) -> None:
    """Put a footnote's number at the beginning of its text."""
    if not definition["c"] or definition["c"][0]["t"] != "p":
        definition["c"].insert(0, {"t": "p", "c": []})
    definition["c"][0]["c"][:0] = [{"t": "note", "v": definition["v"]}, {"t": "text", "v": " "}]


def code_node(text: str, language: str) -> Node:
    """A topic's code."""
    return {"t": "block_code", "lang": language.lower(), "v": _with_breaks(text), "c": []}


def _with_breaks(code: str) -> str:
    return breakable(code.replace("\t", "    "))


def _plain(node: Node) -> str:
    if node["t"] == "text":
        return node["v"]
    return "".join(_plain(child) for child in node.get("c", ()))[:200]
