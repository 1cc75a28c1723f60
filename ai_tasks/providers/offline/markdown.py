"""Splits Markdown into blocks, so that an editor can leave alone everything that is not prose.

Only headings, paragraphs and lists count as prose. All else is verbatim: code, tables, quotations, HTML, formulas, link
definitions, and indented text, whose meaning depends on the block above it.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

_FENCE = re.compile(r"[ \t]*(`{3,}|~{3,}|\$\$(?!\$))(.*)")
_HEADING = re.compile(r"#{1,6}(?=[ \t]|\r?$)")
_GLUED_HEADING = re.compile(r"#{2,6}(?=[^\W\d_])")
LIST_ITEM = re.compile(r"(?P<indent> {0,3})(?P<marker>[-*+•]|\d{1,9}[.)])(?P<gap>[ \t]+)(?=\S)")
_UNDERLINE = re.compile(r"(=+|-+)[ \t]*\r?$")
_RULE = re.compile(r"([-*_])[ \t]*(?:\1[ \t]*){2,}\r?$")
_VERBATIM_START = re.compile(r"[>|<]|\[[^\]\n]{1,100}\]:|[ \t]")
_INDENTED = re.compile(r"(?: {4}| {0,3}\t)")


class Kind(Enum):
    HEADING = auto()
    PARAGRAPH = auto()
    LIST = auto()
    VERBATIM = auto()


@dataclass(slots=True)
class Block:
    """Lines without line ends; ``tight``: no blank line precedes them.

    ``missing_end`` is the mark that would close the code or the formula with which the text ends unclosed.
    """

    kind: Kind
    lines: list[str]
    tight: bool
    missing_end: str | None = None

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


def blocks_of(text: str) -> list[Block]:
    """Split a text into blocks. Each non-blank line is in exactly one block; blank lines inside code stay there."""
    lines = text.split("\n")
    blocks: list[Block] = []
    position = 0
    after_blank = True
    while position < len(lines):
        line = lines[position]
        if not line.strip():
            after_blank = True
            position += 1
            continue
        # An indented line continues a paragraph or a list; after any other block it is code.
        starts_afresh = after_blank or blocks[-1].kind in (Kind.HEADING, Kind.VERBATIM)
        kind, end = _block_at(lines, position, starts_afresh)
        blocks.append(Block(kind, lines[position:end], tight=not after_blank))
        position, after_blank = end, False
    if blocks:
        blocks[-1].missing_end = _missing_end(blocks[-1].lines)
    return blocks


def _block_at(lines: list[str], start: int, starts_afresh: bool) -> tuple[Kind, int]:
    line = lines[start]
    if fence := _opening_fence(line):
        return Kind.VERBATIM, _end_of_fence(lines, start, fence)
    if starts_afresh and _INDENTED.match(line):
        return Kind.VERBATIM, _end_of_indented(lines, start)
    if _HEADING.match(line) or _GLUED_HEADING.match(line):
        return Kind.HEADING, start + 1
    if _RULE.match(line):
        return Kind.VERBATIM, start + 1
    if LIST_ITEM.match(line):
        return Kind.LIST, _end_of_run(lines, start)
    end = _end_of_run(lines, start, ends_at_list=True)
    if end < len(lines) and _UNDERLINE.match(lines[end]):
        return Kind.VERBATIM, end + 1
    if any(_VERBATIM_START.match(each) or _rules_a_table(each) for each in lines[start:end]):
        return Kind.VERBATIM, end
    return Kind.PARAGRAPH, end


def _opening_fence(line: str) -> str | None:
    """The mark by which a line opens a block of code or a formula."""
    match = _FENCE.match(line)
    if match is None or match[1][0] in match[2]:
        return None  # opened and closed on one line
    return match[1]


def _rules_a_table(line: str) -> bool:
    return "|" in line and not line.strip(" \t:|-\r")


def _end_of_fence(lines: list[str], start: int, mark: str) -> int:
    """The index after the closing fence; an unclosed fence extends to the end of the text."""
    for position in range(start + 1, len(lines)):
        if _closes_fence(lines[position], mark):
            return position + 1
    return len(lines)


def _closes_fence(line: str, mark: str) -> bool:
    closing = line.strip()
    return closing.startswith(mark) and not closing.strip(mark[0])


def _missing_end(lines: list[str]) -> str | None:
    """The mark that would close the code or the formula that a block opens, if it is missing."""
    mark = _opening_fence(lines[0])
    is_closed = mark is not None and len(lines) > 1 and _closes_fence(lines[-1], mark)
    return None if is_closed else mark


def _end_of_indented(lines: list[str], start: int) -> int:
    end = start + 1
    for position in range(start + 1, len(lines)):
        if _INDENTED.match(lines[position]):
            end = position + 1
        elif lines[position].strip():
            break
    return end


def _end_of_run(lines: list[str], start: int, *, ends_at_list: bool = False) -> int:
    """The index after the last line of the same run of text."""
    for position in range(start + 1, len(lines)):
        line = lines[position]
        if not line.strip() or _opening_fence(line) or _HEADING.match(line) or _UNDERLINE.match(line):
            return position
        if ends_at_list and LIST_ITEM.match(line):
            return position
    return len(lines)


def rendered(blocks: list[Block]) -> str:
    """Join the blocks: blank lines as before, and always around headings and before lists."""
    parts: list[str] = []
    for previous, block in zip([None, *blocks], blocks, strict=False):
        if previous is not None:
            around_heading = Kind.HEADING in (previous.kind, block.kind)
            before_list = previous.kind is Kind.PARAGRAPH and block.kind is Kind.LIST
            parts.append("\n" if block.tight and not around_heading and not before_list else "\n\n")
        parts.append(block.text)
    return "".join(parts)


def list_items(block: Block) -> list[str]:
    """The items of a list without their markers; a continuation line belongs to its item."""
    items: list[str] = []
    for line in block.lines:
        if marker := LIST_ITEM.match(line.lstrip()):
            items.append(line.lstrip()[marker.end() :])
        else:
            items[-1] += "\n" + line.strip()
    return items


def heading_text(block: Block) -> str:
    return block.lines[0].strip().strip("#").strip()
