"""Taking one's data along: a zip of JSON for programs and Markdown for people, made while it is sent.

Memory stays bounded however much a user has written: rows are read in batches by primary key, texts a few at a time,
long ones in pieces, and the archive leaves in chunks. Only the archive's own table of contents grows, by some hundred
bytes for each note.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Literal
from zipfile import ZIP_DEFLATED, ZipFile

import orjson
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Substr
from django.utils.text import slugify

from accounts.models import Session, User
from ai_tasks.models import AITask
from notes.models import Chapter, Note, NoteVersion, Topic
from notifications.models import Notification
from utils.batching import batch_query
from utils.exceptions import Unavailable
from utils.long_answers import Places

CHUNK_BYTES = 64 * 1024
RETRY_AFTER_SECONDS = 30
_ROWS_AT_ONCE = 200
_LARGE_ROWS_AT_ONCE = 20  # each may hold some hundred kilobytes
_SNAPSHOT_PIECE = 2_000_000  # characters: PostgreSQL renders the whole snapshot again for each piece

_PROFILE = ("id", "email", "name", "date_joined")
_SESSION = ("id", "user_agent", "ip", "created_at", "rotated_at", "expires_at", "revoked_at")
_NOTE = ("id", "title", "status", "tags", "version", "created_at", "updated_at", "deleted_at")
_CHAPTER = ("id", "title", "order")
_TOPIC = ("id", "title", "order", "explanation", "code", "code_language", "sources")
_NOTE_VERSION = ("note_id", "version", "reason", "created_at")
_TASK = (
    "id", "request_type", "request_data", "topic_id", "status", "result", "error_code", "error_detail", "provider",
    "model", "input_tokens", "output_tokens", "created_at", "started_at", "finished_at",
)  # fmt: skip
_NOTIFICATION = ("id", "type", "title", "message", "action_id", "created_at", "read_at")

_json = partial(orjson.dumps, option=orjson.OPT_UTC_Z)


class TooManyExports(Unavailable):
    """The user has an export under way in this process, or others have all its places."""

    code = "too_many_exports"
    detail = "Your data is being downloaded already, or too many others' is. Come back later."

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


places = Places(TooManyExports)


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of a walk through notes: a note, then each of its chapters followed by that chapter's topics."""

    kind: Literal["note", "chapter", "topic"]
    note: Note
    row: Note | Chapter | Topic


class _Outbox(io.RawIOBase):
    """What the archive has written and nobody has sent yet. Not seekable, so the archive never looks back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return taken


def stream_export(*, user_id: int) -> Iterator[bytes]:
    """Yield the user's archive in chunks: profile, sessions, notes (also in the trash), AI tasks and notifications.

    Raises ``User.DoesNotExist`` at once.
    """
    return _chunks(_files(User.objects.only(*_PROFILE).get(pk=user_id)))


def _chunks(files: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    outbox = _Outbox()
    with ZipFile(outbox, "w", ZIP_DEFLATED) as archive:
        for name, pieces in files:
            with archive.open(name, "w", force_zip64=True) as file:
                for piece in pieces:
                    file.write(piece)
                    if outbox.size >= CHUNK_BYTES:
                        yield outbox.take()
    yield outbox.take()


def _files(user: User) -> Iterator[tuple[str, Iterable[bytes]]]:
    user_id = user.pk
    yield "profile.json", [_json(_fields(user, _PROFILE))]
    yield "sessions.json", _array(Session.objects.filter(user_id=user_id), _SESSION, _ROWS_AT_ONCE)
    yield "notes.json", _notes_as_json(_walk(user_id))
    yield "note_versions.json", _versions(user_id)
    yield "ai_tasks.json", _array(AITask.objects.filter(user_id=user_id), _TASK, _LARGE_ROWS_AT_ONCE)
    yield "notifications.json", _array(Notification.objects.filter(user_id=user_id), _NOTIFICATION, _ROWS_AT_ONCE)
    for note, lines in groupby(_walk(user_id), key=lambda line: line.note):
        folder = "notes" if note.deleted_at is None else "trash"
        yield f"{folder}/{note.pk}-{slugify(note.title)[:60] or 'note'}.md", map(_markdown, lines)


def _fields(row: Any, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _array(queryset: QuerySet[Any], names: Sequence[str], batch_size: int) -> Iterator[bytes]:
    separator = b"["
    for batch in batch_query(queryset.only("pk", *names), batch_size=batch_size):
        for row in batch:
            yield separator + _json(_fields(row, names))
            separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


def _versions(user_id: int) -> Iterator[bytes]:
    """Each holds a whole note, of any size: its text goes through as PostgreSQL renders it, unparsed."""
    separator = b"["
    for batch in batch_query(
        NoteVersion.objects.filter(note__user_id=user_id).only("pk", *_NOTE_VERSION), batch_size=_ROWS_AT_ONCE
    ):
        for version in batch:
            pieces = _snapshot_pieces(version.pk)
            first = next(pieces, None)
            if first is None:
                continue  # pruned since the batch was read
            yield separator + _json(_fields(version, _NOTE_VERSION))[:-1] + b',"snapshot":' + first
            yield from pieces
            yield b"}"
            separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


def _snapshot_pieces(version_id: int) -> Iterator[bytes]:
    """Nothing if the version is gone. Raises ``NoteVersion.DoesNotExist`` if it goes meanwhile, half told."""
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


def _walk(user_id: int) -> Iterator[_Line]:
    """Go through all notes in reading order; only a few topics' texts are in memory at a time."""
    for notes in batch_query(Note.objects.filter(user_id=user_id).only(*_NOTE), batch_size=_ROWS_AT_ONCE):
        chapters: dict[int, list[Chapter]] = {}
        for chapter in Chapter.objects.filter(note__in=notes).only("note_id", *_CHAPTER).order_by("note_id", "order"):
            chapters.setdefault(chapter.note_id, []).append(chapter)
        for note in notes:
            yield _Line("note", note, note)
            if note.pk in chapters:
                yield from _walk_note(note, chapters[note.pk])


