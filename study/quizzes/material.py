"""Extracts the material of questions, facts and ordered lists, from cards and passages, by fixed rules for any
language.

A fact is a statement with one part removed. Only the student's own texts can tell whether something else would fit too:
if they do, the fact is not used.
"""

# ruff: noqa: RUF001  # letters that look like others are meant

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID

from ai_tasks.providers.offline.prose import sentence_ends
from notes.blocks.splitting import Kind
from study.quizzes.answers import DENSE, all_differ, is_dense, keys, letters, plain, stands_in
from study.quizzes.languages import FUNCTION_WORDS, NEGATIONS, decimal_mark, language_of
from study.quizzes.numbers import read_number, read_unit

GAP = "____"
PROMPT_MAX = 600
ANSWER_MAX = 200
TYPED_MAX = 60
TYPED_WORDS_MAX = 6
QUOTE_MAX = 500
ITEMS_MIN, ITEMS_MAX = 3, 8
BLOCK_MAX = 10_000
"""In characters. Longer blocks are skipped: a question is about a sentence or a list."""
STATEMENTS_MAX = 1_200
"""The maximum number of sentences and items considered for a quiz."""


class QuizPassage(NamedTuple):
    """A block of a topic, with the text before it."""

    topic_id: int
    block_id: str
    kind: str
    text: str
    lead: str = ""


class AskedCard(NamedTuple):
    """The fields of a card that questions use."""

    id: UUID
    kind: str
    front: str
    back: str
    topic_id: int | None
    block_id: str
    block_text: str


@dataclass(frozen=True, eq=False)
class Fact:
    """``prompt`` asks for ``answer``. ``statement`` is the complete statement, which explains the answer."""

    prompt: str
    answer: str
    statement: str
    sort: str
    """Answers of the same sort can be distractors of each other: ``card``, ``term``, ``number kg``."""
    decimal: str
    uses: frozenset[str]
    """The parts of the student's texts that it shows. Questions of a quiz share none, so none reveals another."""
    quote: dict[str, Any] | None = None
    card: tuple[UUID, int] | None = None
    """The card and the face that it comes from."""
    accepted: tuple[str, ...] = ()
    """Other right answers, such as ``70 times`` for ``70``."""
    pair: tuple[str, str] | None = None
    content: frozenset[str] = frozenset()
    """The content words of the prompt."""

    @cached_property
    def is_number(self) -> bool:
        return not isinstance(keys(self.answer, self.decimal)[0][0], str)

    @cached_property
    def is_dense(self) -> bool:
        return is_dense(self.answer)

    @property
    def is_typed(self) -> bool:
        """Whether the answer is short and simple enough to be typed."""
        return (
            len(self.answer) <= TYPED_MAX
            and len(self.answer.split()) <= TYPED_WORDS_MAX
            and _SEVERAL.search(self.answer) is None
        )


@dataclass(frozen=True)
class Steps:
    """An ordered list."""

    items: tuple[str, ...]
    lead: str
    quote: dict[str, Any]
    uses: frozenset[str]


