"""The table of notifications."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

TITLE_MAX_LENGTH = 200
MESSAGE_MAX_LENGTH = 1000
ACTION_ID_MAX_LENGTH = 64


class Notification(models.Model):
    """One message to one user. ``notified_at`` is null until it is pushed to the user's live inbox."""

    class Type(models.TextChoices):
        SUCCESS = "success", "Success"
        ERROR = "error", "Error"
        WARNING = "warning", "Warning"
        INFO = "info", "Info"
        PROCESSING = "processing", "Processing"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="notifications", db_index=False
    )
    type = models.CharField(max_length=10, choices=Type, default=Type.INFO)
    title = models.CharField(max_length=TITLE_MAX_LENGTH)
    message = models.CharField(max_length=MESSAGE_MAX_LENGTH, blank=True)
    action_id = models.CharField(max_length=ACTION_ID_MAX_LENGTH, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    read_at = models.DateTimeField(null=True, blank=True)
    notified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index("user", F("created_at").desc(), F("id").desc(), name="notification_history_idx"),
            models.Index(
                "user",
                F("created_at").desc(),
                F("id").desc(),
                name="notification_unread_idx",
                condition=Q(read_at=None),
            ),
            models.Index(
                fields=["created_at"], name="notification_unpushed_idx", condition=Q(notified_at=None, read_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.title
