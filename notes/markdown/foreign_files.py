"""Reads Markdown files of other programs (Obsidian, Joplin, Notion), or written by hand, as notes."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from notes.markdown import front_matter, leftovers, links, outline, own_files
from notes.markdown.front_matter import FrontMatter
from notes.markdown.links import Attach, Index
from notes.markdown.trees import ChapterTree, NoteTree, TopicTree

_NOTION_ID = re.compile(r"[ -][0-9a-f]{32}$")
_TITLE_KEYS = ("title",)
_TAG_KEYS = ("tags", "tag", "keywords")
_MADE_KEYS = ("created_at", "created", "date")
_CHANGED_KEYS = ("updated_at", "updated", "modified")
_STATUSES = ("draft", "published", "archived")
_KEYS = (*_TITLE_KEYS, *_TAG_KEYS, *_MADE_KEYS, *_CHANGED_KEYS, "status")
_COMMENT = re.compile(r"(?:^|[ \t])#", re.MULTILINE)


def read_markdown(text: str, *, path: str, index: Index, attach: Attach) -> NoteTree:
    """The note in a Markdown file. ``path`` is the file's path in the import."""
    front, body = front_matter.split(text)
    if front is not None and own_files.is_own(front):
        return own_files.read(front, body)
    return read_foreign(front, body, path=path, index=index, attach=attach)


def read_foreign(
    front: FrontMatter | None, body: str, *, path: str, index: Index, attach: Attach, title: str = ""
) -> NoteTree:
    body = body.replace("\r\n", "\n").replace("\r", "\n")
    body, has_callouts = links.simplify_callouts(body)
    body, warnings = links.rewrite(body, path=path, index=index, attach=attach)
    document = outline.parse(body)
    values = front.values if front else {}
    note = NoteTree(
        title=title or title_of(values, document, path),
        tags=_tags(values),
        status=_status(values),
        made_at=_first_timestamp(values, _MADE_KEYS),
        changed_at=_first_timestamp(values, _CHANGED_KEYS),
        warnings=warnings,
    )
    if document.sections and document.sections[0].level == 1 and document.sections[0].title == note.title:
        document.take_title()
    outline.build(document, note)
    if has_callouts:
        note.warnings.append("Callouts became quotes.")
    if front:
        _keep_unknown(note, front)
    return note


def read_text(text: str, *, path: str) -> NoteTree:
    """The note in a file of plain text: one topic, named after the file."""
    title = name_of(path)
    note = NoteTree(title)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.strip():
        note.chapters.append(ChapterTree(title, [TopicTree(title, explanation=text)]))
    return note


def title_in(text: str, *, path: str) -> str:
    """The title that the note in this file will have."""
    front, body = front_matter.split(text)
    return title_of(front.values if front else {}, outline.parse(body), path)


def title_of(values: Mapping[str, Any], document: outline.Document, path: str) -> str:
    for key in _TITLE_KEYS:
        if isinstance(values.get(key), str) and values[key].strip():
            return " ".join(values[key].split())
    first = next((section.title for section in document.sections if section.level == 1 and section.title), None)
    return first or name_of(path)


def name_of(path: str) -> str:
    """A file's name without its extension and without the id that Notion adds."""
    name = PurePosixPath(path).name
    stem = name.rpartition(".")[0] or name
    return _NOTION_ID.sub("", stem).strip() or outline.UNTITLED


def _tags(values: Mapping[str, Any]) -> list[str]:
    found: list[str] = []
    for key in _TAG_KEYS:
        value = values.get(key)
        texts = value if isinstance(value, list) else [value]
        for text in texts:
            if isinstance(text, str):
                found += [tag.strip().lstrip("#") for tag in text.split(",")]
    return [tag for tag in found if tag]


def _status(values: Mapping[str, Any]) -> str:
    status = values.get("status")
    return status if status in _STATUSES else "draft"


def _first_timestamp(values: Mapping[str, Any], keys: Sequence[str]) -> datetime | None:
    return next((found for key in keys if (found := front_matter.timestamp_of(values.get(key)))), None)


def _keep_unknown(note: NoteTree, front: FrontMatter) -> None:
    """Keep front matter in the text if a note has no fields for all of it."""
    left = [key for key, value in front.values.items() if not _is_taken(key, value)]
    for keys in (_MADE_KEYS, _CHANGED_KEYS):
        left += [key for key in keys if front_matter.timestamp_of(front.values.get(key))][1:]  # a note has one of each
    if left or _COMMENT.search(front.source):
        unusable = [key for key in left if key in _KEYS]
        leftovers.keep(note, front.source, unknown=[key for key in left if key not in _KEYS], unusable=unusable)


def _is_taken(key: str, value: Any) -> bool:
    if key in _TAG_KEYS:
        return isinstance(value, str) or (isinstance(value, list) and all(isinstance(tag, str) for tag in value))
    if key in (*_MADE_KEYS, *_CHANGED_KEYS):
        return front_matter.timestamp_of(value) is not None
    return isinstance(value, str) and (key in _TITLE_KEYS or (key == "status" and value in _STATUSES))
