"""The sentences of a paragraph or a list item, and small corrections of their form.

Inline code, link targets, URLs, tags and formulas are no prose: they are left alone.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise

LONG_PARAGRAPH_SENTENCES = 6
PARAGRAPH_SENTENCES = 3
LONG_SENTENCE_WORDS = 25

# Bounded: an unbalanced mark costs at most its bound.
_INLINE_VERBATIM = re.compile(
    r"``[^\n]{1,300}?``|`[^`]{1,300}`|\]\([^)\n]{0,500}\)|<[^<>\n]{1,300}>|https?://\S{1,2000}|\$[^$\n]{1,200}\$"
)
# The last three characters are the full stop, exclamation mark and question mark of Chinese and Japanese.
_SENTENCE_END = re.compile(
    r"(?<![.!?…])[.!?…]++[\"'”\u2019)\]*_]*+(?=\s)|(?<![\u3002\uff01\uff1f])(?P<wide>[\u3002\uff01\uff1f]++)"
)
_LAST_WORD = re.compile(r"[\w.]{1,20}$")
_ABBREVIATIONS = frozenset(
    "e.g i.e etc vs cf al fig eq no ch sec vol ed eds pp approx resp dr mr mrs ms prof st jr sr inc ltd z.b bzw".split()
)

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


def edited_prose(text: str, changes: Counter[str]) -> str:
    """Correct spaces, repeated words and punctuation; count what was changed in ``changes``, by kind."""
    parts = []
    for start, end, is_prose in prose_spans(text):
        part = text[start:end]
        if is_prose:
            single_spaced = _SPACES.sub(" ", part)
            changes["spacing"] += single_spaced != part
            part = single_spaced
            for kind, pattern, replacement in _EDITS:
                part, times = pattern.subn(replacement, part)
                changes[kind] += times
        parts.append(part)
    return "".join(parts)


def edited_paragraph(text: str, changes: Counter[str]) -> list[str]:
    """As :func:`edited_prose`, and correct its sentences; several paragraphs if it is long."""
    return _split(_edited_sentences(edited_prose(text, changes), changes), changes)


def _edited_sentences(text: str, changes: Counter[str]) -> str:
    """Capitalise common opening words, and split a long sentence at "; however,"."""
    parts, start = [], 0
    for end in sentence_ends(text):
        sentence = text[start:end]
        bare = sentence.lstrip()
        if _OPENER.match(bare):
            sentence = sentence[: len(sentence) - len(bare)] + bare[0].upper() + bare[1:]
            changes["capitals"] += 1
        if len(sentence.split()) > LONG_SENTENCE_WORDS:
            sentence, times = _LINKED.subn(lambda match: f". {match[1].capitalize()},", sentence)
            changes["long sentences"] += times
        parts.append(sentence)
        start = end
    return "".join(parts) + text[start:]


def _split(text: str, changes: Counter[str]) -> list[str]:
    """Split a long paragraph into several, each of at least two sentences."""
    ends = sentence_ends(text)
    if len(ends) <= LONG_PARAGRAPH_SENTENCES:
        return [text]
    cuts = [0, *ends[PARAGRAPH_SENTENCES - 1 : -2 : PARAGRAPH_SENTENCES], len(text)]
    changes["long paragraphs"] += 1
    return [text[start:end].strip() for start, end in pairwise(cuts)]


def prose_spans(text: str) -> Iterator[tuple[int, int, bool]]:
    """Split a text into ``(start, end, is_prose)``. Inline code, link targets, URLs, tags and formulas are no prose."""
    position = 0
    for match in _INLINE_VERBATIM.finditer(text):
        if match.start() > position:
            yield position, match.start(), True
        yield match.start(), match.end(), False
        position = match.end()
    if position < len(text):
        yield position, len(text), True


def sentence_ends(text: str) -> list[int]:
    """The end positions of a paragraph's sentences, including the last. In doubt, two sentences count as one."""
    spans = list(prose_spans(text))
    starts = [start for start, _, _ in spans]
    ends = []
    for match in _SENTENCE_END.finditer(text):
        in_prose = spans[bisect_right(starts, match.start()) - 1][2]
        if in_prose and _is_end(text, match):
            ends.append(match.end())
    if not ends or text[ends[-1] :].strip():
        ends.append(len(text))
    return ends


def _is_end(text: str, match: re.Match[str]) -> bool:
    if match["wide"]:
        return True
    following = text[match.end() : match.end() + 40].lstrip()[:1]
    if following.islower():
        return False
    word = _LAST_WORD.search(text, max(0, match.start() - 20), match.start())
    if match[0].startswith(".") and word is not None:
        stem = word[0].lower().strip(".")
        # "e.g. Python", "J. Smith", "3. Install": none of these ends a sentence.
        return not (stem in _ABBREVIATIONS or (len(stem) == 1 and stem != "i") or (stem.isdigit() and len(stem) < 3))
    return True


def sentences_of(text: str) -> list[str]:
    """The sentences of a paragraph, each on one line."""
    start, found = 0, []
    for end in sentence_ends(text):
        if sentence := " ".join(text[start:end].split()):
            found.append(sentence)
        start = end
    return found
