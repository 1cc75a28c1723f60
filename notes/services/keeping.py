"""Keeping a note's current state as a version."""

from collections.abc import Sequence
from typing import Any

import orjson
from django.conf import settings
from django.db.models import Func, JSONField, QuerySet, Value
from django.db.models.functions import Cast

from notes.models import KeptTopic, Note, NoteVersion
from notes.snapshots import SCHEMA, content_from, digest, snapshot_of


def keep_version(*, note_id: int, version: int, reason: NoteVersion.Reason) -> None:
    """Keep the note as a version, and drop versions beyond ``NOTE_VERSIONS_KEPT``. The caller holds the note's lock.

    Stores only topics that no kept version has. At most ten statements for a note of any size.
    """
    snapshot = snapshot_of(Note.objects.for_snapshot().get(pk=note_id))
    topics = [topic for chapter in snapshot["chapters"] for topic in chapter["topics"]]
    kept = _keep_topics(note_id, topics)
    for topic in topics:
        topic_id = topic["id"]
        topic.clear()
        topic |= {"id": topic_id, "kept": kept[topic_id].pk}
    needed = {row.pk for row in kept.values()} | {row.base for row in kept.values() if row.base is not None}
    NoteVersion.objects.create(
        note_id=note_id,
        version=version,
        reason=reason,
        # Not named "chapters": a process of the previous release would restore it as topics without texts.
        snapshot={"schema": SCHEMA, "contents": snapshot.pop("chapters"), **snapshot},
        kept_topics=sorted(needed),
    )
    mine = NoteVersion.objects.filter(note_id=note_id).order_by("-version")
    dropped, _ = NoteVersion.objects.filter(pk__in=mine.values("pk")[settings.NOTE_VERSIONS_KEPT :]).delete()
    if dropped:
        _unused_topics(note_id).delete()


def _keep_topics(note_id: int, topics: Sequence[dict[str, Any]]) -> dict[int, KeptTopic]:
    """Find or store each topic's content; return the rows by the topics' ids."""
    known: dict[tuple[int, str], KeptTopic] = {}
    bases: dict[int, int] = {}
    for row in KeptTopic.objects.filter(note_id=note_id).defer("content").order_by("pk"):
        known[row.topic, row.digest] = row
        if row.base is None:
            bases[row.topic] = row.pk
    found: dict[int, KeptTopic] = {}
    new: dict[int, tuple[str, dict[str, Any]]] = {}
    for topic in topics:
        content = {name: value for name, value in topic.items() if name != "id"}
        name = digest(content)
        if same := known.get((topic["id"], name)):
            found[topic["id"]] = same
        else:
            new[topic["id"]] = name, content
    loaded = KeptTopic.objects.in_bulk([bases[topic_id] for topic_id in new if topic_id in bases])
    rows = []
    for topic_id, (name, whole) in new.items():
        content, base = content_from(loaded.get(bases.get(topic_id, 0)), whole)
        # An expression, as Django sends plain values in arrays, and psycopg escapes each quote in them in Python.
        stored = Cast(Value(orjson.dumps(content).decode()), JSONField())
        rows.append(KeptTopic(note_id=note_id, topic=topic_id, digest=name, base=base, content=stored))
    return found | {row.topic: row for row in KeptTopic.objects.bulk_create(rows)}


def _unused_topics(note_id: int) -> QuerySet[KeptTopic]:
    """The kept topics that no version of the note needs any more."""
    needed = NoteVersion.objects.filter(note_id=note_id).values_list(
        Func("kept_topics", function="unnest", set_returning=True), flat=True
    )
    return KeptTopic.objects.filter(note_id=note_id).exclude(pk__in=needed)