_SEVERAL = re.compile(r"[\n;|]| / |, | (?:or|oder|ou|o|of|eller|lub|или|and|und|et|y|e) |、|…|\.\.\.")
"""Separators of several answers, of which a student may type only one."""
_NOT_PROSE = re.compile(r"\]\(|https?://|<[a-zA-Z/!]|\$|!\[|\[\[|\{\{|\|")
_DELETION = re.compile(r"\{\{c(\d{1,3})::(.*?)(?:::(.*?))?\}\}", re.DOTALL)
_ITEM = re.compile(r" {0,3}(?:[-*+]|(?P<number>\d{1,9})[.)])[ \t]+(?P<text>\S.*)")
_DEFINITION = re.compile(
    r"(?:\*\*(?P<bold>[^*\n]{2,60}?)\s*[:：]?\*\*\s*(?P<link>[:：–—]|-(?=\s))?|(?P<plain>[^:：*`_\n]{2,40}?)\s*[:：])"
    r"\s*(?P<text>\S.{9,})",
    re.DOTALL,
)
_BOLD = re.compile(r"\*\*(?=\S)([^*\n]{2,60}?)(?<=\S)\*\*|(?<!\w)__(?=\S)([^_\n]{2,60}?)(?<=\S)__(?!\w)")
_CODE = re.compile(r"(?<!`)`([^`\n]{2,40})`(?!`)")
_QUOTED = re.compile("「([^」\n]{2,30})」|『([^』\n]{2,30})』|《([^》\n]{2,30})》")
_DIGITS = re.compile(rf"(?<![\w.,/^:-])[-−]?(?:[0-9][0-9.,'\u00a0\u202f]*[0-9]|[0-9])|(?<=[{DENSE}])[0-9]+")
_UPPER = "A-ZÀ-ÖØ-ÞŁŚŻŹĆŃČŠŽŘĎŤŇĞİŞΑ-ΩА-ЯЁЇІЄ"
_NAME = re.compile(rf"(?<=[^\W\d_] )[{_UPPER}][^\W\d_]{{2,30}}(?: [{_UPPER}][^\W\d_]{{2,30}}){{0,2}}(?!\w)")
_KANJI = re.compile("[\u3400-\u9fff]{2,6}(?=[\u3040-\u30ff])|[\u30a1-\u30fa\u30fc]{3,12}")
_TOPIC_OF = re.compile(f"([{DENSE}A-Za-z0-9]{{1,12}}?)(?=是|為|为|指|は|とは)")
_KANA_ONLY = re.compile("[\u3040-\u309f]+")
_POINTERS = frozenset("这 那 它 他 她 我 你 彼 私 此 這 它们 他们 我们".split())
_WORD = re.compile(r"(?<![\w'-])[^\W\d_]{5,30}(?![\w'-])")
_WORD_OR_LETTER = re.compile(rf"[{DENSE}]|[^\W_{DENSE}]+")
_ORDINAL = re.compile(r"\W*(?:(?:step|schritt|étape|paso|passo|stap|шаг|phase|part|teil)\s*)?#?\d|第", re.IGNORECASE)
_NEXT_WORD = re.compile(r" ([^\W\d_]{2,20})(?!\w)")


def one_line(text: str) -> str:
    return " ".join(text.split())


def statement_key(text: str) -> str:
    """A key that is equal for statements that say the same."""
    return letters(plain(text))


def content_of(text: str) -> frozenset[str]:
    words = _WORD_OR_LETTER.findall(letters(plain(text)))
    return frozenset(word for word in words if word not in FUNCTION_WORDS)


def facts_of_cards(cards: Iterable[AskedCard], *, language: str) -> Iterator[Fact]:
    """Facts from cards, one per face."""
    for card in cards:
        if len(card.front) + len(card.back) > 2 * PROMPT_MAX:
            continue
        decimal = decimal_mark(language_of(f"{card.front} {card.back}", default=language))
        if card.kind == "cloze":
            yield from _of_cloze(card, decimal)
            continue
        front, back = card.front.strip(), card.back.strip()
        yield from _of_sides(card, 1, front, back, decimal)
        if card.kind == "reversed":
            yield from _of_sides(card, 2, back, front, decimal)


def _of_sides(card: AskedCard, face: int, asked: str, answer: str, decimal: str) -> Iterator[Fact]:
    if not _is_answer(answer, decimal) or len(asked) > PROMPT_MAX or not asked or stands_in(answer, asked):
        return
    pair = (asked, answer) if len(asked) <= ANSWER_MAX else None
    yield Fact(
        prompt=asked,
        answer=answer,
        statement=f"{asked}\n\n{answer}",
        sort="card",
        decimal=decimal,
        uses=_uses_of(card, answer),
        quote=_quote_of(card),
        card=(card.id, face),
        pair=pair,
        content=content_of(asked),
    )


