"""Saves a note read from a file: it is created, or replaces a note, or changes nothing."""

import hashlib
from typing import Any

import orjson
from django.db.models import QuerySet

from notes.contents import CHAPTER_WRITTEN, NOTE_WRITTEN, TOPIC_WRITTEN, written_fields
from notes.importers import FileReport, ImportContext, Outcome, SourceFile
from notes.markdown.fitting import fit
from notes.markdown.trees import NoteTree
from notes.markdown.writing import timestamp
from notes.models import Note
from notes.services.notes import create_note
from notes.services.versions import replace_note
from notes.transfers import NoteSource


def save_tree(context: ImportContext, file: SourceFile, tree: NoteTree) -> FileReport:
    """Write the note, unless an equal one exists. Call it in a transaction.

    An existing note is found by the id in the file, if it belongs to the user and has the creation time in the file;
    otherwise by the file's path in an earlier import. A note that was edited since its export or import is never
    overwritten: the file becomes a second note. Raises ``OverBudget``.
    """
    fit(tree)
    data = tree.as_data()
    content_hash = hash_of(data)
    path_hash = hashlib.sha256(file.path.encode()).hexdigest()
    source = (
        NoteSource.objects.filter(user_id=context.user_id, path_hash=path_hash, note__deleted_at=None)
        .select_related("note")
        .defer("note__search", "note__words", "note__title_key")
        .first()
    )
    exported = _exported_note(context.user_id, tree)
    known = exported or (source.note if source else None)
    outcome: Outcome = "created"
    if known is not None:
        if hash_of(_content(known)) == content_hash:
            _remember(context, file, path_hash, known.pk, content_hash, known.version)
            return FileReport("unchanged", known.pk, tree.warnings)
        if source is not None and source.content_hash == content_hash:
            return FileReport("unchanged", source.note_id, tree.warnings)
        if _is_unedited(known, exported, tree, source):
            version = replace_note(user_id=context.user_id, note_id=known.pk, tree=tree, if_match=[known.version])
            _remember(context, file, path_hash, known.pk, content_hash, version)
            return FileReport("updated", known.pk, tree.warnings)
        outcome = "conflict"
        tree.warnings.append("The note was edited since its export: the file became a second note.")
    note = create_note(user_id=context.user_id, data={**data, **tree.times()})  # type: ignore[typeddict-item]
    _remember(context, file, path_hash, note["id"], content_hash, note["version"])
    return FileReport(outcome, note["id"], tree.warnings)


def hash_of(data: dict[str, Any]) -> str:
    """A hash of a note's whole content."""
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _exported_note(user_id: int, tree: NoteTree) -> Note | None:
    """The user's note of which the file is an export."""
    if tree.id is None:
        return None
    note = _notes().filter(user_id=user_id, pk=tree.id).first()
    return note if note is not None and timestamp(note.created_at) == tree.created_at else None


def _notes() -> QuerySet[Note]:
    return Note.objects.live().defer("search", "words", "title_key")


def _is_unedited(note: Note, exported: Note | None, tree: NoteTree, source: NoteSource | None) -> bool:
    is_as_exported = exported is not None and note.version == tree.version
    is_as_imported = source is not None and source.note_id == note.pk and source.note_version == note.version
    return is_as_exported or is_as_imported


def _content(note: Note) -> dict[str, Any]:
    """The note in the form of ``NoteTree.as_data``."""
    whole = Note.objects.for_detail().get(pk=note.pk)
    return {
        **written_fields(whole, NOTE_WRITTEN),
        "chapters": [
            {
                **written_fields(chapter, CHAPTER_WRITTEN),
                "topics": [written_fields(topic, TOPIC_WRITTEN) for topic in chapter.topics.all()],
            }
            for chapter in whole.chapters.all()
        ],
    }


def _remember(
    context: ImportContext, file: SourceFile, path_hash: str, note_id: int, content_hash: str, version: int
) -> None:
    NoteSource.objects.update_or_create(
        user_id=context.user_id,
        path_hash=path_hash,
        defaults={
            "path": file.path,
            "note_id": note_id,
            "content_hash": content_hash,
            "note_version": version,
        },
    )
