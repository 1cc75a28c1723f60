"""Notes and their parts: a note has chapters, a chapter has topics."""

from uuid import uuid4

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorCombinable, SearchVectorField
from django.db import models
from django.db.models import Deferrable, F, Func, Q, TextField, Value
from django.db.models.functions import Left, Now

from notes.derived import TitleKeyField, WordsField, unless_due
from notes.querysets import (
    AttachmentQuerySet,
    ChapterQuerySet,
    NoteQuerySet,
    NoteVersionQuerySet,
    ShareQuerySet,
    TopicQuerySet,
)
from notes.search.conditions import OLD_CONFIG
from notes.search.vectors import words_of_chapter, words_of_note, words_of_topic
from notes.title_order import title_key

TITLE_MAX_LENGTH = 300
TEXT_MAX_BYTES = 100_000
NOTE_MAX_BYTES = 5 * 1024 * 1024
"""The maximum size of a note with all its parts: see ``notes.sizes``."""
TAGS_MAX = 20
TAG_MAX_LENGTH = 50
SOURCES_MAX = 50
CODE_LANGUAGE = r"[\w+#.\-/* ]{0,30}"
"""The pattern that a code language must match as a whole."""
FILE_NAME_MAX_LENGTH = 150
SLUG_MAX_LENGTH = 32


class TagVector(SearchVectorCombinable, Func):
    """Each tag as one unstemmed lexeme. (``array_to_string`` is not immutable, so generated columns refuse it.)"""

    function = "array_to_tsvector"
    output_field = SearchVectorField()


class Weighted(SearchVectorCombinable, Func):
    function = "setweight"
    output_field = SearchVectorField()


def _words_before(source: str, weight: str) -> SearchVector:
    """The search vector of earlier releases. Rows without ``words`` are found by it; the next release drops it."""
    # PostgreSQL drops <int> as a tag, and the text after <script>.
    text = Func(Left(source, TEXT_MAX_BYTES), Value("<>"), Value("  "), function="translate", output_field=TextField())
    return SearchVector(text, weight=weight, config=OLD_CONFIG)


