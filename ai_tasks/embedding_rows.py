"""The tables of embeddings: vectors of passages, the state of each note's indexing, and facts about the model.

Migrations create the foreign keys with ``ON DELETE CASCADE``, so deleting a note, a topic or an account takes no extra
statement. The tables work without pgvector: vectors are ``real[]`` until ``extension.install`` converts the column.
"""

from typing import Any

import orjson
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models

from ai_tasks.model_names import MODEL_MAX_LENGTH
from ai_tasks.money import DECIMAL_PLACES, MAX_DIGITS, ZERO
from notes.models import Note, Topic

HASH_LENGTH = 32
CODE_MAX_LENGTH = 50


REFUSED = [0.0]
"""Stored for a text without a vector: pgvector has no empty one."""


class RealField(models.FloatField):
    """A four-byte floating-point number."""

    def db_type(self, connection: object) -> str:
        return "real"


class VectorField(ArrayField):
    """Four-byte numbers, ``real[]`` or pgvector's ``vector``; PostgreSQL converts what is written."""

    def from_db_value(self, value: Any, *_context: object) -> list[float]:
        return orjson.loads(value) if isinstance(value, str) else value


class PassageVector(models.Model):
    """The vector of a passage, of length 1. ``hash`` is the hash of the embedded text.

    ``dimension`` 0 and the vector :data:`REFUSED` mean that the model rejected the text; it is not sent again.
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
    """The state of a note's indexing. A note without a row has not been processed yet.

    ``due_at`` is when it is to be indexed; None: it is indexed, or it failed with ``error_code``. A due row with an
    ``error_code`` waits, for example for the next day's budget. A change of the note sets ``due_at`` in the same
    transaction, so no worker takes an older text for the newest.
    """

    note = models.OneToOneField(
        Note, on_delete=models.DO_NOTHING, db_constraint=False, primary_key=True, related_name="+"
    )
    due_at = models.DateTimeField(null=True)
    attempt = models.PositiveIntegerField(default=0, db_default=0)
    """Increases with each claim; a worker's writes apply only while its number is current."""
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    """Consecutive failed claims, not counting provider errors."""
    lease_expires_at = models.DateTimeField(null=True)
    model = models.CharField(max_length=MODEL_MAX_LENGTH, blank=True, default="", db_default="")
    """The model of the note's vectors; empty if it has none."""
    dimension = models.PositiveIntegerField(default=0, db_default=0)
    passages = models.PositiveIntegerField(default=0, db_default=0)
    skipped = models.PositiveIntegerField(default=0, db_default=0)
    """How many of these the model rejects."""
    indexed_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=CODE_MAX_LENGTH, blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], name="note_indexing_due_idx", condition=models.Q(due_at__isnull=False))
        ]

    def __str__(self) -> str:
        return f"indexing of note {self.note_id}"


class EmbeddingModel(models.Model):
    """What all workers share about a model. ``dimension`` 0: it has not answered yet."""

    name = models.CharField(max_length=MODEL_MAX_LENGTH, primary_key=True)
    dimension = models.PositiveIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)  # consecutive
    paused_until = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=CODE_MAX_LENGTH, blank=True, default="")
    error_detail = models.CharField(max_length=300, blank=True, default="")

    def __str__(self) -> str:
        return self.name


class EmbeddingUse(models.Model):
    """A user's embedding calls, tokens and cost on the last day (UTC) with any."""

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
