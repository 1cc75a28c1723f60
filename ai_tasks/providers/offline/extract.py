"""Extractive summaries: the most important sentences of a text, verbatim and in order."""

import math
import re
from collections import Counter
from dataclasses import dataclass

from ai_tasks.providers.offline.markdown import Block, Kind, blocks_of, heading_text, list_items
from ai_tasks.providers.offline.prose import sentences_of
from ai_tasks.providers.offline.words import key_words

TOO_ALIKE = 0.6
SHORTEST_WORDS, LONGEST_WORDS = 5, 45

_LEANS_ON_ANOTHER = re.compile(r"(this|that|these|those|it|they|he|she|however|but|so|also|then|such)\b", re.IGNORECASE)
_DEFINES = re.compile(r"\b(is an?|are|means|refers to|is called|is the|consists of|is defined)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Sentence:
    """``block`` is the index of its block; ``opens``: it is the block's first sentence."""

    text: str
    block: int
    in_list: bool
    opens: bool
    words: frozenset[str]


def sentences_in(blocks: list[Block]) -> list[Sentence]:
    """The sentences of paragraphs and list items."""
    found = []
    for number, block in enumerate(blocks):
        if block.kind is Kind.LIST:
            texts = [" ".join(item.split()) for item in list_items(block)]
        elif block.kind is Kind.PARAGRAPH:
            texts = sentences_of(block.text)
        else:
            continue
        in_list = block.kind is Kind.LIST
        found += [
            Sentence(text, number, in_list, index == 0, frozenset(key_words(text))) for index, text in enumerate(texts)
        ]
    return found


def most_telling(sentences: list[Sentence], count: int, *, theme: str = "") -> list[Sentence]:
    """The ``count`` best sentences, in order and without near repetitions.

    A sentence scores high if it contains words that are frequent in the text, or words of ``theme``.
    """
    frequency = Counter(word for sentence in sentences for word in sentence.words)
    theme_words = frozenset(key_words(theme))
    ranked = sorted(
        range(len(sentences)),
        key=lambda index: (-_score(sentences[index], index, len(sentences), frequency, theme_words), index),
    )
    chosen: list[int] = []
    for index in ranked:
        if len(chosen) == count:
            break
        if not any(_alike(sentences[index], sentences[other]) for other in chosen):
            chosen.append(index)
    return [sentences[index] for index in sorted(chosen)]


def _score(sentence: Sentence, index: int, total: int, frequency: Counter[str], theme: frozenset[str]) -> float:
    if not sentence.words:
        return 0.0
    weight = sum(math.log1p(frequency[word]) for word in sentence.words) / math.sqrt(len(sentence.words))
    weight *= 1 + 0.15 * len(sentence.words & theme)
    if index == 0:
        weight *= 1.3
    elif sentence.opens or index == total - 1:
        weight *= 1.1
    if _DEFINES.search(sentence.text):
        weight *= 1.15
    if _LEANS_ON_ANOTHER.match(sentence.text) or sentence.text.endswith("?"):
        weight *= 0.8
    if sentence.text.endswith(":") or (sentence.text[0].islower() and not sentence.in_list):
        weight *= 0.4  # half a sentence: code or a list completes it
    length = sentence.text.count(" ") + 1
    if not SHORTEST_WORDS <= length <= LONGEST_WORDS:
        weight *= 0.6
    return weight


def _alike(one: Sentence, other: Sentence) -> bool:
    shared = len(one.words & other.words)
    return shared > TOO_ALIKE * min(len(one.words), len(other.words)) if shared else one.text == other.text


def summary_of(text: str, *, share: float, at_most: int, with_headings: bool = False, theme: str = "") -> list[str]:
    """The best ``share`` of a text's sentences, between one and ``at_most``, as Markdown blocks.

    Empty if the text has no sentence. ``with_headings`` keeps the headings above the chosen sentences.
    """
    blocks = blocks_of(text)
    sentences = sentences_in(blocks)
    headings = [heading_text(block) for block in blocks if block.kind is Kind.HEADING]
    count = min(at_most, math.ceil(share * len(sentences)))
    chosen = most_telling(sentences, count, theme=" ".join([theme, *headings]))
    by_block: dict[int, list[Sentence]] = {}
    for sentence in chosen:
        by_block.setdefault(sentence.block, []).append(sentence)
    parts = []
    heading: Block | None = None
    for number, block in enumerate(blocks):
        if block.kind is Kind.HEADING:
            heading = block
        elif number in by_block:
            if with_headings and heading is not None:
                parts.append(heading.lines[0].strip())
                heading = None
            parts.append(_as_markdown(by_block[number]))
    return parts


def _as_markdown(sentences: list[Sentence]) -> str:
    if sentences[0].in_list:
        return "\n".join(f"- {sentence.text}" for sentence in sentences)
    return " ".join(sentence.text for sentence in sentences)
