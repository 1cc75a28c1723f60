"""Going back to what a note was."""

from collections.abc import Sequence
from typing import Any, TypeVar

from django.db.models import Manager, Model

from notes import reads
from notes.models import Chapter, Note, NoteVersion, Topic
from notes.services.editing import Versions, begin_edit
from utils.caching import changing_pages_of
from utils.compiled_reads import Row

_TOPIC_FIELDS = ("title", "explanation", "code", "code_language", "sources")

ModelT = TypeVar("ModelT", bound=Model)


def restore_version(*, user_id: int, note_id: int, version: int, if_match: Versions = None) -> Row:
    """Make a note what it was at a kept version; the note as ``notes.reads.detail`` shows it.

    What it is now is kept first, so a restoration can be undone. Chapters and topics that are still in the note keep
    their ids, so that links and AI tasks still lead to them; the others come back as new ones.

    Raises ``NoteVersion.DoesNotExist`` (also where there is no such note) and ``NoteChanged``.
    """
    with changing_pages_of(user_id):
        # Read first: keeping what the note is now adds a version, and may drop this one as the oldest.
        snapshot = NoteVersion.objects.owned_by(user_id).get(note=note_id, version=version).snapshot
        begin_edit(user_id=user_id, note_id=note_id, if_match=if_match, reason=NoteVersion.Reason.RESTORE)
        Note.objects.filter(pk=note_id).update(
            title=snapshot["title"], status=snapshot["status"], tags=snapshot["tags"]
        )
        _restore_contents(note_id, snapshot["chapters"])
        return reads.detail(note_id, user_id=user_id)


def _restore_contents(note_id: int, contents: Sequence[dict[str, Any]]) -> None:
    """Write what was there, then delete all else: a topic may have been moved out of a chapter that goes."""
    here = set(Chapter.objects.filter(note_id=note_id).values_list("pk", flat=True))
    chapters = [
        Chapter(pk=_kept(data["id"], here), note_id=note_id, title=data["title"], order=order)
        for order, data in enumerate(contents)
    ]
    _write(Chapter.objects, chapters, fields=["title", "order"])

    here = set(Topic.objects.filter(chapter__note_id=note_id).values_list("pk", flat=True))
    topics = [
        Topic(
            pk=_kept(topic["id"], here),
            chapter=chapter,
            order=order,
            **{field: topic[field] for field in _TOPIC_FIELDS},
        )
        for chapter, data in zip(chapters, contents, strict=True)
        for order, topic in enumerate(data["topics"])
    ]
    _write(Topic.objects, topics, fields=["chapter", "order", *_TOPIC_FIELDS])

    # Deleting loads the rows, hence only().
    gone_topics = Topic.objects.filter(chapter__note_id=note_id).exclude(pk__in=[topic.pk for topic in topics])
    gone_topics.only("pk").delete()
    gone_chapters = Chapter.objects.filter(note_id=note_id).exclude(pk__in=[chapter.pk for chapter in chapters])
    gone_chapters.only("pk").delete()


def _kept(pk: int, here: set[int]) -> int | None:
    return pk if pk in here else None


def _write(manager: Manager[ModelT], rows: Sequence[ModelT], *, fields: Sequence[str]) -> None:
    """Insert the rows; those that exist are updated."""
    manager.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=fields)
