"""Matches the blocks of two versions of a text, so that blocks keep their ids.

1. Blocks with equal texts are matched: first those at the start and the end of both versions, then the others, from the
   top, wherever they are.
2. The unmatched blocks between two matches that are in the same order in both versions form a *gap*. In a gap, a block
   that was split is matched with its largest part, and joined blocks are matched by the first of them.
3. Of the remaining blocks in a gap, the most similar pairs of the same kind are matched if they share at least half of
   their words. In a gap of more than ``GAP_MAX`` blocks, blocks at the same position are matched.

Time is bounded. After ``_MAX_STEPS`` steps the search for pairs stops, and leaves out the words that are in the most
blocks. The pairs found by then are compared by all their words.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, Protocol

from notes.blocks.splitting import Kind
from notes.blocks.words import comparable_words

GAP_MAX = 2000
_MAX_STEPS = 15_000
_CANDIDATES = 2


class _Text(Protocol):
    """A block, with or without an id."""

    @property
    def kind(self) -> Kind: ...

    @property
    def text(self) -> str: ...


class _Pair(NamedTuple):
    old: int
    new: int
    shared: int


class _Gap:
    """The unmatched blocks between two matches: their positions and their words."""

    def __init__(self, old: Sequence[_Text], new: Sequence[_Text], olds: list[int], news: list[int]) -> None:
        self.old, self.new = old, new
        self.olds, self.news = olds, news
        self.old_words = {at: Counter(comparable_words(old[at].text)) for at in olds}
        self.new_words = {at: Counter(comparable_words(new[at].text)) for at in news}
        self.old_sizes = {at: words.total() for at, words in self.old_words.items()}
        self.new_sizes = {at: words.total() for at, words in self.new_words.items()}

    def match(self) -> dict[int, int]:
        """The matches, from new to old position."""
        pairs = self._pairs()
        found = self._joined(pairs) | self._cut(pairs)
        taken = set(found.values())
        scored = [
            (-2 * pair.shared / (self.old_sizes[pair.old] + self.new_sizes[pair.new]), pair.old, pair.new)
            for pair in pairs
            if self.old[pair.old].kind == self.new[pair.new].kind
        ]
        for score, old, new in sorted(scored):
            if score <= -0.5 and old not in taken and new not in found:
                found[new] = old
                taken.add(old)
        return found

    def _pairs(self) -> list[_Pair]:
        """Pairs that share words, with the number of shared words."""
        index: defaultdict[str, list[int]] = defaultdict(list)
        wanted: defaultdict[str, list[int]] = defaultdict(list)
        for at, words in self.old_words.items():
            for word in words:
                index[word].append(at)
        for at, words in self.new_words.items():
            for word in words:
                if word in index:
                    wanted[word].append(at)
        shared: defaultdict[tuple[int, int], int] = defaultdict(int)
        steps, is_complete = 0, True
        for word in sorted(wanted, key=lambda word: len(index[word]) * len(wanted[word])):
            steps += len(index[word]) * len(wanted[word])
            if steps > _MAX_STEPS:
                is_complete = False
                break
            for new in wanted[word]:
                times = self.new_words[new][word]
                for old in index[word]:
                    shared[old, new] += min(times, self.old_words[old][word])
        pairs = [_Pair(old, new, count) for (old, new), count in shared.items()]
        return pairs if is_complete else self._compared(pairs)

    def _compared(self, pairs: list[_Pair]) -> list[_Pair]:
        """The best pairs of each new block, and the pair at the same position, compared by all their words."""
        of_new: defaultdict[int, list[_Pair]] = defaultdict(list)
        for pair in pairs:
            of_new[pair.new].append(pair)
        found = []
        for place, new in enumerate(self.news):
            best = sorted(of_new[new], key=lambda pair: -pair.shared)[:_CANDIDATES]
            olds = {pair.old for pair in best} | ({self.olds[place]} if place < len(self.olds) else set())
            found += [_Pair(old, new, (self.old_words[old] & self.new_words[new]).total()) for old in sorted(olds)]
        return found

    def _joined(self, pairs: list[_Pair]) -> dict[int, int]:
        """Match a new block that consists of several old ones with the first of them."""
        held: defaultdict[int, list[int]] = defaultdict(list)
        for old, new, shared in pairs:
            if shared == self.old_sizes[old]:
                held[new].append(old)
        found: dict[int, int] = {}
        taken: set[int] = set()
        for new, olds in held.items():
            parts = _parts(sorted(set(olds) - taken), self.old_sizes, self.new_sizes[new])
            if parts and self.old[parts[0]].kind == self.new[new].kind:
                found[new] = parts[0]
                taken.update(parts)
        return found

    def _cut(self, pairs: list[_Pair]) -> dict[int, int]:
        """Match an old block that was split into several new ones with the largest of them."""
        held: defaultdict[int, list[int]] = defaultdict(list)
        for old, new, shared in pairs:
            if shared == self.new_sizes[new] and self.old[old].kind == self.new[new].kind:
                held[old].append(new)
        found: dict[int, int] = {}
        taken: set[int] = set()
        for old, news in held.items():
            parts = _parts(sorted(set(news) - taken), self.new_sizes, self.old_sizes[old])
            if parts:
                found[max(parts, key=lambda new: (self.new_sizes[new], -new))] = old
                taken.update(parts)
        return found


def _parts(candidates: list[int], sizes: dict[int, int], whole: int) -> list[int]:
    """The first run of two or more neighbouring candidates whose sizes add up to ``whole``."""
    start, total = 0, 0
    for end, at in enumerate(candidates):
        if end and candidates[end - 1] != at - 1:
            start, total = end, 0
        total += sizes[at]
        while total > whole:
            total -= sizes[candidates[start]]
            start += 1
        if total == whole and end > start:
            return candidates[start : end + 1]
    return []


def match(old: Sequence[_Text], new: Sequence[_Text]) -> list[int | None]:
    """For each block of the new text its position in the old text, or None for a new block.

    Takes at most 100 ms of CPU for two texts of 100 kB.
    """
    found = _match_equal(old, new)
    taken = {at for at in found if at is not None}
    if len(taken) < len(old) and None in found:
        for olds, news in _gaps(found, len(old), taken):
            if len(olds) > GAP_MAX or len(news) > GAP_MAX:
                pairs = {b: a for a, b in zip(olds, news, strict=False) if old[a].kind == new[b].kind}
            else:
                pairs = _Gap(old, new, olds, news).match()
            for at, before in pairs.items():
                found[at] = before
    return found


def _match_equal(old: Sequence[_Text], new: Sequence[_Text]) -> list[int | None]:
    """Match equal texts, ignoring white space at their ends, which changes when a block is moved."""
    old_keys = [piece.text.strip() for piece in old]
    new_keys = [piece.text.strip() for piece in new]
    found: list[int | None] = [None] * len(new)
    start, old_end, new_end = 0, len(old), len(new)
    while start < old_end and start < new_end and old_keys[start] == new_keys[start]:
        found[start] = start
        start += 1
    while old_end > start and new_end > start and old_keys[old_end - 1] == new_keys[new_end - 1]:
        old_end, new_end = old_end - 1, new_end - 1
        found[new_end] = old_end
    places: defaultdict[str, list[int]] = defaultdict(list)
    for at in range(old_end - 1, start - 1, -1):
        places[old_keys[at]].append(at)
    for at in range(start, new_end):
        if waiting := places.get(new_keys[at]):
            found[at] = waiting.pop()
    return found


def _gaps(found: Sequence[int | None], old_count: int, taken: set[int]) -> list[tuple[list[int], list[int]]]:
    """The gaps: positions of unmatched blocks in the old and in the new text."""
    anchors = [(-1, -1), *in_same_order(found), (old_count, len(found))]
    gaps = []
    for (old_start, new_start), (old_end, new_end) in pairwise(anchors):
        olds = [at for at in range(old_start + 1, old_end) if at not in taken]
        news = [at for at in range(new_start + 1, new_end) if found[at] is None]
        if olds and news:
            gaps.append((olds, news))
    return gaps


def in_same_order(found: Sequence[int | None]) -> list[tuple[int, int]]:
    """The longest series of matches that are in the same order in both texts, as (old, new)."""
    tails: list[int] = []
    """For each length of a series, the smallest old position at which one ends."""
    ends: list[tuple[int, int]] = []
    before: dict[int, int | None] = {}
    for new, old in enumerate(found):
        if old is None:
            continue
        length = bisect_left(tails, old)
        before[new] = ends[length - 1][1] if length else None
        if length == len(tails):
            tails.append(old)
            ends.append((old, new))
        else:
            tails[length] = old
            ends[length] = (old, new)
    series: list[tuple[int, int]] = []
    at = ends[-1][1] if ends else None
    while at is not None:
        position = found[at]
        assert position is not None
        series.append((position, at))
        at = before[at]
    return series[::-1]
