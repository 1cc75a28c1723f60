"""Makes cards without a model: fixed rules, using only the passages' own words.

A card asks for a term that a sentence or list item defines, the bold terms of a sentence, the items of a short list, or
the code under a heading or an introduction.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from ai_tasks.providers.offline.prose import sentences_of
from notes.blocks.splitting import Kind
from notes.blocks.stored import Block
from notes.blocks.words import words_of
from study.making.passages import CardPassage
from study.making.reading import MadeCard, can_be_asked

BASIC, REVERSED, CLOZE = "basic", "reversed", "cloze"
TERM_WORDS_MAX = 6
CLOZE_WORDS_MIN = 4
"""The minimum words of a sentence besides its deletions."""
LIST_ITEMS = range(2, 8)
INTRODUCTION_MAX = 200
CODE_MAX = 2_000

_BOLD = re.compile(r"\*\*(?=\S)([^*\n]{1,80}?)(?<=\S)\*\*|(?<!\w)__(?=\S)([^_\n]{1,80}?)(?<=\S)__(?!\w)")
_IS = re.compile(
    r"(?P<article>(?:an?|the) )?(?P<term>[^.,;:!?()]{1,80}?) (?P<verb>is|are|means|refers to|denotes) (?P<rest>\S.*)",
    re.IGNORECASE | re.DOTALL,
)
_PAIR = re.compile(r"(?P<term>[^:\n]{1,80}?)(?: ?: | [-–—] )(?P<rest>\S.*)", re.DOTALL)  # noqa: RUF001  # dashes
_LEANS = re.compile(
    r"(?:this|that|these|those|it|they|he|she|we|you|i|there|here|which|what|who|one|if|when|because|note|example)\b",
    re.IGNORECASE,
)
_ITEM = re.compile(r" {0,3}(?:[-*+•]|\d{1,9}[.)])[ \t]+(?=\S)")
_FENCE = re.compile(r" {0,3}(?:`{3,}|~{3,})")
_RESERVED = re.compile(r"\{\{|\}\}|::")


def made_by_rules(passages: Sequence[CardPassage], *, count: int) -> list[MadeCard]:
    """Make at most ``count`` cards, in text order. The same passages always give the same cards."""
    found: dict[tuple[str, str], MadeCard] = {}
    for passage in passages:
        for card in _cards_of(passage):
            if card.kind in passage.kinds and can_be_asked(card.kind, card.front, card.back):
                found.setdefault((card.kind, card.front), card)
        if len(found) >= count:
            break
    return list(found.values())[:count]


def _cards_of(passage: CardPassage) -> Iterator[MadeCard]:
    block = passage.block
    match block.kind:
        case Kind.CODE:
            yield from _of_code(block, _introduction(passage.before, passage.heading))
        case Kind.LIST:
            items = _items(block.text)
            yield from _of_list(block, items, _introduction(passage.before, passage.heading))
            yield from chain.from_iterable(_of_sentence(block, item, passage.kinds) for item in items)
        case Kind.PARAGRAPH | Kind.QUOTE:
            text = re.sub(r"^ {0,3}> ?", "", block.text, flags=re.MULTILINE)
            yield from chain.from_iterable(_of_sentence(block, each, passage.kinds) for each in sentences_of(text))


def _of_sentence(block: Block, sentence: str, kinds: Collection[str]) -> Iterator[MadeCard]:
    definition = _definition(block, sentence, kinds)
    if definition:
        yield definition
    if cloze := _cloze(block, sentence):
        yield cloze


def _definition(block: Block, sentence: str, kinds: Collection[str]) -> MadeCard | None:
    """``A stack is …``, ``Recursion means …``, ``**Heap**: …``, ``Queue – …``."""  # noqa: RUF002
    plain = _BOLD.sub(lambda match: match[1] or match[2], sentence)
    pair = _PAIR.fullmatch(plain)
    if pair and _is_term(pair["term"]):
        kind = REVERSED if REVERSED in kinds else BASIC
        term = pair["term"].strip()
        return MadeCard(kind, term if kind == REVERSED else f"What is meant by “{term}”?", pair["rest"].strip(), block)
    match = _IS.fullmatch(plain)
    if match is None or not _is_term(match["term"]) or len(words_of(match["rest"])) < 2:
        return None
    article, term, verb = match["article"] or "", match["term"].strip(), match["verb"].lower()
    if BASIC not in kinds:
        return MadeCard(REVERSED, term, match["rest"].strip(), block)
    ask = {"is": "What is {}?", "are": "What are {}?", "means": "What does {} mean?", "denotes": "What does {} denote?"}
    question = ask.get(verb, "What does {} refer to?").format(f"{article.lower()}{term}")
    return MadeCard(BASIC, question, plain.strip(), block)


def _is_term(term: str) -> bool:
    words = words_of(term)
    return 0 < len(words) <= TERM_WORDS_MAX and not _LEANS.match(term.strip()) and not _RESERVED.search(term)


def _cloze(block: Block, sentence: str) -> MadeCard | None:
    """A cloze card that asks for the bold terms of a sentence one by one."""
    if _RESERVED.search(sentence):
        return None
    parts, end = [], 0
    for number, match in enumerate(_BOLD.finditer(sentence), 1):
        parts += [sentence[end : match.start()], f"{{{{c{number}::{match[1] or match[2]}}}}}"]
        end = match.end()
    others = [*parts[::2], sentence[end:]]
    if not parts or len(words_of(" ".join(others))) < CLOZE_WORDS_MIN:
        return None
    return MadeCard(CLOZE, "".join([*parts, sentence[end:]]), "", block)


def _items(text: str) -> list[str]:
    """The top-level items of a list, each on one line together with its nested content."""
    items: list[str] = []
    for line in text.splitlines():
        if mark := _ITEM.match(line):
            items.append(line[mark.end() :].strip())
        elif items and line.strip():
            items[-1] += " " + line.strip()
    return items


def _of_list(block: Block, items: Sequence[str], introduction: str) -> Iterator[MadeCard]:
    if introduction and len(items) in LIST_ITEMS:
        yield MadeCard(BASIC, introduction, "\n".join(f"- {item}" for item in items), block)


def _of_code(block: Block, introduction: str) -> Iterator[MadeCard]:
    code = block.text.strip()
    if introduction and _FENCE.match(code) and len(code) <= CODE_MAX:
        yield MadeCard(BASIC, introduction, code, block)


def _introduction(before: Block | None, heading: str) -> str:
    """The introduction of a list or code: the last sentence before it if that ends with a colon, else the heading."""
    if before is not None and before.kind is Kind.PARAGRAPH:
        sentences = sentences_of(before.text)
        if sentences and sentences[-1].endswith(":"):
            announced = sentences[-1].removesuffix(":").strip()
            return announced if len(announced) <= INTRODUCTION_MAX else ""
    return heading if len(heading) <= INTRODUCTION_MAX else ""
