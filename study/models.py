"""Cards, the schedules of their faces, the log of reviews behind the schedules, exams, quizzes and recalls."""

import uuid
from dataclasses import fields

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Func, Q, Value
from django.db.models.functions import Left, Now

from notes.models import TAG_MAX_LENGTH, TITLE_MAX_LENGTH, Topic
from study.memory import Memory, Terms
from study.querysets import (
    SEARCH_CONFIG,
    CardQuerySet,
    ExamQuerySet,
    FaceQuerySet,
    QuizQuerySet,
    RecallQuerySet,
    StudyEventQuerySet,
)

SIDE_MAX_BYTES = 20_000
BLOCK_ID_MAX_LENGTH = 24
DURATION_MAX_MS = 600_000
MEMORY = tuple(field.name for field in fields(Memory))
"""The columns of a face that are computed from the log."""
SCHEDULE_WRITTEN = ("active", "has_siblings", "buried_until", *MEMORY)


def _words(source: str) -> SearchVector:
    # PostgreSQL's parser drops text in angle brackets, so they are replaced by spaces.
    text = Func(
        Left(source, SIDE_MAX_BYTES), Value("<>"), Value("  "), function="translate", output_field=models.TextField()
    )
    return SearchVector(text, config=SEARCH_CONFIG)


def default_learning_steps() -> list[int]:
    return [60, 600]


def default_relearning_steps() -> list[int]:
    return [600]


class StudySettings(models.Model):
    """A student's settings. The row is also the lock that every write to the student's cards takes first."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+")
    desired_retention = models.FloatField(default=0.9)
    new_per_day = models.PositiveIntegerField(default=20)
    reviews_per_day = models.PositiveIntegerField(default=200)
    time_zone = models.CharField(max_length=64, default="UTC")
    day_starts_at = models.CharField(max_length=5, default="04:00")
    learning_steps = ArrayField(models.PositiveIntegerField(), default=default_learning_steps)
    relearning_steps = ArrayField(models.PositiveIntegerField(), default=default_relearning_steps)
    version = models.PositiveIntegerField(default=1)
    card_count = models.PositiveIntegerField(null=True, editable=False)
    """The number of cards; ``card_bytes`` is their size. Both are None until a write needs them."""
    card_bytes = models.PositiveBigIntegerField(null=True, editable=False)

    def __str__(self) -> str:
        return f"study settings of user {self.user_id}"

    @property
    def terms(self) -> Terms:
        """The settings that are stored with each review."""
        return Terms(
            self.desired_retention,
            tuple(self.learning_steps),
            tuple(self.relearning_steps),
            self.time_zone,
            self.day_starts_at,
        )


class Card(models.Model):
    """A card. ``version`` increases with every write, reviews included, and is the card's ETag."""

    class Kind(models.TextChoices):
        BASIC = "basic", "Basic"
        CLOZE = "cloze", "Cloze"
        REVERSED = "reversed", "Reversed"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="cards", db_index=False)
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.BASIC)
    front = models.TextField()
    back = models.TextField(blank=True)
    tags = ArrayField(models.CharField(max_length=TAG_MAX_LENGTH), default=list, blank=True)
    # No constraint: a card outlives its topic, and is linked again when a version restores the topic.
    topic = models.ForeignKey(
        Topic, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    block_id = models.CharField(max_length=BLOCK_ID_MAX_LENGTH, blank=True)
    block_text = models.TextField(blank=True)
    """The block's text when the card was made or last confirmed."""
    proposed = models.BooleanField(default=False)
    replaces = models.UUIDField(null=True, editable=False)
    """For a proposed card: the id of the stale card to replace, which may be deleted by now."""
    suspended = models.BooleanField(default=False)
    suspended_as_leech = models.BooleanField(default=False, db_default=False, editable=False)
    """Whether a lapse suspended the card, not the student. Only then does undoing the lapse resume it."""
    stale = models.BooleanField(default=False)
    orphan = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    search = models.GeneratedField(
        expression=_words("front") + _words("back"), output_field=SearchVectorField(), db_persist=True
    )

    objects = CardQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index("user", F("created_at").desc(), F("id").desc(), name="card_user_created_idx"),
            models.Index(fields=["user", "block_id"], name="card_block_idx", condition=~Q(block_id="")),
            models.Index(fields=["user", "stale"], name="card_stale_idx", condition=Q(stale=True)),
            models.Index(fields=["user", "proposed"], name="card_proposed_idx", condition=Q(proposed=True)),
            GinIndex(fields=["tags"], name="card_tags_idx"),
            GinIndex(fields=["search"], name="card_search_idx"),
        ]

    def __str__(self) -> str:
        return f"card {self.pk}"


