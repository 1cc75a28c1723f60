"""Restoring versions of notes."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from django.db import connection
from django.db.models import Manager, Model
from django.utils import timezone

from notes import reads
from notes.blocks.stored import BlockChanges, blocks_for_new, blocks_for_restored, ids_of
from notes.contents import CHAPTER_WRITTEN, NOTE_WRITTEN, TOPIC_KEPT, TOPIC_WRITTEN, fields_of_snapshot
from notes.markdown.trees import NoteTree
from notes.models import Chapter, Note, NoteVersion, Topic
from notes.search.vectors import words_of_note
from notes.services.budgets import charge_notes
from notes.services.editing import Versions, begin_edit, states_of
from notes.services.indexing import is_large, notify_worker
from notes.services.links import keep_links, write_links
from notes.sizes import stored_size
from notes.snapshots import whole_snapshot
from notes.tags import refolded
from notes.title_order import title_key
from utils.database.compiled_queries import Row
from utils.page_cache.invalidation import changing_pages_of

ModelT = TypeVar("ModelT", bound=Model)


def restore_version(*, user_id: int, note_id: int, version: int, if_match: Versions = None) -> Row:
    """Restore a note to a kept version; return it as ``notes.reads.detail`` does.

    The current state is kept first, so that a restore can be undone. Chapters and topics that are still in the note
    keep their ids, so that links and AI tasks still refer to them. Deleted topics get their old ids back, and blocks of
    all topics theirs. Deleted chapters, and topics that have moved to another note, get new ids.

    Raises ``NoteVersion.DoesNotExist`` (also if the note does not exist), ``NoteChanged`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        # Read before the edit begins, as that keeps a version and may drop this one as the oldest.
        kept = NoteVersion.objects.owned_by(user_id).get(note=note_id, version=version)
        snapshot = whole_snapshot(kept)
        claimed = begin_edit(
            user_id=user_id, note_id=note_id, if_match=states_of(note_id, if_match), reason=NoteVersion.Reason.RESTORE
        )
        assert claimed is not None  # without ``unless`` there is always something to write
        fields = fields_of_snapshot(snapshot, NOTE_WRITTEN)
        # Tags of an old version may be equal by today's normalization.
        now = {
            "title": claimed["title"],
            **fields,
            "tags": refolded(fields["tags"] if "tags" in fields else claimed["tags"]),
        }
        _write_note(user_id, note_id, now, snapshot["chapters"])
        before, after = Note.objects.filter(pk=note_id).values_list("size_bytes", stored_size()).get()
        charge_notes(user_id=user_id, growth={note_id: after - before})
        return reads.detail(note_id, user_id=user_id)


def replace_note(*, user_id: int, note_id: int, tree: NoteTree, if_match: Versions) -> int:
    """Replace a note's content by a tree, and keep its previous state as a version; return the note's new version.

    Chapters and topics keep their ids if the tree has the same ids, or else the same titles. Raises
    ``Note.DoesNotExist``, ``NoteChanged`` and ``OverBudget``.
    """
    with changing_pages_of(user_id):
        claimed = begin_edit(user_id=user_id, note_id=note_id, if_match=states_of(note_id, if_match))
        assert claimed is not None  # without ``unless`` there is always something to write
        data = tree.as_data()
        fields = fields_of_snapshot(data, NOTE_WRITTEN)
        if fields["title"] != claimed["title"]:
            keep_links(user_id=user_id, note_id=note_id, title=claimed["title"])
        _write_note(user_id, note_id, fields, _with_ids(note_id, tree, data["chapters"]))
        before, after = Note.objects.filter(pk=note_id).values_list("size_bytes", stored_size()).get()
        charge_notes(user_id=user_id, growth={note_id: after - before})
        return Note.objects.values_list("version", flat=True).get(pk=note_id)


def _with_ids(note_id: int, tree: NoteTree, chapters: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The chapters in the format of a snapshot. Ids are unique and belong to this note."""
    note = Note.objects.for_detail().get(pk=note_id)
    free_chapters = {chapter.pk: chapter.title for chapter in note.chapters.all()}
    free_topics = {topic.pk: topic.title for chapter in note.chapters.all() for topic in chapter.topics.all()}
    # Parts with ids come first, so that no part with only a title gets their ids.
    chapter_ids = [_named(chapter.id, free_chapters) for chapter in tree.chapters]
    topic_ids = [[_named(topic.id, free_topics) for topic in chapter.topics] for chapter in tree.chapters]
    return [
        {
            **data,
            "id": chapter_id or _titled(data["title"], free_chapters),
            "topics": [
                {**topic, "id": topic_id or _titled(topic["title"], free_topics)}
                for topic, topic_id in zip(data["topics"], ids, strict=True)
            ],
        }
        for data, chapter_id, ids in zip(chapters, chapter_ids, topic_ids, strict=True)
    ]


def _named(row_id: int | None, free: dict[int, str]) -> int | None:
    if row_id is None or row_id not in free:
        return None
    del free[row_id]
    return row_id


def _titled(title: str, free: dict[int, str]) -> int | None:
    return _named(next((row_id for row_id, of_row in free.items() if of_row == title), None), free)


def _write_note(user_id: int, note_id: int, fields: dict[str, Any], contents: Sequence[dict[str, Any]]) -> None:
    """Write the note's own fields and its contents, with search vectors; for a large note, a worker makes these."""
    note = Note(pk=note_id, user_id=user_id)
    if is_large(*_texts(contents)):
        note.words_due_at = timezone.now()
        notify_worker()
    words = None if note.words_due_at else words_of_note(user_id, **fields)
    derived = {"words": words, "words_due_at": note.words_due_at, "title_key": title_key(fields["title"])}
    Note.objects.filter(pk=note_id).update(**fields, **derived)
    _restore_contents(note, contents)


def _texts(contents: Sequence[dict[str, Any]]) -> Iterator[str]:
    for chapter in contents:
        yield chapter["title"]
        for topic in chapter["topics"]:
            yield from (topic.get(name, "") for name in ("title", "explanation", "code"))


def _restore_contents(note: Note, contents: Sequence[dict[str, Any]]) -> None:
    """Write the snapshot's rows, then delete the others. In this order, as a topic may come from a deleted chapter."""
    existing = set(Chapter.objects.filter(note=note).values_list("pk", flat=True))
    chapters = [
        Chapter(pk=_kept(data["id"], existing), note=note, order=order, **fields_of_snapshot(data, CHAPTER_WRITTEN))
        for order, data in enumerate(contents)
    ]
    _write(Chapter.objects, chapters, fields=["order", "words", *CHAPTER_WRITTEN])

    now = {row["pk"]: row for row in Topic.objects.filter(chapter__note=note).values("pk", "explanation", "blocks")}
    ids = [topic["id"] for data in contents for topic in data["topics"]]
    gone = [topic_id for topic_id in ids if topic_id is not None and topic_id not in now]
    elsewhere = _topics_elsewhere(note.user_id, gone)
    changes = BlockChanges()
    topics = []
    for chapter, data in zip(chapters, contents, strict=True):
        for order, kept in enumerate(data["topics"]):
            is_copy = kept["id"] is None or kept["id"] in elsewhere
            if is_copy:
                blocks = None if note.words_due_at else blocks_for_new(kept["explanation"])
            else:
                blocks, told = blocks_for_restored(
                    kept["id"], now=now.get(kept["id"], {}), kept=kept, may_wait=note.words_due_at is not None
                )
                changes.join(told)
            topic = Topic(
                pk=None if is_copy else kept["id"],
                chapter=chapter,
                order=order,
                **fields_of_snapshot(kept, TOPIC_WRITTEN),
                blocks=blocks,
            )
            topics.append(topic)
    _write(Topic.objects, topics, fields=["chapter", "order", "words", *TOPIC_KEPT])
    restored = {topic.pk for topic in topics}
    for pk, row in now.items():
        if pk not in restored:
            changes.remove(pk, ids_of(row["blocks"]))
    write_links(user_id=note.user_id, texts={topic.pk: topic.explanation for topic in topics})

    # only(), as Django loads the rows to delete them.
    other_topics = Topic.objects.filter(chapter__note=note).exclude(pk__in=[topic.pk for topic in topics])
    other_topics.only("pk").delete()
    other_chapters = Chapter.objects.filter(note=note).exclude(pk__in=[chapter.pk for chapter in chapters])
    other_chapters.only("pk").delete()
    changes.notify()


def _topics_elsewhere(user_id: int, topic_ids: Sequence[int]) -> set[int]:
    """Which of these topics, which are not in this note, are in another note. They are restored as copies.

    The others were deleted; they get their old ids and block ids back. The lock is held until COMMIT, so that two
    concurrent restores of one user cannot restore the same topic in two notes.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"notes.restore_version {user_id}"])
    return set(Topic.objects.filter(pk__in=topic_ids).values_list("pk", flat=True))


def _kept(pk: int | None, existing: set[int]) -> int | None:
    return pk if pk in existing else None


def _write(manager: Manager[ModelT], rows: Sequence[ModelT], *, fields: Sequence[str]) -> None:
    """Insert the rows, and update those that exist."""
    manager.bulk_create(rows, update_conflicts=True, unique_fields=["id"], update_fields=fields)
