"""Opens an Anki package and gives bounded access to its notes and media.

A package is a zip with a SQLite database, in one of three formats. In the newest, the database is
``collection.anki21b`` and, like the media, compressed with Zstandard. A newer package also has a placeholder database
for older programs, so the newest format found is read.
"""

import io
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import zstandard

from notes.markdown.archives import ArchiveEntry, UnreadableArchive, UnreadableEntry, opened_zip
from utils.bounded_process import ProcessFailed, run_bounded

PACKAGE_MAX = 50 * 1024 * 1024
SECONDS_MAX = 60
MEMORY_MAX = 1024 * 1024 * 1024
_DATABASES = ("collection.anki21b", "collection.anki21", "collection.anki2")
_MEDIA = "media"
_MEDIA_LIST_MAX = 2 * 1024 * 1024
_PROCESS = Path(__file__).with_name("collection_process.py")
_ZSTANDARD = b"\x28\xb5\x2f\xfd"


@dataclass(slots=True)
class Package:
    """The content of a package. Its notes are read one at a time."""

    header: dict[str, Any]
    _lines: io.BytesIO
    _media: dict[str, ArchiveEntry] = field(default_factory=dict)

    def notes(self) -> Iterator[dict[str, Any]]:
        """The notes, in the format of ``collection_process``."""
        for line in self._lines:
            yield orjson.loads(line)

    def media(self, name: str, at_most: int) -> bytes | None:
        """The file with this name in card fields, cut after ``at_most`` bytes; None if it is missing or unreadable."""
        entry = self._media.get(unicodedata.normalize("NFC", name))
        if entry is None:
            return None
        try:
            content = entry.read(at_most)
            return _unpacked(content, at_most) if content.startswith(_ZSTANDARD) else content
        except (UnreadableEntry, zstandard.ZstdError):
            return None


@contextmanager
def opened_package(content: bytes) -> Iterator[Package]:
    """Open a package. Raises ``UnsafeArchive`` and ``UnreadableArchive``."""
    with opened_zip(io.BytesIO(content)) as entries:
        by_name = {entry.name: entry for entry in entries}
        database = next((by_name[name] for name in _DATABASES if name in by_name), None)
        if database is None:
            raise UnreadableArchive("This is not an Anki package.")
        lines = io.BytesIO(_read_database(database))
        yield Package(orjson.loads(lines.readline()), lines, _media_of(by_name))


def _read_database(entry: ArchiveEntry) -> bytes:
    try:
        return run_bounded(_PROCESS, entry.read(entry.size), seconds=SECONDS_MAX, memory=MEMORY_MAX)
    except (UnreadableEntry, ProcessFailed) as error:
        raise UnreadableArchive(f"The collection in this package cannot be read. {error}") from error


def _media_of(by_name: dict[str, ArchiveEntry]) -> dict[str, ArchiveEntry]:
    """The media files by their names in card fields."""
    entry = by_name.get(_MEDIA)
    if entry is None:
        return {}
    try:
        content = entry.read(_MEDIA_LIST_MAX + 1)
        if content.startswith(_ZSTANDARD):
            content = _unpacked(content, _MEDIA_LIST_MAX + 1)
            names = _names_in_message(content)
        else:
            names = _names_in_json(content)
    except (UnreadableEntry, zstandard.ZstdError, ValueError) as error:
        raise UnreadableArchive("The list of media in this package cannot be read.") from error
    if len(content) > _MEDIA_LIST_MAX:
        raise UnreadableArchive("The list of media in this package is too long.")
    return {unicodedata.normalize("NFC", name): by_name[key] for key, name in names.items() if key in by_name}


def _names_in_json(content: bytes) -> dict[str, str]:
    names = orjson.loads(content or b"{}")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError("no object of names")
    return names


def _names_in_message(content: bytes) -> dict[str, str]:
    """Read the newest format: ``MediaEntries`` of import_export.proto. An entry's position is the file's name in the
    zip."""
    names: dict[str, str] = {}
    stream = io.BytesIO(content)
    while tag := stream.read(1):
        if tag != b"\x0a":  # each entry: field 1
            raise ValueError("no entry")
        entry = io.BytesIO(stream.read(_varint(stream)))
        if entry.read(1) == b"\x0a":  # its name: field 1
            names[str(len(names))] = entry.read(_varint(entry)).decode()
        else:
            raise ValueError("no name")
    return names


def _varint(stream: io.BytesIO) -> int:
    value = shift = 0
    while (byte := stream.read(1)) and shift < 35:
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7
    raise ValueError("no number")


def _unpacked(content: bytes, at_most: int) -> bytes:
    with zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(content) as reader:
        return reader.read(at_most)
