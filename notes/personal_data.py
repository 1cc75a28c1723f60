"""Export and deletion of notes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.conf import settings
from django.db.models import TextField
from django.db.models.functions import Cast, Substr

from notes.contents import CHAPTER_SHOWN, TOPIC_SHOWN
from notes.models import Attachment, Chapter, KeptTopic, Note, NoteLink, NoteVersion, Share, StorageUse, Topic
from notes.snapshots import SCHEMA, kept_topic, load_topics
from notes.transfers import ImportedFile, NoteExport, NoteImport, NoteSource
from notes.walks import NOTE_WALKED, Line, attached_files, markdown_files, walk
from utils.database.batching import batch_query
from utils.personal_data import File, PersonalData, Rows, fields_of, json_array, register, to_json

_BATCH_SIZE = 200
_TOPIC_BATCH_SIZE = 20
"""Few, as a topic may have some hundred kilobytes."""
_SNAPSHOT_PIECE = 2_000_000
"""The length in characters; large, as PostgreSQL renders the whole snapshot again for each piece."""

_NOTE_VERSION = ("note_id", "version", "reason", "created_at")
_ATTACHMENT = ("id", "note_id", "name", "content_type", "size", "created_at")
_SHARE = ("id", "note_id", "slug", "expires_at", "views", "created_at")
_IMPORT = ("id", "name", "dry_run", "status", "error_code", "created_at", "finished_at")
_IMPORTED_FILE = ("name", "outcome", "note_id", "warnings")


def _rows(user_id: int) -> list[Rows]:
    return [
        Rows(ImportedFile.objects.filter(note_import__user_id=user_id)),
        Rows(NoteImport.objects.filter(user_id=user_id)),
        Rows(NoteExport.objects.filter(user_id=user_id)),
        Rows(NoteSource.objects.filter(user_id=user_id)),
        Rows(Share.objects.filter(note__user_id=user_id)),
        Rows(Attachment.objects.filter(user_id=user_id)),  # their files go with the rows: see utils.storage
        Rows(NoteLink.objects.filter(user_id=user_id)),
        Rows(NoteVersion.objects.filter(note__user_id=user_id)),
        Rows(KeptTopic.objects.filter(note__user_id=user_id)),
        Rows(Topic.objects.filter(chapter__note__user_id=user_id)),
        Rows(Chapter.objects.filter(note__user_id=user_id)),
        Rows(Note.objects.filter(user_id=user_id)),
        Rows(StorageUse.objects.filter(user_id=user_id)),
    ]


def _files(user_id: int) -> Iterator[File]:
    notes = Note.objects.filter(user_id=user_id)
    yield "notes.json", _notes_as_json(walk(notes))
    yield "note_versions.json", _versions(user_id)
    attachments = Attachment.objects.filter(user_id=user_id)
    yield "attachments.json", json_array(attachments, _ATTACHMENT, batch_size=_BATCH_SIZE)
    shares = Share.objects.filter(note__user_id=user_id)
    yield "shares.json", json_array(shares, _SHARE, batch_size=_BATCH_SIZE)
    yield "imports.json", _imports(user_id)
    if settings.FILES_ARE_KEPT:
        yield from attached_files(attachments)
    yield from markdown_files(notes)


def _imports(user_id: int) -> Iterator[bytes]:
    """Each import with the outcome of its files."""
    separator = b"["
    for batch in batch_query(NoteImport.objects.filter(user_id=user_id).only("pk", *_IMPORT), batch_size=_BATCH_SIZE):
        for job in batch:
            files = json_array(ImportedFile.objects.filter(note_import=job), _IMPORTED_FILE, batch_size=_BATCH_SIZE)
            yield separator + to_json(fields_of(job, _IMPORT))[:-1] + b',"files":'
            yield from files
            yield b"}"
            separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


def _versions(user_id: int) -> Iterator[bytes]:
    """Stream the versions, as each has a whole note of any size.

    A version is streamed topic by topic; one of an old release, as the text that PostgreSQL renders, without parsing.
    """
    separator = b"["
    for batch in batch_query(
        NoteVersion.objects.filter(note__user_id=user_id).only("pk", *_NOTE_VERSION), batch_size=_BATCH_SIZE
    ):
        for version in batch:
            pieces = _snapshot(version.pk)
            first = next(pieces, None)
            if first is None:
                continue  # deleted since the batch was read
            yield separator + to_json(fields_of(version, _NOTE_VERSION))[:-1] + b',"snapshot":' + first
            yield from pieces
            yield b"}"
            separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


def _snapshot(version_id: int) -> Iterator[bytes]:
    """Yields nothing if the version is deleted. Raises ``NoteVersion.DoesNotExist`` if it is deleted meanwhile."""
    kept = NoteVersion.objects.filter(pk=version_id, snapshot__schema=SCHEMA).only("snapshot").first()
    if kept is None:
        yield from _snapshot_pieces(version_id)
        return
    note = dict(kept.snapshot)
    chapters = note.pop("contents")
    del note["schema"]
    yield to_json(note)[:-1] + b',"chapters":['
    separator = b""
    for chapter in chapters:
        entries = chapter.pop("topics")
        yield separator + to_json(chapter)[:-1] + b',"topics":['
        yield from _kept_topics(entries)
        separator = b"]},"
    yield b"]}" if separator == b"" else b"]}]}"


def _kept_topics(entries: Sequence[Mapping[str, Any]]) -> Iterator[bytes]:
    separator = b""
    for start in range(0, len(entries), _TOPIC_BATCH_SIZE):
        batch = entries[start : start + _TOPIC_BATCH_SIZE]
        rows = load_topics([entry["kept"] for entry in batch])
        rows |= load_topics([row.base for row in rows.values() if row.base is not None])
        for entry in batch:
            yield separator + to_json(kept_topic(entry, rows))
            separator = b","


def _snapshot_pieces(version_id: int) -> Iterator[bytes]:
    """Yields nothing if the version is deleted. Raises ``NoteVersion.DoesNotExist`` if it is deleted meanwhile."""
    text = Cast("snapshot", TextField())
    start, length = 1, _SNAPSHOT_PIECE
    while length == _SNAPSHOT_PIECE:
        row = NoteVersion.objects.filter(pk=version_id).values_list(Substr(text, start, _SNAPSHOT_PIECE)).first()
        if row is None:
            if start == 1:
                return
            raise NoteVersion.DoesNotExist
        start, length = start + _SNAPSHOT_PIECE, len(row[0])
        yield row[0].encode()


def _notes_as_json(lines: Iterable[Line]) -> Iterator[bytes]:
    """Write the rows as nested objects: an object is closed before the next row of the same or a higher level."""
    before = None
    for line in lines:
        match line.kind, before:
            case "note", None:
                yield b"["
            case "note", "note":
                yield b"]},\n"
            case "note", "chapter" | "topic":
                yield b"]}]},\n"
            case ("chapter", "chapter" | "topic"):
                yield b"]},\n"
            case "topic", "topic":
                yield b",\n"
        match line.kind:
            case "note":
                yield to_json(fields_of(line.row, NOTE_WALKED))[:-1] + b',"chapters":['
            case "chapter":
                yield to_json(fields_of(line.row, CHAPTER_SHOWN))[:-1] + b',"topics":['
            case "topic":
                yield to_json(fields_of(line.row, TOPIC_SHOWN))
        before = line.kind
    yield {None: b"[]", "note": b"]}]", "chapter": b"]}]}]", "topic": b"]}]}]"}[before]


register(
    "notes",
    PersonalData(
        rows=_rows,
        files=_files,
        exported=(Note, Chapter, Topic, NoteVersion, Attachment, Share, NoteImport, ImportedFile),
        withheld={
            StorageUse: "is the sum of what is exported",
            KeptTopic: "is put together with its version in note_versions.json",
            NoteLink: "is read from the explanations, which are exported",
            NoteSource: "only lets a second import find the notes of the first",
            NoteExport: "is a copy of a note that is exported, and is deleted after a day",
        },
    ),
)
