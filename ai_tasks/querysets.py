"""How AI tasks are looked up."""

from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.contrib.postgres.aggregates import BoolOr
from django.db import models
from django.db.models import Count, Min, Q, Sum
from django.db.models.functions import Coalesce, Now
from django.utils import timezone


class AITaskQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def for_list(self) -> Self:
        """Everything but the answers, which may be long; the newest first."""
        return self.defer("result").order_by("-created_at", "-id")

    def coalescing(self) -> Self:
        """Unfinished tasks that an equal request joins."""
        return self.filter(status__in=["queued", "running", "waiting_provider"])

    def answered_since(self, moment: datetime, user_id: int, request_hash: str) -> Self:
        """Results of the provider itself, the latest first: a cached copy does not prolong its life."""
        return self.filter(
            user_id=user_id, request_hash=request_hash, status="succeeded", cached=False, finished_at__gt=moment
        ).order_by("-finished_at")

    def counted_since(self, moment: datetime, user_id: int) -> Self:
        """What counts against the user's limit, the newest first."""
        return self.filter(user_id=user_id, billed=True, created_at__gt=moment).order_by("-created_at", "-pk")

    def claimable(self) -> Self:
        """Tasks that a worker may take now."""
        return self.filter(
            Q(status="queued")
            | Q(status="waiting_provider", next_attempt_at__lte=Now())
            | Q(status="running", lease_expires_at__lt=Now())
        )

    def held(self, task_id: UUID, attempt: int) -> Self:
        """The task, as long as this attempt still is the one that counts."""
        return self.filter(pk=task_id, attempt=attempt)

    def queue_age_seconds(self) -> float | None:
        """How long the oldest queued task has been waiting; None if none is. Evaluates: one row."""
        oldest = self.filter(status="queued").aggregate(oldest=Min("created_at"))["oldest"]
        return None if oldest is None else round((timezone.now() - oldest).total_seconds(), 3)

    def usage_today(self) -> dict[str, Any]:
        """Tasks and tokens since midnight UTC. Evaluates: one row."""
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return self.filter(created_at__gte=midnight).aggregate(
            tasks_today=Count("pk"),
            input_tokens_today=Sum("input_tokens", default=0),
            output_tokens_today=Sum("output_tokens", default=0),
            estimated=Coalesce(BoolOr("usage_estimated"), False),
        )
