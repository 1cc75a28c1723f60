"""Marks the notes that need indexing: each has a row with the time when it is due.

A write to a note sets this in its own transaction. Other notes (embeddings were just turned on, or the model changed)
are found by a walk over all notes in batches.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from django.conf import settings
from django.db.models.functions import Now

from ai_tasks.embedding_rows import EmbeddingModel, NoteIndexing
from notes.models import Note
from utils.redis.client import RedisUnavailable, redis_guard

SETTLE = timedelta(seconds=30)
"""How long a note must be unchanged before it is indexed: while a user writes, a passage changes every few seconds."""
WALK_MAX = 2_000
"""-"""
WALK_KEY = "embeddings:walk"
"""The Redis key of the walk's position, a note's id. Without it the walk starts again."""
WALK_SECONDS = 7 * 86_400


def follow_notes(note_ids: Sequence[int]) -> None:
    """Mark notes that are being written for indexing: one statement in the caller's transaction."""
    if settings.EMBEDDINGS_ARE_ON:
        _mark(note_ids, SETTLE)


def walk(standing: EmbeddingModel) -> int:
    """Check the next ``WALK_MAX`` notes and mark those without vectors of this model; return how many.

    Two queries, and one statement if any were found. Does nothing without Redis.
    """
    marked = 0
    with suppress(RedisUnavailable):
        with redis_guard() as client:
            begin = int(client.get(WALK_KEY) or 0)
        note_ids = list(Note.objects.live().filter(pk__gt=begin).order_by("pk").values_list("pk", flat=True)[:WALK_MAX])
        waiting = NoteIndexing.objects.filter(pk__in=note_ids, due_at__isnull=False)
        indexed = NoteIndexing.objects.filter(pk__in=note_ids, model=standing.name, dimension=standing.dimension)
        known = set(waiting.values_list("pk", flat=True).union(indexed.values_list("pk", flat=True)))
        unknown = [pk for pk in note_ids if pk not in known]
        _mark(unknown, timedelta(0))
        marked = len(unknown)
        with redis_guard() as client:
            client.set(WALK_KEY, note_ids[-1] if len(note_ids) == WALK_MAX else 0, ex=WALK_SECONDS)
    return marked


def _mark(note_ids: Sequence[int], wait: timedelta) -> None:
    if note_ids:
        NoteIndexing.objects.bulk_create(
            [NoteIndexing(note_id=pk, due_at=Now() + wait) for pk in sorted(note_ids)],
            update_conflicts=True,
            unique_fields=["note"],
            update_fields=["due_at", "failures", "error_code"],
        )
