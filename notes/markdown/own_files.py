"""Reads the files that ``notes.markdown.writing`` writes, including files edited by hand.

Text in places where the format has none is kept: before the first chapter, between a chapter and its first topic,
after a fence, among the sources.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from notes.markdown import front_matter, leftovers
from notes.markdown.escaping import escape_title, unescape
from notes.markdown.front_matter import FrontMatter, timestamp_of
from notes.markdown.trees import ChapterTree, NoteTree, TopicTree
from notes.markdown.writing import FORMAT

_MARKER = re.compile(
    r"^<!-- noteassist:(?P<kind>chapter|topic|code|sources)(?: (?P<id>[0-9]{1,18}))? -->[ \t]*$\n?", re.MULTILINE
)
_ESCAPED_MARKER = re.compile(r"^\\(?=\\*<!-- noteassist:)", re.MULTILINE)
_HEADING = re.compile(r"#{1,3} (.*)(?:\n|\Z)")
_FENCED = re.compile(r"(?P<fence>`{3,})(?P<language>[^`\n]*)\n(?P<code>.*)\n(?P=fence)(?:\n|\Z)", re.DOTALL)
_SOURCE = re.compile(
    r"- \[(?P<title>(?:[^\\\]\n]|\\.)*)\]\((?:<(?P<quoted>(?:[^\\<>\n]|\\.)*)>|(?P<plain>[^\s()<>]+))\)"
)
_UNTITLED = "Untitled"
_KEYS = ("noteassist", "id", "version", "created_at", "updated_at", "title", "status", "tags")


@dataclass(slots=True)
class _Part:
    """A marker, and the text below it up to the next one."""

    kind: str
    id: int | None
    body: str


def is_own(front: FrontMatter | None) -> bool:
    return front is not None and front.values.get("noteassist") == str(FORMAT)


def read(front: FrontMatter, body: str) -> NoteTree:
    """The note in an exported file."""
    if "\r\n" in front.source:  # another program has converted the file's line ends
        body = body.replace("\r\n", "\n")
    head, parts = _parts(body)
    heading, rest = _titled(head.removeprefix("\n"))
    values = front.values
    title = _as_text(values.get("title"))
    note = NoteTree(
        title=title or heading or _UNTITLED,
        status=_as_text(values.get("status")) or "draft",
        tags=_tags(values.get("tags")),
        id=_number(values.get("id")),
        version=_number(values.get("version")),
        created_at=_as_text(values.get("created_at")),
        made_at=timestamp_of(values.get("created_at")),
        changed_at=timestamp_of(values.get("updated_at")),
    )
    if title and heading.strip() not in ("", title):
        note.warnings.append("The heading differs from the title of the front matter: it was moved to the text.")
        rest = f"\n# {escape_title(heading)}\n{rest}"
    if rest.strip():
        note.chapters.append(ChapterTree(note.title, [TopicTree(note.title, explanation=_explanation(rest))]))
    for part in parts:
        _add(note, part)
    _keep_leftovers(note, values)
    return note


def _keep_leftovers(note: NoteTree, values: Mapping[str, Any]) -> None:
    """Keep fields of the front matter that are not part of an export."""
    unknown = [key for key in values if key not in _KEYS]
    unusable = [key for key, value in values.items() if key in _KEYS and value != "" and not _is_usable(key, value)]
    if unknown or unusable:
        source = front_matter.dump({key: values[key] for key in (*unknown, *unusable)})
        source = source.removeprefix("---\n").removesuffix("---\n")
        leftovers.keep(note, source, unknown=unknown, unusable=unusable)


def _tags(value: Any) -> list[str]:
    """Tags in a list, or in one text separated by commas."""
    if isinstance(value, str):
        return [tag.strip() for tag in value.split(",") if tag.strip()]
    return value if _is_usable("tags", value) else []


def _is_usable(key: str, value: Any) -> bool:
    if key == "tags" and isinstance(value, list):
        return all(isinstance(tag, str) for tag in value)
    if key in ("created_at", "updated_at"):
        return timestamp_of(value) is not None
    if key in ("id", "version"):
        return _number(value) is not None
    return isinstance(value, str)


def _parts(body: str) -> tuple[str, list[_Part]]:
    markers = list(_MARKER.finditer(body))
    ends = [marker.start() for marker in markers[1:]]
    parts = []
    for marker, end in zip(markers, [*ends, None], strict=True) if markers else ():
        text = body[marker.end() : end]
        if end is not None:
            text = text.removesuffix("\n")  # the blank line before the next marker
        parts.append(_Part(marker["kind"], _number(marker["id"]), text))
    head = body[: markers[0].start()].removesuffix("\n") if markers else body
    return head, parts


def _add(note: NoteTree, part: _Part) -> None:
    match part.kind:
        case "chapter":
            title, rest = _titled(part.body)
            chapter = ChapterTree(title or _UNTITLED, id=part.id)
            note.chapters.append(chapter)
            if rest.strip():
                chapter.topics.append(TopicTree(chapter.title, explanation=_explanation(rest)))
        case "topic":
            title, rest = _titled(part.body)
            if not note.chapters:
                note.chapters.append(ChapterTree(note.title))
            note.chapters[-1].topics.append(TopicTree(title or _UNTITLED, explanation=_explanation(rest), id=part.id))
        case "code":
            _add_code(_last_topic(note), part.body)
        case "sources":
            _add_sources(_last_topic(note), part.body)


def _last_topic(note: NoteTree) -> TopicTree:
    if not note.chapters:
        note.chapters.append(ChapterTree(note.title))
    topics = note.chapters[-1].topics
    if not topics:
        topics.append(TopicTree(note.chapters[-1].title))
    return topics[-1]


def _add_code(topic: TopicTree, body: str) -> None:
    found = _FENCED.match(body)
    if found is None or topic.code or topic.code_language:
        _add_text(topic, body)
        return
    topic.code = _ESCAPED_MARKER.sub("", found["code"])
    topic.code_language = found["language"].strip()
    _add_text(topic, body[found.end() :])


def _add_sources(topic: TopicTree, body: str) -> None:
    others = []
    for line in body.split("\n"):
        if found := _SOURCE.fullmatch(line):
            url = found["plain"] if found["quoted"] is None else unescape(found["quoted"])
            topic.sources.append({"title": unescape(found["title"]), "url": url})
        else:
            others.append(line)
    _add_text(topic, "\n".join(others))


def _add_text(topic: TopicTree, text: str) -> None:
    if text.strip():
        topic.explanation += ("\n\n" if topic.explanation else "") + _ESCAPED_MARKER.sub("", text.strip("\n"))


def _titled(text: str) -> tuple[str, str]:
    found = _HEADING.match(text)
    return (unescape(found[1]), text[found.end() :]) if found else ("", text)


def _explanation(text: str) -> str:
    return _ESCAPED_MARKER.sub("", text.removeprefix("\n").removesuffix("\n"))


def _number(value: Any) -> int | None:
    text = _as_text(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else ""