class Note(models.Model):
    """A student's note. ``version`` rises with every write to the note or its parts, and is the note's ETag."""

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
    size_bytes = models.BigIntegerField(null=True, editable=False)  # None: not counted yet
    words = WordsField(
        null=True, derive=unless_due(lambda note: words_of_note(note.user_id, title=note.title, tags=note.tags))
    )
    words_due_at = models.DateTimeField(null=True, editable=False)  # None: not due; see notes.services.indexing
    title_key = TitleKeyField(derive=lambda note: title_key(note.title))
    search = models.GeneratedField(
        expression=_words_before("title", "A") + Weighted(TagVector("tags"), Value("A")),
        output_field=SearchVectorField(),
        db_persist=True,
    )

    objects = NoteQuerySet.as_manager()

    class Meta:
        indexes = [
            models.Index(fields=["user", "-updated_at"], name="note_user_updated_idx"),
            models.Index(fields=["user", "status"], name="note_user_status_idx"),
            # One for each ordering of the list, so that a page is an index scan (backward for the opposite direction).
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
            models.Index("user", "title_key", "id", name="note_live_title_key_idx", condition=Q(deleted_at=None)),
            # For the previous release, which orders by the title itself; the next release drops it.
            models.Index("user", "title", "id", name="note_live_title_idx", condition=Q(deleted_at=None)),
            # One for the status filter, for users with few notes of that status among many.
            models.Index(
                "user",
                "status",
                F("updated_at").desc(),
                F("id").desc(),
                name="note_live_status_idx",
                condition=Q(deleted_at=None),
            ),
            models.Index(fields=["deleted_at"], name="note_trash_idx", condition=Q(deleted_at__isnull=False)),
            # For a page of the trash: the index above would read all users' notes.
            models.Index(
                "user",
                F("updated_at").desc(),
                F("id").desc(),
                name="note_trash_updated_idx",
                condition=Q(deleted_at__isnull=False),
            ),
            # For the previous release, whose lists by tag may read all users' notes; the next release drops it.
            GinIndex(fields=["tags"], name="note_tags_idx"),
            GinIndex(fields=["search"], name="note_search_idx"),
            GinIndex(fields=["words"], name="note_words_idx"),
            models.Index(fields=["user"], name="note_without_words_idx", condition=Q(words=None)),
            models.Index(
                fields=["user", "words_due_at"], name="note_words_due_idx", condition=Q(words_due_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.title


class Chapter(models.Model):
    """A part of a note. ``order`` counts from 0 without gaps."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="chapters", db_index=False)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    order = models.PositiveIntegerField()
    words = WordsField(
        null=True,
        derive=unless_due(
            lambda chapter: words_of_chapter(chapter.note.user_id, title=chapter.title),
            note=lambda chapter: chapter.note,
        ),
    )
    search = models.GeneratedField(
        expression=_words_before("title", "B"), output_field=SearchVectorField(), db_persist=True
    )

    objects = ChapterQuerySet.as_manager()

    class Meta:
        ordering = ["order"]
        constraints = [
            models.UniqueConstraint(
                fields=["note", "order"], name="chapter_order_unique", deferrable=Deferrable.DEFERRED
            )
        ]
        indexes = [
            GinIndex(fields=["search"], name="chapter_search_idx"),
            GinIndex(fields=["words"], name="chapter_words_idx"),
        ]

    def __str__(self) -> str:
        return self.title


class Topic(models.Model):
    """A part of a chapter, and the subject of AI requests. ``order`` counts from 0 without gaps."""

    chapter = models.ForeignKey(Chapter, on_delete=models.CASCADE, related_name="topics", db_index=False)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    order = models.PositiveIntegerField()
    explanation = models.TextField(blank=True)
    code = models.TextField(blank=True)
    code_language = models.CharField(max_length=30, blank=True)
    sources = models.JSONField(default=list, blank=True)
    words = WordsField(
        null=True,
        derive=unless_due(
            lambda topic: words_of_topic(
                topic.chapter.note.user_id, title=topic.title, explanation=topic.explanation, code=topic.code
            ),
            note=lambda topic: topic.chapter.note,
        ),
    )
    # See notes.blocks.stored. None: not made yet, for large new topics and topics of releases without blocks.
    blocks = models.TextField(null=True, editable=False)  # noqa: DJ001
    search = models.GeneratedField(
        expression=_words_before("title", "B") + _words_before("explanation", "C") + _words_before("code", "D"),
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
        indexes = [
            GinIndex(fields=["search"], name="topic_search_idx"),
            GinIndex(fields=["words"], name="topic_words_idx"),
        ]

    def __str__(self) -> str:
        return self.title


class NoteVersion(models.Model):
    """A snapshot of a note before a change, and the kind of change. Immutable."""

    class Reason(models.TextChoices):
        EDIT = "edit", "Edit"
        AI = "ai", "AI"
        RESTORE = "restore", "Restore"

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="versions", db_index=False)
    version = models.PositiveIntegerField()
    snapshot = models.JSONField()
    kept_topics = ArrayField(models.BigIntegerField(), db_default=[], default=list)  # all KeptTopics of the snapshot
    reason = models.CharField(max_length=10, choices=Reason)
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = NoteVersionQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note", "version"], name="note_version_unique")]

    def __str__(self) -> str:
        return f"version {self.version} of note {self.note_id}"


class Attachment(models.Model):
    """An image or a PDF of a note, or of cards. Texts refer to it by its path. Immutable.

    ``file`` is its name in the storage (``utils.storage``). Copies of an attachment share the file; a trigger of the
    table has it deleted with the last of them.
    """

    class ContentType(models.TextChoices):
        PNG = "image/png", "PNG"
        JPEG = "image/jpeg", "JPEG"
        GIF = "image/gif", "GIF"
        WEBP = "image/webp", "WebP"
        PDF = "application/pdf", "PDF"

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    # None for attachments of cards, which belong to no note.
    note = models.ForeignKey(Note, null=True, on_delete=models.CASCADE, related_name="attachments", db_index=False)
    name = models.CharField(max_length=FILE_NAME_MAX_LENGTH)
    content_type = models.CharField(max_length=30, choices=ContentType)
    size = models.PositiveIntegerField()
    file = models.CharField(max_length=100, db_index=True)
    created_at = models.DateTimeField(db_default=Now())
    unnamed_since = models.DateTimeField(db_default=Now(), null=True)  # None: a text named it at the last check
    checked_at = models.DateTimeField(db_default=Now(), db_index=True)

    objects = AttachmentQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("note", F("created_at").desc(), F("id").desc(), name="attachment_note_created_idx")]

    def __str__(self) -> str:
        return self.name

    @property
    def path(self) -> str:
        """The path by which texts refer to it."""
        return f"/api/attachments/{self.pk}/"


class Share(models.Model):
    """A public link to a note: anyone who has it can read the note. Revoking it deletes the row."""

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="shares", db_index=False)
    slug = models.CharField(max_length=SLUG_MAX_LENGTH, unique=True)
    password = models.CharField(max_length=128, blank=True)  # its hash; empty: none
    expires_at = models.DateTimeField(null=True)
    views = models.PositiveBigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(db_default=Now())

    objects = ShareQuerySet.as_manager()

    class Meta:
        indexes = [models.Index("note", F("created_at").desc(), F("id").desc(), name="share_note_created_idx")]

    def __str__(self) -> str:
        return f"share {self.pk} of note {self.note_id}"


class NoteLink(models.Model):
    """A link of a topic to another note: see ``notes.services.links``."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    topic = models.ForeignKey(Topic, on_delete=models.CASCADE, related_name="links", db_index=False)
    target = models.TextField()
    """The link's text: ``Note`` or ``Note#Topic``."""
    key = models.TextField(db_collation="C")
    """The beginning of the linked note's ``title_key``."""
    # None: the link refers to the note with that title, if there is one.
    meant = models.ForeignKey(Note, null=True, on_delete=models.SET_NULL, related_name="backlinks")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "target"], name="note_link_unique")]
        indexes = [models.Index(fields=["user", "key"], name="note_link_key_idx")]

    def __str__(self) -> str:
        return f"[[{self.target}]]"


class KeptTopic(models.Model):
    """The content of a topic in one or more kept versions of its note: see ``notes.snapshots``. Immutable."""

    note = models.ForeignKey(Note, on_delete=models.CASCADE, related_name="+")
    topic = models.BigIntegerField()  # the topic's id; the topic may be deleted by now
    digest = models.CharField(max_length=32)
    base = models.BigIntegerField(null=True)  # another KeptTopic's id; no foreign key, as both are deleted at once
    content = models.JSONField()

    def __str__(self) -> str:
        return f"topic {self.topic} of note {self.note_id}"


class StorageUse(models.Model):
    """The bytes that a user stores: notes, including the trash, and attachments. None: not counted yet.

    It is not a column of the user, as every write would then lock the user's row.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+")
    size_bytes = models.BigIntegerField(null=True, editable=False)

    def __str__(self) -> str:
        return f"storage of user {self.user_id}"


from notes.transfers import ImportedFile, NoteExport, NoteImport, NoteSource  # noqa: E402, F401  # models of this app
