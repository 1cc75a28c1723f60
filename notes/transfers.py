"""Imports and exports of notes, which are durable background jobs, and the sources of imported notes."""

from uuid import uuid4

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

FILE_NAME_MAX_LENGTH = 255
UNFINISHED = ("queued", "running")


class JobStatus(models.TextChoices):
    QUEUED = "queued", "Queued"
    RUNNING = "running", "Running"
    SUCCEEDED = "succeeded", "Succeeded"
    FAILED = "failed", "Failed"
    CANCELLED = "cancelled", "Cancelled"


class BackgroundJob(models.Model):
    """A job that a worker carries out in the background, with its progress.

    A worker claims the row until ``lease_expires_at``, and renews the lease while it works. ``attempt`` is its fence:
    after another worker has claimed the job, the first one can no longer change it.
    """

    id = models.UUIDField(primary_key=True, default=uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    status = models.CharField(max_length=10, choices=JobStatus, default=JobStatus.QUEUED)
    error_code = models.CharField(max_length=50, blank=True)
    error_detail = models.TextField(blank=True)
    file = models.CharField(max_length=100, blank=True)  # its name in the storage
    attempt = models.PositiveIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True)
    published_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class NoteImport(BackgroundJob):
    """An import of files as notes. ``file`` is the upload, until the import ends."""

    name = models.CharField(max_length=FILE_NAME_MAX_LENGTH)
    dry_run = models.BooleanField(default=False)
    total = models.PositiveIntegerField(null=True)  # the number of files; None: not counted yet

    class Meta:
        indexes = [
            models.Index("user", F("created_at").desc(), name="note_import_user_idx"),
            models.Index(
                fields=["published_at"], name="note_import_unfinished_idx", condition=Q(status__in=UNFINISHED)
            ),
            models.Index(fields=["finished_at"], name="note_import_finished_idx"),
        ]

    def __str__(self) -> str:
        return f"import {self.pk}"


class ImportedFile(models.Model):
    """The outcome of one file of an import. A file with a row is done."""

    class Outcome(models.TextChoices):
        CREATED = "created", "Created"
        UPDATED = "updated", "Updated"
        UNCHANGED = "unchanged", "Unchanged"
        CONFLICT = "conflict", "Conflict"
        SKIPPED = "skipped", "Skipped"
        FAILED = "failed", "Failed"

    note_import = models.ForeignKey(NoteImport, on_delete=models.CASCADE, related_name="files", db_index=False)
    position = models.PositiveIntegerField()
    name = models.TextField()
    outcome = models.CharField(max_length=10, choices=Outcome)
    note = models.ForeignKey("notes.Note", on_delete=models.SET_NULL, null=True, related_name="+")
    warnings = models.JSONField(default=list)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["note_import", "position"], name="imported_file_unique")]

    def __str__(self) -> str:
        return self.name


class NoteSource(models.Model):
    """The file from which a note was imported, so that importing it again does not create a second note."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    path_hash = models.CharField(max_length=64)  # paths are too long for an index
    path = models.TextField()
    note = models.ForeignKey("notes.Note", on_delete=models.CASCADE, related_name="+")
    content_hash = models.CharField(max_length=64)
    note_version = models.PositiveIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "path_hash"], name="note_source_unique")]

    def __str__(self) -> str:
        return self.path


class NoteExport(BackgroundJob):
    """A note as a PDF. ``file`` is the PDF, until it expires."""

    class Format(models.TextChoices):
        PDF = "pdf", "PDF"

    note = models.ForeignKey("notes.Note", on_delete=models.CASCADE, related_name="+", db_index=False)
    note_version = models.PositiveIntegerField()
    format = models.CharField(max_length=10, choices=Format, default=Format.PDF)
    warnings = models.JSONField(default=list)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["note", "note_version", "format"], name="note_export_unique"),
        ]
        indexes = [
            models.Index("user", F("created_at").desc(), name="note_export_user_idx"),
            models.Index(
                fields=["published_at"], name="note_export_unfinished_idx", condition=Q(status__in=UNFINISHED)
            ),
            models.Index(fields=["finished_at"], name="note_export_finished_idx"),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"