def _walk_note(note: Note, chapters: Sequence[Chapter]) -> Iterator[_Line]:
    topic_ids: dict[int, list[int]] = {}
    outline = Topic.objects.filter(chapter__note=note).order_by("chapter__order", "order")
    for topic_id, chapter_id in outline.values_list("pk", "chapter_id"):
        topic_ids.setdefault(chapter_id, []).append(topic_id)
    for chapter in chapters:
        yield _Line("chapter", note, chapter)
        ids = topic_ids.get(chapter.pk, [])
        for start in range(0, len(ids), _LARGE_ROWS_AT_ONCE):
            few = Topic.objects.filter(pk__in=ids[start : start + _LARGE_ROWS_AT_ONCE]).only(*_TOPIC).order_by("order")
            yield from (_Line("topic", note, topic) for topic in few)


def _notes_as_json(lines: Iterable[_Line]) -> Iterator[bytes]:
    """Nest the walk: a row is opened by its own fields and closed when the next of its kind, or a higher one, comes."""
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
                yield _json(_fields(line.row, _NOTE))[:-1] + b',"chapters":['
            case "chapter":
                yield _json(_fields(line.row, _CHAPTER))[:-1] + b',"topics":['
            case "topic":
                yield _json(_fields(line.row, _TOPIC))
        before = line.kind
    yield {None: b"[]", "note": b"]}]", "chapter": b"]}]}]", "topic": b"]}]}]"}[before]


def _markdown(line: _Line) -> bytes:
    row = line.row
    if isinstance(row, Note):
        tags = f"\nTags: {', '.join(row.tags)}\n" if row.tags else ""
        return f"# {row.title}\n{tags}".encode()
    if isinstance(row, Chapter):
        return f"\n## {row.title}\n".encode()
    parts = [f"\n### {row.title}\n"]
    if row.explanation:
        parts.append(f"\n{row.explanation}\n")
    if row.code:
        fence = "`" * max(3, _longest_run(row.code, "`") + 1)
        parts.append(f"\n{fence}{row.code_language}\n{row.code}\n{fence}\n")
    if row.sources:
        parts.append("\nSources:\n\n" + "".join(f"- [{source['title']}]({source['url']})\n" for source in row.sources))
    return "".join(parts).encode()


def _longest_run(text: str, character: str) -> int:
    return max((len(list(run)) for found, run in groupby(text) if found == character), default=0)
