"""Improves form and corrects small slips, never content. Editing an edited text again changes nothing."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

from ai_tasks.providers.offline.markdown import (
    LIST_ITEM,
    Block,
    Kind,
    blocks_of,
    closes_fence,
    heading_text,
    list_items,
    opening_fence,
    prose_spans,
    rendered,
    sentence_ends,
    sentences_of,
)
from ai_tasks.providers.offline.words import STOPWORDS

KEY_TERMS_HEADING = "Key terms"
KEY_TERMS_MAX = 6
KEY_TERMS_MIN = 2
KEY_TERMS_FROM_WORDS = 80
LONG_PARAGRAPH_SENTENCES = 6
PARAGRAPH_SENTENCES = 3
LONG_SENTENCE_WORDS = 25

# Common words that may open a sentence. Others (`print`, `iPhone`) may have to keep their lower-case letter.
_OPENERS = "the a an it this that these those there we you they he she in on at if when while because since after to"
_REPEATED = "the|a|an|of|to|in|is|are|and|or|for|with|by"

_Edit = tuple[str, re.Pattern[str], Callable[[re.Match[str]], str] | str]

_SPACES = re.compile(r"(?<=\S)[ \t\u00a0]{2,}+(?=\S)|(?<=[^\s\u00a0])\u00a0(?=[^\s\u00a0])")
_EDITS: list[_Edit] = [
    ("repeated words", re.compile(rf"(?<![\w-])({_REPEATED})\s{{1,5}}\1(?![\w-])"), r"\1"),
    ("punctuation", re.compile(r"(?<=[^\W\d_])[ \t]{1,5}([,.])(?=\s|$)"), r"\1"),
    ("punctuation", re.compile(r"(?<=[a-z]{3}),(?=[a-z]{3})"), ", "),
    ("punctuation", re.compile(r"(?<![!?])([!?])\1{2,}+"), r"\1"),
    ("punctuation", re.compile(r"(?<=[a-z]{3})\.(?=(?:The|This|It|In|We|You|They|If|When|A|An) )"), ". "),
]
_LINKED = re.compile(r"; (however|therefore|moreover|furthermore|consequently|nevertheless|otherwise|instead),(?=\s)")
_OPENER = re.compile(rf"(?:{'|'.join(_OPENERS.split())})(?=\s)")
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
    return editor.edit(text), editor.changes


class _Editor:
    """Edits one text and counts what it changed, by kind."""

    def __init__(self) -> None:
        self.changes: Counter[str] = Counter()

    def edit(self, text: str) -> str:
        blocks = blocks_of(text)
        if blocks and (mark := _unclosed_fence(blocks[-1])):
            blocks[-1] = Block(Kind.VERBATIM, [*blocks[-1].text.rstrip("\n").split("\n"), mark], blocks[-1].tight)
            self.changes["unclosed code block"] += 1
        edited = [part for block in blocks for part in self._edit_block(block)]
        if terms := key_terms(edited):
            edited.append(Block(Kind.HEADING, [f"## {KEY_TERMS_HEADING}"], tight=False))
            edited.append(Block(Kind.LIST, terms, tight=False))
            self.changes["key terms"] += len(terms)
        improved = rendered(edited)
        if not self.changes and improved != text.strip("\n"):
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
        return indent + self._edit_prose(_without_trailing(body))

    def _edit_paragraph(self, block: Block) -> list[Block]:
        lines = [_without_trailing(line, keep_break=True) for line in block.lines[:-1]]
        lines.append(_without_trailing(block.lines[-1]))
        paragraphs = self._split_paragraph(self._edit_sentences(self._edit_prose("\n".join(lines))))
        return [
            Block(Kind.PARAGRAPH, paragraph.split("\n"), tight=block.tight and index == 0)
            for index, paragraph in enumerate(paragraphs)
        ]

    def _edit_prose(self, text: str) -> str:
        parts = []
        for start, end, is_prose in prose_spans(text):
            part = text[start:end]
            if is_prose:
                part = self._count("spacing", part, _SPACES.sub(" ", part))
                for kind, pattern, replacement in _EDITS:
                    part, times = pattern.subn(replacement, part)
                    self._add(kind, times)
            parts.append(part)
        return "".join(parts)

    def _edit_sentences(self, text: str) -> str:
        """Capitalise common opening words, and split a long sentence at "; however,"."""
        parts, start = [], 0
        for end in sentence_ends(text):
            sentence = text[start:end]
            bare = sentence.lstrip()
            if _OPENER.match(bare):
                sentence = sentence[: len(sentence) - len(bare)] + bare[0].upper() + bare[1:]
                self.changes["capitals"] += 1
            if len(sentence.split()) > LONG_SENTENCE_WORDS:
                sentence, times = _LINKED.subn(lambda match: f". {match[1].capitalize()},", sentence)
                self._add("long sentences", times)
            parts.append(sentence)
            start = end
        return "".join(parts) + text[start:]

    def _split_paragraph(self, text: str) -> list[str]:
        """Split a long paragraph into several, each of at least two sentences."""
        ends = sentence_ends(text)
        if len(ends) <= LONG_PARAGRAPH_SENTENCES:
            return [text]
        cuts = [0, *ends[PARAGRAPH_SENTENCES - 1 : -2 : PARAGRAPH_SENTENCES], len(text)]
        self.changes["long paragraphs"] += 1
        return [text[start:end].strip() for start, end in pairwise(cuts)]

    def _count(self, kind: str, before: str, after: str) -> str:
        self._add(kind, int(before != after))
        return after

    def _add(self, kind: str, times: int) -> None:
        if times:
            self.changes[kind] += times


def _without_trailing(line: str, *, keep_break: bool = False) -> str:
    """``keep_break``: keep two spaces at the end of a line, which Markdown reads as a line break."""
    bare = _TRAILING.sub("", line)
    return bare + "  " if keep_break and line.rstrip("\r").endswith("  ") else bare


def _unclosed_fence(block: Block) -> str | None:
    """The mark that closes the block's code, if it is missing."""
    mark = opening_fence(block.lines[0])
    is_closed = mark is not None and len(block.lines) > 1 and closes_fence(block.lines[-1], mark)
    return None if is_closed else mark


def key_terms(blocks: list[Block]) -> list[str]:
    """The terms that the text defines, each with its defining sentence, as list items.

    Empty for a short text, for fewer than ``KEY_TERMS_MIN`` terms, and for a text that already has such a list.
    """
    if any(block.kind is Kind.HEADING and heading_text(block) == KEY_TERMS_HEADING for block in blocks):
        return []
    prose = [block for block in blocks if block.kind in (Kind.PARAGRAPH, Kind.LIST)]
    if sum(len(block.text.split()) for block in prose) < KEY_TERMS_FROM_WORDS:
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