def _of_cloze(card: AskedCard, decimal: str) -> Iterator[Fact]:
    whole = _DELETION.sub(r"\2", card.front)
    if len(whole) > PROMPT_MAX:
        return
    found: dict[int, set[str]] = {}
    for deletion in _DELETION.finditer(card.front):
        found.setdefault(int(deletion[1]), set()).add(deletion[2].strip())
    for face, answers in sorted(found.items()):
        answer = next(iter(answers))
        if len(answers) > 1 or "{{" in answer or not _is_answer(answer, decimal):
            continue  # several gaps have several answers

        def shown(deletion: re.Match[str], face: int = face) -> str:
            if int(deletion[1]) != face:
                return deletion[2]
            return f"{GAP} ({deletion[3]})" if deletion[3] else GAP

        prompt = _DELETION.sub(shown, card.front).strip()
        if "{{" in prompt or stands_in(answer, prompt):
            continue
        yield Fact(
            prompt=prompt,
            answer=answer,
            statement=whole.strip(),
            sort="card",
            decimal=decimal,
            uses=_uses_of(card, answer) | {statement_key(whole)},
            quote=_quote_of(card),
            card=(card.id, face),
            content=content_of(prompt),
        )


def _is_answer(text: str, decimal: str) -> bool:
    return len(text) <= ANSWER_MAX and bool(keys(text, decimal)[0])


def _uses_of(card: AskedCard, answer: str) -> frozenset[str]:
    """The card, its text, and the sentences of its passage that contain its answer."""
    said = {f"card {card.id}", statement_key(f"{card.front} {card.back}")}
    said |= {statement_key(text) for text in _statements_of_card(card.block_text) if stands_in(answer, text)}
    return frozenset(said)


@lru_cache(maxsize=64)
def _statements_of_card(block_text: str) -> Sequence[str]:
    return list(islice(_statements(block_text[:BLOCK_MAX]), 40))


def _quote_of(card: AskedCard) -> dict[str, Any] | None:
    if not card.block_id:
        return None
    return {"topic_id": card.topic_id, "block_id": card.block_id, "text": card.block_text.strip()[:QUOTE_MAX]}


# --- Passages ---------------------------------------------------------------------------------------------------------


def facts_of_passages(passages: Iterable[QuizPassage], *, language: str) -> Iterator[Fact]:
    """Facts from paragraphs, lists and quotes: definitions, and sentences with a removable part."""
    left = STATEMENTS_MAX
    for passage in passages:
        if passage.kind not in (Kind.PARAGRAPH, Kind.LIST, Kind.QUOTE) or len(passage.text) > BLOCK_MAX:
            continue
        spoken = language_of(passage.text[:1000])
        for text in _statements(passage.text):
            left -= 1
            if left < 0:
                return
            if _NOT_PROSE.search(text) or not 8 <= len(text) <= QUOTE_MAX:
                continue
            yield from _of_statement(passage, text, spoken, decimal_mark(spoken or language))


def _statements(text: str) -> Iterator[str]:
    """The list items and sentences of a text, verbatim."""
    lines: list[str] = []
    for line in text.splitlines():
        if item := _ITEM.match(line):
            yield from _sentences("\n".join(lines))
            lines = [item["text"]]
        elif line.strip():
            lines.append(line.lstrip("> \t"))
        else:
            yield from _sentences("\n".join(lines))
            lines = []
    yield from _sentences("\n".join(lines))


def _sentences(text: str) -> Iterator[str]:
    if _DEFINITION.match(text):
        yield text.strip()
        return
    start = 0
    for end in sentence_ends(text):
        if sentence := text[start:end].strip():
            yield sentence
        start = end


def _of_statement(passage: QuizPassage, text: str, spoken: str, decimal: str) -> Iterator[Fact]:
    def fact(prompt: str, answer: str, sort: str, **more: Any) -> Fact:
        return Fact(
            prompt=one_line(prompt),
            answer=one_line(answer),
            statement=one_line(text),
            sort=sort,
            decimal=decimal,
            uses=frozenset([statement_key(text)]),
            quote={"topic_id": passage.topic_id, "block_id": passage.block_id, "text": text},
            content=content_of(prompt.replace(GAP, " ")),
            **more,
        )

    if definition := _DEFINITION.match(text):
        term, meaning = (definition["bold"] or definition["plain"]).strip(), definition["text"].strip()
        is_term = len(term.split()) <= TYPED_WORDS_MAX and not _ORDINAL.match(term)
        if is_term and keys(term, decimal)[0] and not stands_in(term, meaning):
            has_link = definition["link"] or definition["plain"] or text[: definition.start("text")].count(":")
            prompt = f"{GAP}: {meaning}" if has_link else f"{GAP} {meaning}"
            yield fact(prompt, term, "term", pair=(term, one_line(meaning)))
            return
    if text.rstrip().endswith(("?", "？", ":", "：")) or len(content_of(text)) < 3:
        return
    for start, end, sort in _takeable(text, spoken):
        answer = text[start:end].strip("*`_「」『』《》")
        prompt = f"{text[:start]}{GAP}{text[end:]}"
        if not keys(answer, decimal)[0] or stands_in(answer, prompt) or letters(answer) in NEGATIONS:
            continue
        accepted: tuple[str, ...] = ()
        if sort.startswith("number") and (following := _NEXT_WORD.match(text, end)):
            accepted = (f"{answer} {following[1]}",)
        yield fact(prompt, answer, sort, accepted=accepted)
        return


