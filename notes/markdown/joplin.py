"""Joplin's own archive (``.jex``): a tar of items, each a Markdown file whose last lines are its properties."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_PROPERTY = re.compile(r"([a-z_]+): ?(.*)")
_ITEM = re.compile(r"[0-9a-f]{32}\.md")
NOTE, FOLDER, RESOURCE, TAG, NOTE_TAG = "1", "2", "4", "5", "6"


@dataclass(frozen=True, slots=True)
class Item:
    """An item of the archive: a note, a folder, a tag, …"""

    title: str
    body: str
    properties: Mapping[str, str]

    @property
    def kind(self) -> str:
        return self.properties.get("type_", "")


@dataclass(slots=True)
class Notebook:
    """The folders, tags and other items of an archive, read before the notes' texts."""

    folders: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Title and parent's id, by the folder's id."""
    tags: dict[str, str] = field(default_factory=dict)
    tags_of: dict[str, list[str]] = field(default_factory=dict)
    """The ids of a note's tags, by the note's id."""

    def add(self, item: Item) -> None:
        properties = item.properties
        match item.kind:
            case "2":
                self.folders[properties["id"]] = (item.title, properties.get("parent_id", ""))
            case "5":
                self.tags[properties["id"]] = item.title
            case "6":
                self.tags_of.setdefault(properties.get("note_id", ""), []).append(properties.get("tag_id", ""))

    def names_of_tags(self, note_id: str) -> list[str]:
        return [self.tags[tag] for tag in self.tags_of.get(note_id, ()) if tag in self.tags]

    def path(self, item: Item) -> str:
        """The note's path: the titles of its folders, and its own."""
        names: list[str] = [item.title or "Untitled"]
        parent = item.properties.get("parent_id", "")
        while parent in self.folders and len(names) < 20:
            title, parent = self.folders[parent]
            names.append(title)
        return "/".join(name.replace("/", "-") for name in reversed(names)) + ".md"


def is_item(name: str) -> bool:
    return _ITEM.fullmatch(name) is not None


def parse(text: str) -> Item | None:
    """The item in a file; None if the file is not an item."""
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    start = len(lines)
    while start and _PROPERTY.fullmatch(lines[start - 1]):
        start -= 1
    properties = dict(_split(lines[start:]))
    if "id" not in properties or "type_" not in properties:
        return None
    head = lines[:start]
    title = head[0].strip() if head else ""
    return Item(title, "\n".join(head[1:]).strip("\n"), properties)


def _split(lines: Sequence[str]) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for line in lines if (found := _PROPERTY.fullmatch(line))]
