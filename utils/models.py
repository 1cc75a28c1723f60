"""Models that belong to no app."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

KEY_MAX_LENGTH = 255


class IdempotencyRecord(models.Model):
    """The stored response to a request with an ``Idempotency-Key``."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+", db_index=False)
    route = models.CharField(max_length=100)
    key = models.CharField(max_length=KEY_MAX_LENGTH)
    body_hash = models.BinaryField(max_length=32)
    status = models.PositiveSmallIntegerField()
    body = models.BinaryField()
    location = models.CharField(max_length=200, blank=True)
    etag = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "route", "key"], name="idempotency_key_unique")]
        indexes = [models.Index(fields=["created_at"], name="idempotency_created_idx")]

    def __str__(self) -> str:
        return f"{self.route} {self.key}"


class PendingEpochBump(models.Model):
    """A committed change that Redis does not know of: the page cache's epoch must be bumped because of it."""

    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"bump {self.pk}"


class FileToDelete(models.Model):
    """A file whose row was deleted: see ``utils.storage``.

    A trigger of the row's table writes it in the same transaction, whichever code deletes the row. The file itself is
    deleted after COMMIT.
    """

    name = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.name
