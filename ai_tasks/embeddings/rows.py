"""The tables of embeddings: vectors of passages, what is to be indexed, and what is known of the model.

Their foreign keys are made by migrations, with ``ON DELETE CASCADE``: to delete a note, a topic or an account costs no
statement more. None needs pgvector to be installed: vectors are ``real[]`` until ``extension.install`` makes them its
``vector``.
"""

from typing import Any

import orjson
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from ai_tasks.money import DECIMAL_PLACES, MAX_DIGITS, ZERO
from NoteAssist_AI.ai_settings import MODEL_MAX_LENGTH
from notes.models import Note, Topic

HASH_LENGTH = 32
CODE_MAX_LENGTH = 50


REFUSED = [0.0]
"""Kept as a vector where there is none: pgvector has no empty one."""


class RealField(models.FloatField):
    """A number of four bytes."""

    def db_type(self, connection: object) -> str:
        return "real"


class VectorField(ArrayField):
    """Numbers of four bytes: ``real[]``, or pgvector's ``vector``, to which PostgreSQL turns what is written."""

    def from_db_value(self, value: Any, *_context: object) -> list[float]:
        return orjson.loads(value) if isinstance(value, str) else value


class PassageVector(models.Model):
    """What a passage of a topic means to a model, as a vector of length 1. ``hash`` is that of the embedded text.

    ``dimension`` 0, and :data:`REFUSED`: the model refuses the text, and is not asked again.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    topic = models.ForeignKey(Topic, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+")
    hash = models.CharField(max_length=HASH_LENGTH)
    model = models.CharField(max_length=MODEL_MAX_LENGTH)
    dimension = models.PositiveIntegerField()
    vector = VectorField(RealField())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "hash"], name="passage_vector_unique")]
        indexes = [models.Index(fields=["user", "hash"], name="passage_vector_user_hash_idx")]

    def __str__(self) -> str:
        return f"vector of a passage of topic {self.topic_id}"


class NoteIndexing(models.Model):
    """How far the indexing of a note is. A note without a row has not been processed yet.

    ``due_at``: when it is to be indexed; None: it is, or it has failed with ``error_code``. One that is due and has a
    code waits for that: for the budgets of another day. Whoever changes the note
    sets it anew in the same transaction, so that no worker takes an older text for the newest.
    """

    note = models.OneToOneField(
        Note, on_delete=models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="+"
    )
    due_at = models.DateTimeField(null=True)
    attempt = models.PositiveIntegerField(default=0, db_default=0)
    """Rises with each claim: a worker's writes count only for its own."""
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    """Claims in a row that came to nothing, but for what is the provider's fault."""
    lease_expires_at = models.DateTimeField(null=True)
    model = models.CharField(max_length=MODEL_MAX_LENGTH, blank=True, default="", db_default="")
    """Of the vectors that the note has. Empty: it has none yet."""
    dimension = models.PositiveIntegerField(default=0, db_default=0)
    passages = models.PositiveIntegerField(default=0, db_default=0)
    skipped = models.PositiveIntegerField(default=0, db_default=0)
    """Of these, those that the model refuses."""
    indexed_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=CODE_MAX_LENGTH, blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="note_indexing_due_idx", condition=models.Q(due_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"indexing of note {self.note_id}"


class EmbeddingModel(models.Model):
    """What all workers know of a model. ``dimension`` 0: it has not answered yet."""

    name = models.CharField(max_length=MODEL_MAX_LENGTH, primary_key=True)
    dimension = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)  # one after the other
    paused_until = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=CODE_MAX_LENGTH, blank=True, default="")
    error_detail = models.CharField(max_length=300, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class EmbeddingUse(models.Model):
    """What embeddings took for a user on the last day (UTC) on which they took anything."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="+",
    )
    day = models.DateField()
    calls = models.PositiveIntegerField(default=0)
    tokens = models.PositiveBigIntegerField(default=0)
    estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, default=ZERO)

    def __str__(self) -> str:
        return f"embeddings for user {self.user_id}"
