"""Splitting Markdown into its top-level blocks, in one pass over its lines.

The rules are CommonMark's and GitHub's for the top level; the contents of quotes and lists are not parsed. ``$$`` and
``\\[`` open formulas. A rule (``---``) is a paragraph without words. Blank lines belong to the block before them, those
at the start of the text to the first block.

Source: https://spec.commonmark.org/0.31.2/, https://github.github.com/gfm/#tables-extension-
"""

import re
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST = "list"
    QUOTE = "quote"
    TABLE = "table"
    MATH = "math"
    HTML = "html"
    CODE = "code"


class Piece(NamedTuple):
    """A block without an id. Joined, the pieces are the whole text."""

    kind: Kind
    text: str


_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_HEADING = re.compile(r"#{1,6}(?:[ \t\r\n]|\Z)")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*[\r\n]*\Z")
_RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}[\r\n]*\Z")
_FENCE = re.compile(r"(`{3,})[^`]*\Z|(~{3,})")
_ITEM = re.compile(r"(?:([-+*])|(\d{1,9})([.)]))(?:([ \t]+)|[\r\n]|\Z)")
_CONTAINERS = re.compile(r"(?:(?:[-+*]|\d{1,9}[.)])(?:[ \t]+|\Z)|>[ \t]*)*")
"""The markers before the content of a line in quotes and lists."""
_MATH = {"$$": "$$", "\\[": "\\]"}

_RAW = re.compile(r"<(?:script|pre|style|textarea)(?:[\s>]|\Z)", re.IGNORECASE)
_RAW_END = re.compile(r"</(?:script|pre|style|textarea)>", re.IGNORECASE)
_DECLARATION = re.compile(r"<![A-Za-z]")
_BLOCK_TAG = re.compile(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog|dir|div"
    r"|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe|legend|li|link"
    r"|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table|tbody|td|tfoot|th|thead"
    r"|title|tr|track|ul)(?:[\s>]|/>|\Z)",
    re.IGNORECASE,
)
_LONE_TAG = re.compile(r"</?[A-Za-z][A-Za-z0-9-]*(?:\s[^<>]*)?/?>\s*\Z")
_OPENERS = frozenset("#`~>$\\<_-*+0123456789")
"""The first characters of lines that may open a block, except tables."""
_PIPE = re.compile(r"(?<!\\)\|")


def split(text: str) -> list[Piece]:
    """Split a Markdown text into its blocks, in time linear in its length. An empty text has none."""
    return _Splitter(text).split()