class Face(models.Model):
    """The schedule of one face: see ``study.faces``. The columns of ``MEMORY`` are computed from the log."""

    class State(models.TextChoices):
        NEW = "new", "New"
        LEARNING = "learning", "Learning"
        REVIEW = "review", "Review"
        RELEARNING = "relearning", "Relearning"

    card = models.ForeignKey(Card, on_delete=models.CASCADE, related_name="faces", db_index=False)
    n = models.PositiveSmallIntegerField()
    # Copied from the card, so that one index finds what is due.
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    created_at = models.DateTimeField()
    active = models.BooleanField(default=True)
    """False while the card is proposed or suspended."""
    has_siblings = models.BooleanField(default=False)
    buried_until = models.DateTimeField(null=True)
    """The end of the study day on which a sibling was reviewed."""
    state = models.CharField(max_length=10, choices=State, default=State.NEW)
    step = models.PositiveSmallIntegerField(null=True)
    stability = models.FloatField(null=True)
    difficulty = models.FloatField(null=True)
    due_at = models.DateTimeField(null=True)
    reps = models.PositiveIntegerField(default=0)
    lapses = models.PositiveIntegerField(default=0)
    last_day = models.DateField(null=True)
    introduced_at = models.DateTimeField(null=True)
    recalled_at = models.DateTimeField(null=True)
    last_event_at = models.DateTimeField(null=True)
    last_event_id = models.UUIDField(null=True)

    objects = FaceQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["card", "n"], name="face_unique")]
        indexes = [
            # One index per part of the queue, in its order: see ``study.queue``.
            models.Index(
                fields=["user", "due_at", "card"],
                name="face_learning_idx",
                condition=Q(active=True, state__in=["learning", "relearning"]),
            ),
            models.Index(
                fields=["user", "due_at", "card"], name="face_review_idx", condition=Q(active=True, state="review")
            ),
            models.Index(
                fields=["user", "created_at", "card", "n"],
                name="face_new_idx",
                condition=Q(active=True, state="new"),
            ),
            # For counting today's reviews.
            models.Index(
                fields=["user", "introduced_at"], name="face_introduced_idx", condition=Q(introduced_at__isnull=False)
            ),
            models.Index(
                fields=["user", "recalled_at"], name="face_recalled_idx", condition=Q(recalled_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"face {self.n} of card {self.card_id}"

    @property
    def memory(self) -> Memory:
        return Memory(*(getattr(self, name) for name in MEMORY))

    @memory.setter
    def memory(self, memory: Memory) -> None:
        for name in MEMORY:
            setattr(self, name, getattr(memory, name))


class StudyEvent(models.Model):
    """An entry of the append-only log: a trigger rejects updates. It outlives its card."""

    class Kind(models.TextChoices):
        REVIEW = "review", "Review"
        UNDO = "undo", "Undo"
        RESET = "reset", "Reset"
        BASELINE = "baseline", "Baseline"

    class Rating(models.TextChoices):
        AGAIN = "again", "Again"
        HARD = "hard", "Hard"
        GOOD = "good", "Good"
        EASY = "easy", "Easy"

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="study_events", db_index=False
    )
    event_id = models.UUIDField()
    """For a review, chosen by the client; unique per user."""
    card_id = models.UUIDField()
    face = models.PositiveSmallIntegerField(default=1)
    kind = models.CharField(max_length=10, choices=Kind)
    rating = models.CharField(max_length=5, choices=Rating, blank=True)
    reviewed_at = models.DateTimeField()
    sent_reviewed_at = models.DateTimeField(null=True)
    """The client's timestamp, if it was in the future."""
    received_at = models.DateTimeField(db_default=Now())
    duration_ms = models.PositiveIntegerField(null=True)
    settings = models.JSONField(default=dict)
    undoes = models.UUIDField(null=True)
    """The ``event_id`` of the review that an undo cancels."""
    data = models.JSONField(null=True)
    """The state of a baseline. For a review from another account: ``card_id``, the card's id there."""
    predicted = models.FloatField(null=True)
    """The expected recall when the review arrived; only for a face in state ``review``."""

    objects = StudyEventQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "event_id"], name="study_event_unique"),
            models.UniqueConstraint(
                fields=["user", "undoes"], name="study_event_undone_once", condition=Q(undoes__isnull=False)
            ),
        ]
        indexes = [
            models.Index(fields=["card_id", "reviewed_at", "event_id"], name="study_event_card_idx"),
            models.Index(fields=["user", "reviewed_at"], name="study_event_user_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of card {self.card_id}"


class Exam(models.Model):
    """An exam. ``version`` increases with every change and is its ETag."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="exams", db_index=False)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    at = models.DateTimeField()
    time_zone = models.CharField(max_length=64)
    note_ids = ArrayField(models.BigIntegerField(), default=list, blank=True)
    """Deleted notes stay in this list; they have no cards."""
    tags = ArrayField(models.CharField(max_length=TAG_MAX_LENGTH), default=list, blank=True)
    minutes_per_day = ArrayField(models.PositiveSmallIntegerField(), size=7)
    """From Monday to Sunday."""
    target = models.FloatField()
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    calendar_hash = models.BinaryField(max_length=32, null=True, unique=True)
    """SHA-256 of the calendar link's token; None without a link."""

    objects = ExamQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("user", F("at").desc(), F("id").desc(), name="exam_user_at_idx")]

    def __str__(self) -> str:
        return self.title


class Quiz(models.Model):
    """Questions about a student's notes and, once answered, the results."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="quizzes", db_index=False)
    seed = models.BigIntegerField()
    """Seeds all random choices. It stays secret, since it reveals the right answers."""
    language = models.CharField(max_length=3, blank=True)
    """The language requested by the client; it determines how numbers are read."""
    size = models.PositiveSmallIntegerField()
    questions = models.JSONField()
    solutions = models.JSONField()
    """In the order of the questions; loaded only for grading."""
    notice = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    answered_at = models.DateTimeField(null=True)
    correct = models.PositiveSmallIntegerField(null=True)
    results = models.JSONField(null=True)

    objects = QuizQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "quizzes"
        indexes = [models.Index("user", F("created_at").desc(), F("id").desc(), name="quiz_user_created_idx")]

    def __str__(self) -> str:
        return f"quiz {self.pk}"


class Recall(models.Model):
    """What a student wrote from memory about a topic, compared with the topic. It outlives the topic."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="recalls", db_index=False)
    topic_id = models.BigIntegerField()
    text = models.TextField(blank=True)
    score = models.PositiveSmallIntegerField()
    blocks = models.JSONField()
    notice = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = RecallQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("user", F("created_at").desc(), F("id").desc(), name="recall_user_created_idx")]

    def __str__(self) -> str:
        return f"recall {self.pk}"
