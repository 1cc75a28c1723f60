"""Improves form and corrects small slips, never content. Editing an edited text again changes nothing."""

import re
from collections import Counter
from collections.abc import Iterable

from ai_tasks.providers.offline.markdown import LIST_ITEM, Block, Kind, blocks_of, heading_text, list_items, rendered
from ai_tasks.providers.offline.prose import edited_paragraph, edited_prose, sentences_of
from ai_tasks.providers.offline.words import STOPWORDS

KEY_TERMS_HEADING = "Key terms"
KEY_TERMS_MAX = 6
KEY_TERMS_MIN = 2
KEY_TERMS_FROM_WORDS = 80

# Matches only from the first character of a run, so that no run is scanned twice.
_TRAILING = re.compile(r"(?<![ \t\u00a0])[ \t\u00a0]++\r?$|\r$")
_TERM = r"(?:\*\*[^*\n]{2,40}\*\*|`[^`\n]{2,40}`|[\w+#-]{2,40}(?: [\w-]{2,30}){0,2}?)"
_DEFINED = re.compile(
    # "A generator is an iterator …", or a term in bold that opens its sentence: "An **iterable** can …"
    rf"(?:The |An? )?(?:({_TERM}) (?:is|are|means|refers to) (?:an?|the|when|how) "
    r"|(\*\*[^*\n]{2,40}(?<!:)\*\*) [a-z])"
)


def edited(text: str) -> tuple[str, Counter[str]]:
    """The improved text, and the number of changes of each kind.

    Code, tables, quotations, formulas and links stay unchanged.
    """
    editor = _Editor()
    return editor.edit(text), +editor.changes  # without the kinds that it found nothing of


class _Editor:
    """Edits one text and counts what it changed, by kind."""

    def __init__(self) -> None:
        self.changes: Counter[str] = Counter()

    def edit(self, text: str) -> str:
        blocks = blocks_of(text)
        if blocks and (mark := blocks[-1].missing_end):
            blocks[-1] = Block(Kind.VERBATIM, [*blocks[-1].text.rstrip("\n").split("\n"), mark], blocks[-1].tight)
            self.changes["unclosed code block"] += 1
        edited = [part for block in blocks for part in self._edit_block(block)]
        if terms := key_terms(edited):
            edited.append(Block(Kind.HEADING, [f"## {KEY_TERMS_HEADING}"], tight=False))
            edited.append(Block(Kind.LIST, terms, tight=False))
            self.changes["key terms"] += len(terms)
        improved = rendered(edited)
        if not self.changes.total() and improved != text.strip("\n"):
            self.changes["spacing"] += 1
        return improved

    def _edit_block(self, block: Block) -> Iterable[Block]:
        match block.kind:
            case Kind.HEADING:
                return [Block(block.kind, [self._edit_heading(block.lines[0])], block.tight)]
            case Kind.LIST:
                return [Block(block.kind, [self._edit_item(line) for line in block.lines], block.tight)]
            case Kind.PARAGRAPH:
                return self._edit_paragraph(block)
        return [block]

    def _edit_heading(self, line: str) -> str:
        marks = line[: len(line) - len(line.lstrip("#"))]
        title = line[len(marks) :].strip()
        if title.endswith("#") and title.rstrip("#").endswith((" ", "\t")):
            title = title.rstrip("#").strip()  # closing marks; the # of "C#" is not one
        edited = f"{marks} {title}".rstrip()
        return self._count("headings", line, edited)

    def _edit_item(self, line: str) -> str:
        indent = line[: len(line) - len(line.lstrip())]
        body = line[len(indent) :]
        if marker := LIST_ITEM.match(body):
            sign = "-" if marker["marker"] in "*+•" else marker["marker"].replace(")", ".")
            edited = f"{sign} {body[marker.end() :]}" if len(sign) == len(marker["marker"]) else body
            body = self._count("lists", body, edited)
        return indent + edited_prose(_without_trailing(body), self.changes)

    def _edit_paragraph(self, block: Block) -> list[Block]:
        lines = [_without_trailing(line, keep_break=True) for line in block.lines[:-1]]
        lines.append(_without_trailing(block.lines[-1]))
        paragraphs = edited_paragraph("\n".join(lines), self.changes)
        return [
            Block(Kind.PARAGRAPH, paragraph.split("\n"), tight=block.tight and index == 0)
            for index, paragraph in enumerate(paragraphs)
        ]

    def _count(self, kind: str, before: str, after: str) -> str:
        self.changes[kind] += before != after
        return after


def _without_trailing(line: str, *, keep_break: bool = False) -> str:
    """``keep_break``: keep two spaces at the end of a line, which Markdown reads as a line break."""
    bare = _TRAILING.sub("", line)
    return bare + "  " if keep_break and line.rstrip("\r").endswith("  ") else bare


def key_terms(blocks: list[Block]) -> list[str]:
    """The terms that the text defines, each with its defining sentence, as list items.

    Empty for a short text, for fewer than ``KEY_TERMS_MIN`` terms, and for a text that already has such a list.
    """
    if any(block.kind is Kind.HEADING and heading_text(block) == KEY_TERMS_HEADING for block in blocks):
        return []
    prose = [block for block in blocks if block.kind in (Kind.PARAGRAPH, Kind.LIST)]
    if sum(len(line.split()) for block in prose for line in block.lines) < KEY_TERMS_FROM_WORDS:
        return []
    found: dict[str, str] = {}
    for block in prose:
        for paragraph in list_items(block) if block.kind is Kind.LIST else [block.text]:
            for sentence in sentences_of(paragraph):
                if term := defined_term(sentence):
                    found.setdefault(term.lower(), f"- **{term}**: {sentence}")
    terms = list(found.values())[:KEY_TERMS_MAX]
    return terms if len(terms) >= KEY_TERMS_MIN else []


def defined_term(sentence: str) -> str | None:
    """The term that a sentence defines, without emphasis marks; None if it defines no term."""
    match = _DEFINED.match(sentence)
    if match is None:
        return None
    term = (match[1] or match[2]).strip("*` ").rstrip(":")
    is_pointer = term.split()[0].lower() in STOPWORDS  # "This is a …", "Because each one is a …"
    return None if is_pointer else term
