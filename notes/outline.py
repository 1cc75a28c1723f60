"""The outline of a note: chapters, their topics, and the headings in the topics' texts."""

import re
from typing import Any

from utils.database.compiled_queries import Row

_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*?)(?:[ \t]+#+)?[ \t]*$")


def outline_of(note: Row) -> list[dict[str, Any]]:
    """``note`` is a row as ``notes.reads.detail`` returns it."""
    return [
        _entry("chapter", chapter["id"], chapter["title"], 1, [_topic(topic) for topic in chapter["topics"]])
        for chapter in note["chapters"]
    ]


def _topic(topic: Row) -> dict[str, Any]:
    entry = _entry("topic", topic["id"], topic["title"], 2, [])
    above: list[tuple[int, dict[str, Any]]] = [(0, entry)]
    for level, title in headings_in(topic["explanation"]):
        while above[-1][0] >= level:
            above.pop()
        heading = _entry("heading", None, title, level, [])
        above[-1][1]["children"].append(heading)
        above.append((level, heading))
    return entry


def _entry(kind: str, pk: int | None, title: str, level: int, children: list[dict[str, Any]]) -> dict[str, Any]:
    return {"type": kind, "id": pk, "title": title, "level": level, "children": children}


def headings_in(text: str) -> list[tuple[int, str]]:
    """The level and text of each Markdown heading that begins with ``#``, except in fenced code."""
    found: list[tuple[int, str]] = []
    fence = ""
    for line in text.splitlines():
        opening = _FENCE.match(line)
        if fence:
            if opening and opening[1].startswith(fence) and line.strip() == opening[1]:
                fence = ""
        elif opening:
            fence = opening[1]
        elif heading := _HEADING.match(line):
            found.append((len(heading[1]), heading[2]))
    return found
