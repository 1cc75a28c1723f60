"""Notes and what they consist of: a note has chapters, a chapter has topics."""

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorCombinable, SearchVectorField
from django.db import models
from django.db.models import Deferrable, F, Func, Q, Value
from django.db.models.functions import Left, Now

from notes.querysets import ChapterQuerySet, NoteQuerySet, NoteVersionQuerySet, TopicQuerySet
from notes.search import SEARCH_CONFIG, without_tags

TITLE_MAX_LENGTH = 300
TEXT_MAX_BYTES = 100_000
TAGS_MAX = 20
TAG_MAX_LENGTH = 50
SOURCES_MAX = 50


class TagVector(SearchVectorCombinable, Func):
    """Each tag as one lexeme, spelled as it is (no generated column takes ``array_to_string``: it is not immutable)."""

    function = "array_to_tsvector"
    output_field = SearchVectorField()


class Weighted(SearchVectorCombinable, Func):
    function = "setweight"
    output_field = SearchVectorField()


def _words(source: str, weight: str) -> SearchVector:
    # Bounded: a vector of more than 1 MB is an error of Postgres.
    return SearchVector(without_tags(Left(source, TEXT_MAX_BYTES)), weight=weight, config=SEARCH_CONFIG)


class Note(models.Model):
    """A student's note. ``version`` rises with every write to the note or anything in it: it is the note's ETag."""

    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        PUBLISHED = "published", "Published"
        ARCHIVED = "archived", "Archived"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notes", db_index=False)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    # An array: with a many-to-many the list costs 1.75 times as much.
    tags = ArrayField(models.CharField(max_length=TAG_MAX_LENGTH), default=list, blank=True)
    version = models.PositiveIntegerField(default=1)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)
    deleted_at = models.DateTimeField(null=True, blank=True, editable=False)
    search = models.GeneratedField(
        expression=_words("title", "A") + Weighted(TagVector("tags"), Value("A")),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = NoteQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-updated_at"], name="note_user_updated_idx"),
            models.Index(fields=["user", "status"], name="note_user_status_idx"),
            # One for each ordering of the list, so that a page is read off the index (backwards for the other sign).
            models.Index(
                "user",
                F("updated_at").desc(),
                F("id").desc(),
                name="note_live_updated_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index(
                "user",
                F("created_at").desc(),
                F("id").desc(),
                name="note_live_created_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index("user", "title", "id", name="note_live_title_idx", condition=Q(deleted_at=None)),
            # And one for the notes of a status, however few of a user's many they are.
            models.Index(
                "user",
                "status",
                F("updated_at").desc(),
                F("id").desc(),
                name="note_live_status_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index(fields=["deleted_at"], name="note_trash_idx", condition=Q(deleted_at__isnull=False)),
            GinIndex(fields=["tags"], name="note_tags_idx"),
            GinIndex(fields=["search"], name="note_search_idx"),
        ]

    def __str__(self) -> str:
        return self.title


class Chapter(models.Model):
    """A part of a note; ``order`` runs from 0 without gaps."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="chapters", db_index=False)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    order = models.PositiveIntegerField()
    search = models.GeneratedField(expression=_words("title", "B"), output_field=SearchVectorField(), db_persist=True)

    objects = ChapterQuerySet.as_manager()

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(
                fields=["note", "order"], name="chapter_order_unique", deferrable=Deferrable.DEFERRED
            )
        ]
        indexes = [GinIndex(fields=["search"], name="chapter_search_idx")]

    def __str__(self) -> str:
        return self.title


class Topic(models.Model):
    """A part of a chapter, and what AI is asked about; ``order`` runs from 0 without gaps."""

    chapter = models.ForeignKey(Chapter, on_delete=models.CASCADE, related_name="topics", db_index=False)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    order = models.PositiveIntegerField()
    explanation = models.TextField(blank=True)
    code = models.TextField(blank=True)
    code_language = models.CharField(max_length=30, blank=True)
    sources = models.JSONField(default=list, blank=True)
    search = models.GeneratedField(
        expression=_words("title", "B") + _words("explanation", "C") + _words("code", "D"),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = TopicQuerySet.as_manager()

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(
                fields=["chapter", "order"], name="topic_order_unique", deferrable=Deferrable.DEFERRED
            )
        ]
        indexes = [GinIndex(fields=["search"], name="topic_search_idx")]

    def __str__(self) -> str:
        return self.title


class NoteVersion(models.Model):
    """What a note was before a change, and what kind of change that was. Never changed once written."""

    class Reason(models.TextChoices):
        EDIT = "edit", "Edit"
        AI = "ai", "AI"
        RESTORE = "restore", "Restore"

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="versions", db_index=False)
    version = models.PositiveIntegerField()
    snapshot = models.JSONField()
    reason = models.CharField(max_length=10, choices=Reason)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = NoteVersionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note", "version"], name="note_version_unique")]

    def __str__(self) -> str:
        return f"version {self.version} of note {self.note_id}"
