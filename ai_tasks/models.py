"""The durable row of an AI request. Only ``ai_tasks.ledger`` changes its state."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ai_tasks.querysets import AITaskQuerySet
from notes.models import Topic

MESSAGE_MAX_LENGTH = 300
PROGRESS_DONE = 100


class AITask(models.Model):
    """One AI request of one user, from acceptance to its answer.

    ``attempt`` is the fence: it rises with every claim, and a worker's writes name the attempt that it holds.
    """

    class RequestType(models.TextChoices):
        GENERATE_EXPLANATION = "generate_explanation", "Generate an explanation"
        IMPROVE_EXPLANATION = "improve_explanation", "Improve an explanation"
        SUMMARIZE = "summarize", "Summarize"
        GENERATE_CODE = "generate_code", "Generate code"

    class Status(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        WAITING_PROVIDER = "waiting_provider", "Waiting for the provider"
        CANCELLING = "cancelling", "Cancelling"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    TERMINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
    UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.WAITING_PROVIDER, Status.CANCELLING)

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="ai_tasks", db_index=False
    )
    request_type = models.CharField(max_length=30, choices=RequestType)
    request_data = models.JSONField()
    topic = models.ForeignKey(Topic, on_delete=models.SET_NULL, null=True, blank=True, related_name="ai_tasks")
    apply = models.BooleanField(default=False)
    source_hash = models.CharField(max_length=64, blank=True)
    fingerprint = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  # null: never coalesced
    request_hash = models.CharField(max_length=64, blank=True)

    status = models.CharField(max_length=20, choices=Status, default=Status.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0)
    message = models.CharField(max_length=MESSAGE_MAX_LENGTH, blank=True)
    result = models.JSONField(null=True, blank=True)
    applicable = models.BooleanField(default=True)  # false: the result only says that there is no answer
    error_code = models.CharField(max_length=50, blank=True)
    error_detail = models.CharField(max_length=MESSAGE_MAX_LENGTH, blank=True)

    provider = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001  # null: no model was used
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    cached = models.BooleanField(default=False)
    billed = models.BooleanField(default=True)  # counts against the hourly limit
    retry_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries")

    attempt = models.PositiveIntegerField(default=0)
    provider_failures = models.PositiveSmallIntegerField(default=0)
    lost_leases = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    published_at = models.DateTimeField(null=True, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = AITaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["fingerprint"],
                name="ai_task_coalescing_unique",
                condition=Q(status__in=["queued", "running", "waiting_provider"]),
            ),
            models.CheckConstraint(condition=Q(progress__lte=PROGRESS_DONE), name="ai_task_progress_is_percent"),
        ]
        indexes = [
            models.Index("user", F("created_at").desc(), F("id").desc(), name="ai_task_user_created_idx"),
            models.Index(
                fields=["published_at"],
                name="ai_task_unfinished_idx",
                condition=Q(status__in=["queued", "running", "waiting_provider", "cancelling"]),
            ),
            models.Index(fields=["finished_at"], name="ai_task_finished_idx", condition=Q(finished_at__isnull=False)),
            models.Index(
                fields=["user", "request_hash"], name="ai_task_result_cache_idx", condition=Q(status="succeeded")
            ),
        ]

    def __str__(self) -> str:
        return f"{self.request_type} {self.pk}"

    @property
    def is_terminal(self) -> bool:
        return self.status in self.TERMINAL
