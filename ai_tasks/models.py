"""The tables of AI tasks, proposals, states of providers, and costs per day.

Only ``ai_tasks.ledger`` changes the state of a request, and ``ai_tasks.proposals`` that of a proposal.
"""

import uuid
from typing import Literal

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from ai_tasks.embedding_rows import (  # noqa: F401  # tables of this app, shown to Django
    EmbeddingModel,
    EmbeddingUse,
    NoteIndexing,
    PassageVector,
)
from ai_tasks.money import DECIMAL_PLACES, MAX_DIGITS, ZERO
from ai_tasks.querysets import AITaskQuerySet, ProposalQuerySet
from notes.models import Topic

MESSAGE_MAX_LENGTH = 300
PROGRESS_DONE = 100


class AITask(models.Model):
    """One AI request of one user, from its acceptance to its answer.

    ``attempt`` is the fence: it rises with every claim, and a worker's writes take effect only for its own attempt.
    """

    class RequestType(models.TextChoices):
        GENERATE_EXPLANATION = "generate_explanation", "Generate an explanation"
        IMPROVE_EXPLANATION = "improve_explanation", "Improve an explanation"
        SUMMARIZE = "summarize", "Summarize"
        GENERATE_CODE = "generate_code", "Generate code"
        MAKE_CARDS = "make_cards", "Make cards"
        ASK = "ask", "Ask my notes"

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
    proposes = models.BooleanField(default=False, db_default=False)
    """``apply: "propose"``: the answer becomes a proposal. ``apply`` is false then."""
    base = models.JSONField(null=True, blank=True, editable=False)
    """Of a task that proposes: its topic's text at its submission. See ``ai_tasks.proposals.making``."""
    source_hash = models.CharField(max_length=64, blank=True)
    fingerprint = models.CharField(max_length=64, null=True, blank=True)  # noqa: DJ001  # null: never coalesced
    request_hash = models.CharField(max_length=64, blank=True)

    status = models.CharField(max_length=20, choices=Status, default=Status.QUEUED)
    progress = models.PositiveSmallIntegerField(default=0)
    message = models.CharField(max_length=MESSAGE_MAX_LENGTH, blank=True)
    result = models.JSONField(null=True, blank=True)
    applicable = models.BooleanField(default=True)  # false: the result must replace no text; see is_applicable
    error_code = models.CharField(max_length=50, blank=True)
    error_detail = models.CharField(max_length=MESSAGE_MAX_LENGTH, blank=True)

    provider = models.CharField(max_length=50, blank=True)
    model = models.CharField(max_length=100, null=True, blank=True)  # noqa: DJ001  # null: no model was used
    input_tokens = models.PositiveIntegerField(default=0)
    output_tokens = models.PositiveIntegerField(default=0)
    usage_estimated = models.BooleanField(default=False)
    cost = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, null=True, blank=True)
    """The cost of all attempts in US dollars; null: no model with a price was called."""
    reserved = models.DecimalField(
        max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, default=ZERO, db_default=ZERO, editable=False
    )
    """US dollars: the maximum cost of the running or next attempt."""
    cached = models.BooleanField(default=False)
    billed = models.BooleanField(default=True)  # counts against the hourly limit
    retry_of = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="retries")

    attempt = models.PositiveIntegerField(default=0)
    provider_failures = models.PositiveSmallIntegerField(default=0)
    lost_leases = models.PositiveSmallIntegerField(default=0)
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    waiting_since = models.DateTimeField(null=True, blank=True)  # for a provider that is out
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
    def asked_to_apply(self) -> bool | Literal["propose"]:
        """``apply`` as it was sent."""
        return "propose" if self.proposes else self.apply

    @property
    def is_applicable(self) -> bool:
        """Whether the result may replace a text. Only that of a successful task may."""
        return self.applicable and self.status == self.Status.SUCCEEDED

    @property
    def is_terminal(self) -> bool:
        return self.status in self.TERMINAL


class Proposal(models.Model):
    """The changes that a task's answer proposes for one field of its topic; the user decides about each.

    ``hunks`` and ``layout`` are read and written together: see ``notes.blocks.hunks``.
    """

    class Field(models.TextChoices):
        EXPLANATION = "explanation", "Explanation"
        CODE = "code", "Code"

    class Status(models.TextChoices):
        OPEN = "open", "Open"
        RESOLVED = "resolved", "Resolved"
        SUPERSEDED = "superseded", "Superseded"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    task = models.OneToOneField(AITask, on_delete=models.CASCADE, related_name="proposal")
    # Neither has a constraint: the task's row ensures that both are the user's. So deleting a topic takes no further
    # statement, and a topic that is restored with a version gets its proposals back.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, db_constraint=False, db_index=False, related_name="+"
    )
    topic = models.ForeignKey(
        Topic, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="proposals"
    )
    field = models.CharField(max_length=20, choices=Field)
    base_version = models.PositiveIntegerField()
    """The version of the note whose text was asked about."""
    base_hash = models.CharField(max_length=64)
    code_language = models.CharField(max_length=30, blank=True)
    """The language of the code, if that is the field."""
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    hunks = models.JSONField()
    layout = models.JSONField()
    created_at = models.DateTimeField(db_default=Now(), editable=False)

    objects = ProposalQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["topic", "field"], name="proposal_open_unique", condition=Q(status="open"))
        ]
        indexes = [models.Index("user", F("created_at").desc(), F("id").desc(), name="proposal_user_created_idx")]

    def __str__(self) -> str:
        return f"proposal for the {self.field} of topic {self.topic_id}"


class ProviderState(models.Model):
    """The state of one provider, shared by all workers. It is out since ``out_since``; null: it is called as usual.

    While it is out only one task at a time calls it: the probe, identified by its id and attempt.
    """

    name = models.CharField(max_length=50, primary_key=True)
    failures = models.PositiveSmallIntegerField(default=0)  # consecutive
    failed_task = models.UUIDField(null=True)
    out_since = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=50, blank=True)
    error_detail = models.CharField(max_length=MESSAGE_MAX_LENGTH, blank=True)
    failed_probes = models.PositiveSmallIntegerField(default=0)
    next_probe_at = models.DateTimeField(null=True)
    probe_task = models.UUIDField(null=True)
    probe_attempt = models.PositiveIntegerField(null=True)

    def __str__(self) -> str:
        return self.name


class SpendingDay(models.Model):
    """The costs and reservations of all tasks accepted on one day (UTC), in US dollars.

    Triggers maintain it, so that it is always their sum.
    """

    day = models.DateField(primary_key=True)
    amount = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)

    def __str__(self) -> str:
        return str(self.day)