def _takeable(text: str, spoken: str) -> Iterator[tuple[int, int, str]]:
    """The removable parts of a sentence, best first, as ``(start, end, sort)``."""
    for pattern in (_BOLD, _CODE, _QUOTED):
        for found in pattern.finditer(text):
            yield found.start(), found.end(), "term"
    for found in _DIGITS.finditer(text):
        if number := _number(text, found, spoken):
            yield number
    subject = _TOPIC_OF.match(text)
    if subject and _KANA_ONLY.fullmatch(subject[1]) is None and subject[1] not in _POINTERS:
        yield subject.start(), subject.end(), "term"
    for pattern in (_NAME, _KANJI):
        for found in pattern.finditer(text):
            yield found.start(), found.end(), "term"
    words = [found for found in _WORD.finditer(text) if found[0].lower() not in FUNCTION_WORDS]
    words = [found for found in words if not is_dense(found[0])]
    for found in sorted(words, key=lambda found: (-len(found[0]), found.start()))[:3]:
        yield found.start(), found.end(), "word"


def _number(text: str, found: re.Match[str], spoken: str) -> tuple[int, int, str] | None:
    """A number with its unit, unless it is ambiguous, or is a version, a date or a code."""
    start, end = found.span()
    unit = read_unit(text, end)
    if unit is not None:
        end = unit[1]
    if re.match(r"[\w/^:-]", text[end : end + 1] or " ") and not is_dense(text[end : end + 1]):
        return None
    marks = decimal_mark(spoken) if spoken else ".,"
    readings = {keys(text[start:end], mark)[0] for mark in marks}
    if len(readings) > 1:
        return None
    [key] = readings
    if len(key) != 1 or isinstance(key[0], str):
        return None
    number = read_number(plain(found[0]), 0, decimal=marks[0])
    if number is None or (unit is None and number.decimals and found[0].endswith("0")):
        return None  # "Python 3.10"
    return start, end, f"number {unit[0] if unit else ''}"


def steps_of_passages(passages: Iterable[QuizPassage], *, language: str) -> Iterator[Steps]:
    """Numbered lists whose items are all different and do not contain their own position."""
    for passage in passages:
        if passage.kind != Kind.LIST or len(passage.text) > BLOCK_MAX:
            continue
        lines = [line for line in passage.text.splitlines() if line.strip()]
        found = [_ITEM.match(line) for line in lines]
        if any(item is None or item["number"] is None for item in found):
            continue  # nested or not numbered
        items = [item for item in found if item is not None]
        numbers = [int(item["number"]) for item in items]
        counted = list(range(numbers[0], numbers[0] + len(numbers)))
        texts = tuple(one_line(item["text"]) for item in items)
        decimal = decimal_mark(language_of(passage.text, default=language))
        if len(items) < ITEMS_MIN or (numbers != counted and set(numbers) != {1}):
            continue
        if any(len(text) > ANSWER_MAX or _ORDINAL.match(text) for text in texts):
            continue
        if not all_differ(texts, decimal=decimal):
            continue
        lead = one_line(passage.lead.lstrip("# "))
        if len(lead) > ANSWER_MAX or any(stands_in(text, lead) for text in texts):
            lead = ""
        yield Steps(
            items=texts,
            lead=lead,
            quote={"topic_id": passage.topic_id, "block_id": passage.block_id, "text": passage.text.strip()},
            uses=frozenset(statement_key(text) for text in _statements(passage.text)),
        )
