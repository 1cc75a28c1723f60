"""The differences between two snapshots of a note, by block and by word.

Chapters, topics and blocks are compared by their ids, so a moved block is not shown as one deleted and one added.
Blocks of versions that have no ids yet are matched by their texts. Time is bounded: words are compared only if the
texts together have at most ``WORDS_MAX_CHARACTERS``.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from notes.blocks.matching import in_same_order
from notes.blocks.stored import decode, edited_blocks, new_blocks

WORDS_MAX_CHARACTERS = 400_000
_DEPTH_MAX = 12
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")

Fields = dict[str, Any]
Words = list[list[str]]


def differences(before: Mapping[str, Any], after: Mapping[str, Any], *, note_id: int) -> list[Fields]:
    """The changes that turn the first snapshot into the second, in the order of the second."""
    return _Comparison().compare(before, after, note_id)


class _Comparison:
    def __init__(self) -> None:
        self.characters_left = WORDS_MAX_CHARACTERS

    def compare(self, before: Mapping[str, Any], after: Mapping[str, Any], note_id: int) -> list[Fields]:
        found: list[Fields] = []
        for name in ("title", "status", "tags"):
            if before.get(name) != after.get(name):
                found.append(self._replaced(name, note_id, before.get(name), after.get(name)))
        found += self._compare_rows(
            "chapter", _by_id(before["chapters"]), _by_id(after["chapters"]), shown=_title, inside=None
        )
        old_topics, new_topics = _topics(before), _topics(after)
        found += self._compare_rows("topic", old_topics, new_topics, shown=_title, inside=self._inside_topic)
        return found

    def _compare_rows(
        self,
        name: str,
        old: Mapping[Any, Fields],
        new: Mapping[Any, Fields],
        *,
        shown: Callable[[Fields], str],
        inside: Callable[[Fields | None, Fields | None], Iterator[Fields]] | None,
        **more: Any,
    ) -> Iterator[Fields]:
        moved = _moved(old, new)
        for key, row in new.items():
            before = old.get(key)
            if before is None:
                yield _entry(name, key, "insert", None, shown(row), **more)
            else:
                if key in moved:
                    yield _entry(name, key, "move", before["place"], row["place"], **more)
                if shown(before) != shown(row):
                    yield self._replaced(name, key, shown(before), shown(row), **more)
            if inside:
                yield from inside(before, row)
        for key, row in old.items():
            if key not in new:
                yield _entry(name, key, "delete", shown(row), None, **more)
                if inside:
                    yield from inside(row, None)

    def _inside_topic(self, old: Fields | None, new: Fields | None) -> Iterator[Fields]:
        topic_id = (new or old or {})["id"]
        before, after = old or {}, new or {}
        sources = before.get("sources") or [], after.get("sources") or []
        if old and new and sources[0] != sources[1]:
            yield _entry("topic", topic_id, "replace", old["title"], new["title"], sources=list(sources))
        code, languages = _pair("code", before, after), _pair("code_language", before, after)
        if code[0] != code[1] or (any(code) and languages[0] != languages[1]):
            op = "replace" if all(code) else "insert" if code[1] else "delete"
            more = {"code_language": list(languages)} if languages[0] != languages[1] else {}
            entry = _entry("code", topic_id, op, code[0] or None, code[1] or None, **more)
            yield self._with_words(entry) if op == "replace" else entry
        yield from self._compare_blocks(topic_id, before, after)

    def _compare_blocks(self, topic_id: int, before: Fields, after: Fields) -> Iterator[Fields]:
        texts = _pair("explanation", before, after)
        if texts[0] == texts[1]:
            return
        old = decode(before.get("blocks"), texts[0])
        new = decode(after.get("blocks"), texts[1])
        if old is None:
            old = edited_blocks(new, texts[0]) if new else new_blocks(texts[0])
        if new is None:
            new = edited_blocks(old, texts[1])
        rows = [{block.id: {"text": block.text, "place": place} for place, block in enumerate(of)} for of in (old, new)]
        yield from self._compare_rows("block", *rows, shown=lambda row: row["text"], inside=None, topic_id=topic_id)

    def _replaced(self, name: str, key: Any, before: Any, after: Any, **more: Any) -> Fields:
        entry = _entry(name, key, "replace", before, after, **more)
        return self._with_words(entry) if isinstance(before, str) and name != "status" else entry

    def _with_words(self, entry: Fields) -> Fields:
        before, after = entry["before"], entry["after"]
        self.characters_left -= len(before) + len(after)
        return entry if self.characters_left < 0 else {**entry, "words": words_between(before, after)}


def _entry(name: str, key: Any, op: str, before: Any, after: Any, **more: Any) -> Fields:
    return {"field": name, "id": key, "op": op, "before": before, "after": after, **more}


def _title(row: Fields) -> str:
    return row["title"]


def _pair(name: str, before: Fields, after: Fields) -> tuple[str, str]:
    return before.get(name) or "", after.get(name) or ""


def _by_id(rows: Sequence[Fields]) -> dict[int, Fields]:
    return {row["id"]: {**row, "place": place} for place, row in enumerate(rows)}


def _topics(snapshot: Mapping[str, Any]) -> dict[int, Fields]:
    return {
        topic["id"]: {**topic, "place": {"chapter": chapter["id"], "order": order}}
        for chapter in snapshot["chapters"]
        for order, topic in enumerate(chapter["topics"])
    }


def _moved(old: Mapping[Any, Fields], new: Mapping[Any, Fields]) -> set[Any]:
    """The smallest set of moved items: all others are in the same order, and in the same parent, as before."""
    places = {key: place for place, key in enumerate(old)}
    keys = list(new)
    in_order = {keys[at] for _, at in in_same_order([places.get(key) for key in keys])}
    return {key for key in keys if key in old and (key not in in_order or _parent(old[key]) != _parent(new[key]))}


def _parent(row: Fields) -> Any:
    return row["place"]["chapter"] if isinstance(row["place"], dict) else None


def words_between(before: str, after: str) -> Words:
    """A list of ``[op, text]``, with op ``equal``, ``delete`` or ``insert``.

    Without the inserts it is the old text, without the deletes the new one. Takes O(n log n) time.
    """
    pieces: Words = []
    _compare_tokens(_TOKEN.findall(before), _TOKEN.findall(after), pieces, _DEPTH_MAX)
    return pieces


def _compare_tokens(old: list[str], new: list[str], pieces: Words, depth: int) -> None:
    """Match the common start and end; split the rest at words that both texts have once, and compare the parts."""
    start, most = 0, min(len(old), len(new))
    while start < most and old[start] == new[start]:
        start += 1
    end = 0
    while end < most - start and old[len(old) - end - 1] == new[len(new) - end - 1]:
        end += 1
    _put(pieces, "equal", old[:start])
    old_middle, new_middle, tail = old[start : len(old) - end], new[start : len(new) - end], old[len(old) - end :]
    anchors = _anchors(old_middle, new_middle) if depth and old_middle and new_middle else []
    if anchors:
        old_at = new_at = 0
        for old_next, new_next in [*anchors, (len(old_middle), len(new_middle))]:
            _compare_tokens(old_middle[old_at:old_next], new_middle[new_at:new_next], pieces, depth - 1)
            _put(pieces, "equal", old_middle[old_next : old_next + 1])
            old_at, new_at = old_next + 1, new_next + 1
    else:
        _put(pieces, "delete", old_middle)
        _put(pieces, "insert", new_middle)
    _put(pieces, "equal", tail)


def _anchors(old: list[str], new: list[str]) -> list[tuple[int, int]]:
    once_old = {token for token, count in Counter(old).items() if count == 1}
    once_new = {token for token, count in Counter(new).items() if count == 1}
    places = {token: at for at, token in enumerate(old) if token in once_old}
    return in_same_order([places.get(token) if token in once_new else None for token in new])


def _put(pieces: Words, op: str, tokens: list[str]) -> None:
    if not tokens:
        return
    text = "".join(tokens)
    if pieces and pieces[-1][0] == op:
        pieces[-1][1] += text
    else:
        pieces.append([op, text])