class _Splitter:
    def __init__(self, text: str) -> None:
        self.lines: list[str] = _LINE.findall(text)
        self.bare = [line.strip(" \t\r\n") for line in self.lines]
        """The lines without white space at their ends; a blank line is empty."""
        self.never_closed: set[str] = set()
        """End markers of formulas that are not in the rest of the text; they are searched for only once."""

    def split(self) -> list[Piece]:
        pieces: list[Piece] = []
        start, content, last = 0, self._skip_blank(0), len(self.lines)
        while start < last:
            kind, stop = self._block(content) if content < last else (Kind.PARAGRAPH, last)
            stop = self._skip_blank(stop)
            pieces.append(Piece(kind, "".join(self.lines[start:stop])))
            start = content = stop
        return pieces

    def _skip_blank(self, at: int) -> int:
        while at < len(self.bare) and not self.bare[at]:
            at += 1
        return at

    def _block(self, at: int) -> tuple[Kind, int]:
        """The kind of the block that begins at this line, and the number of the line after it."""
        kind = self._opening(at)
        if kind is None:
            return self._paragraph(at)
        match kind:
            case Kind.HEADING:
                return kind, at + 1
            case Kind.QUOTE:
                return kind, self._end_of_quote(at)
            case Kind.LIST:
                return kind, self._end_of_list(at)
            case Kind.MATH:
                return kind, self._end_of_math(at) or at + 1
            case Kind.HTML:
                return kind, self._end_of_html(at)
            case Kind.CODE:
                return kind, self._end_of_code(at)
            case Kind.TABLE:
                return kind, self._end_of_table(at)
        return kind, at + 1  # a rule

    def _opening(self, at: int, *, in_paragraph: bool = False) -> Kind | None:
        """The kind of block that this line opens; None for a paragraph. Some blocks cannot interrupt a paragraph."""
        line, bare = self.lines[at], self.bare[at]
        if line[0] in " \t" and _indent(line) >= 4:
            return None if in_paragraph else Kind.CODE
        if bare[0] not in _OPENERS:
            return Kind.TABLE if self._is_table(at) else None
        match bare[0]:
            case "#":
                return Kind.HEADING if _HEADING.match(bare) else None
            case "`" | "~":
                if _FENCE.match(bare):
                    return Kind.CODE
            case ">":
                return Kind.QUOTE
            case "$" | "\\":
                if self._end_of_math(at) is not None:
                    return Kind.MATH
            case "<":
                if self._html_end(at, in_paragraph=in_paragraph) is not None:
                    return Kind.HTML
            case "_" if _RULE.match(bare):
                return Kind.PARAGRAPH
            case "-" | "*" | "+" | "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9":
                if _RULE.match(bare):
                    return Kind.PARAGRAPH
                item = _ITEM.match(bare)
                # In a paragraph, "1984." at the start of a line is text, and so is a lone "-".
                if item and not (in_paragraph and (item[2] not in (None, "1") or item.end() >= len(bare))):
                    return Kind.LIST
        return Kind.TABLE if self._is_table(at) else None

    def _opens_outside(self, at: int) -> bool:
        """Whether this line, which follows a paragraph in a quote or a list, opens a block after it."""
        if _indent(self.lines[at]) >= 4:
            return False
        kind = self._opening(at)
        return kind is not None and (kind is not Kind.HTML or self._html_end(at, in_paragraph=True) is not None)

    def _paragraph(self, at: int) -> tuple[Kind, int]:
        at += 1
        while at < len(self.lines) and self.bare[at]:
            if self.bare[at][0] in "=-" and _UNDERLINE.match(self.lines[at]):
                return Kind.HEADING, at + 1
            if self._opening(at, in_paragraph=True):
                break
            at += 1
        return Kind.PARAGRAPH, at

    def _end_of_quote(self, at: int) -> int:
        at += 1
        while at < len(self.lines) and self.bare[at]:
            if self.bare[at][0] != ">" and (self._opens_outside(at) or not _is_text(self.bare[at - 1])):
                break
            at += 1
        return at

    def _end_of_list(self, at: int) -> int:
        item = _ITEM.match(self.bare[at])
        assert item is not None
        marker, inside = item[1] or item[3], _inside(self.lines[at], item)
        end = at + 1
        at = end
        while at < len(self.lines):
            if not self.bare[at]:
                at += 1
                continue
            indent = _indent(self.lines[at])
            if indent < inside:
                item = None if _RULE.match(self.bare[at]) or indent >= 4 else _ITEM.match(self.bare[at])
                if item and (item[1] or item[3]) == marker:
                    inside = _inside(self.lines[at], item)
                elif at > end or self._opens_outside(at) or not _is_text(self.bare[at - 1]):
                    break
            at += 1
            end = at
        return end

    def _end_of_code(self, at: int) -> int:
        fence = None if _indent(self.lines[at]) >= 4 else _FENCE.match(self.bare[at])
        end = at + 1
        if fence is None:  # indented
            for at in range(end, len(self.lines)):
                if not self.bare[at]:
                    continue
                if _indent(self.lines[at]) < 4:
                    break
                end = at + 1
            return end
        mark = fence[1] or fence[2]
        for at in range(end, len(self.lines)):
            bare = self.bare[at]
            if len(bare) >= len(mark) and bare == mark[0] * len(bare) and _indent(self.lines[at]) < 4:
                return at + 1
        return len(self.lines)

    def _end_of_math(self, at: int) -> int | None:
        """The line after the formula that this line opens; None if it opens none, or one without an end."""
        bare = self.bare[at]
        end = _MATH.get(bare[:2])
        if end is None:
            return None
        if len(bare) > 3 and bare.endswith(end):
            return at + 1
        if end in self.never_closed:
            return None
        for after in range(at + 1, len(self.lines)):
            if self.bare[after].endswith(end):
                return after + 1
        self.never_closed.add(end)
        return None

    def _html_end(self, at: int, *, in_paragraph: bool = False) -> str | re.Pattern[str] | None:
        """The end of the HTML that this line opens: a text or pattern in a line, or "" for a blank line."""
        bare = self.bare[at]
        if _RAW.match(bare):
            return _RAW_END
        if bare[1:2] in ("!", "?"):
            for opening, end in (("<!--", "-->"), ("<?", "?>"), ("<![CDATA[", "]]>")):
                if bare.startswith(opening):
                    return end
            return ">" if _DECLARATION.match(bare) else None
        if _BLOCK_TAG.match(bare) or (not in_paragraph and _LONE_TAG.match(bare)):
            return ""
        return None

    def _end_of_html(self, at: int) -> int:
        end = self._html_end(at)
        for after in range(at, len(self.lines)):
            bare = self.bare[after]
            if end == "":
                if not bare:
                    return after
            elif end in bare if isinstance(end, str) else end and end.search(bare):
                return after + 1
        return len(self.lines)

    def _is_table(self, at: int) -> bool:
        if at + 1 >= len(self.lines):
            return False
        header, rule = self.bare[at], self.bare[at + 1]
        if "-" not in rule or "|" not in header + rule or rule.strip("|:- \t"):
            return False
        columns = [cell.strip() for cell in _cells(rule)]
        return len(columns) == len(_cells(header)) and all(
            cell.strip(":") == "-" * len(cell.strip(":")) != "" for cell in columns
        )

    def _end_of_table(self, at: int) -> int:
        at += 2
        while at < len(self.lines) and self.bare[at] and not self._opening(at, in_paragraph=True):
            at += 1
        return at


def _indent(line: str, *, after: int = 0) -> int:
    """The width in columns of the white space at the start of the line; a tab ends at the next multiple of four.

    ``after`` is the column in which the line starts.
    """
    column = after
    for character in line:
        if character == " ":
            column += 1
        elif character == "\t":
            column += 4 - column % 4
        else:
            break
    return column - after


def _inside(line: str, item: re.Match[str]) -> int:
    """The column at which the text of a list item begins."""
    before = _indent(line) + len(item[1] or item[2] + item[3])
    space = _indent(item[4] or " ", after=before)
    return before + (space if space <= 4 else 1)


def _cells(row: str) -> list[str]:
    cells = _PIPE.split(row)
    if len(cells) > 1 and not cells[0].strip():
        cells = cells[1:]
    if len(cells) > 1 and not cells[-1].strip():
        cells = cells[:-1]
    return cells


def _is_text(line: str) -> bool:
    """Whether a line in a quote or a list belongs to a paragraph, which the next line may continue without a marker."""
    start = _CONTAINERS.match(line)
    content = line[start.end() :] if start else line
    return bool(content) and not (_HEADING.match(content) or _FENCE.match(content) or _RULE.match(content))
