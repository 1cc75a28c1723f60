"""Querysets of AI tasks and proposals."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.contrib.postgres.aggregates import BoolOr
from django.db import models
from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from ai_tasks.money import ZERO

_UNFINISHED = ["queued", "running", "waiting_provider", "cancelling"]


class Unfinished(NamedTuple):
    """``queue_age`` in seconds; None if no task is queued."""

    count_of: dict[str, int]
    queue_age: float | None


class AITaskQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def for_list(self) -> Self:
        """All fields but the answers, which may be long; newest first."""
        return self.defer("result", "base").order_by("-created_at", "-id")

    def coalescing(self) -> Self:
        """Unfinished tasks with which an equal request is coalesced."""
        return self.filter(status__in=["queued", "running", "waiting_provider"])

    def answered_since(self, since: datetime, user_id: int, request_hash: str) -> Self:
        """Tasks answered by the provider, newest first. Cached copies do not count: they extend no lifetime."""
        return self.filter(
            user_id=user_id, request_hash=request_hash, status="succeeded", cached=False, finished_at__gt=since
        ).order_by("-finished_at")

    def counted_since(self, since: datetime, user_id: int) -> Self:
        """Tasks that count against the user's limit, newest first."""
        return self.filter(user_id=user_id, billed=True, created_at__gt=since).order_by("-created_at", "-pk")

    def claimable(self) -> Self:
        """Tasks that a worker may take now."""
        return self.filter(
            Q(status="queued")
            | Q(status="waiting_provider", next_attempt_at__lte=Now())
            | Q(status="running", lease_expires_at__lt=Now())
        )

    def waiting_for_outage(self) -> Self:
        """Tasks that wait until a provider is back; none of them is due."""
        return self.filter(status="waiting_provider", next_attempt_at=None, waiting_since__isnull=False)

    def queue_age_seconds(self) -> float | None:
        """How long the oldest queued task has been waiting, in seconds; None if no task is queued. One query."""
        oldest = self.filter(status="queued").aggregate(oldest=Min("created_at"))["oldest"]
        return None if oldest is None else round((timezone.now() - oldest).total_seconds(), 3)

    def queue_depth(self) -> int:
        """How many tasks wait for a worker. One query."""
        return self.filter(status="queued").count()

    def unfinished_by_status(self) -> Unfinished:
        """How many tasks have not ended, and how long the oldest queued one waits. Evaluates: a row for each status."""
        rows = self.filter(finished_at=None, status__in=_UNFINISHED).values("status")
        found = {row["status"]: row for row in rows.annotate(count=Count("pk"), oldest=Min("created_at"))}
        queued = found.get("queued")
        age = None if queued is None else (timezone.now() - queued["oldest"]).total_seconds()
        return Unfinished({status: row["count"] for status, row in found.items()}, age)

    def usage_today(self) -> dict[str, Any]:
        """Tasks, tokens and money since midnight UTC, together and by request type. One query."""
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        rows = self.filter(created_at__gte=midnight).order_by("request_type").values("request_type")
        sums = rows.annotate(
            tasks=Count("pk"),
            input_tokens=Sum("input_tokens"),
            output_tokens=Sum("output_tokens"),
            estimated=BoolOr("usage_estimated"),
            cost=Sum("cost"),
            reserved=Sum("reserved"),
        )
        features = {row.pop("request_type"): row for row in sums}
        return {
            "tasks_today": sum(row["tasks"] for row in features.values()),
            "input_tokens_today": sum(row["input_tokens"] for row in features.values()),
            "output_tokens_today": sum(row["output_tokens"] for row in features.values()),
            "estimated": any(row["estimated"] for row in features.values()),
            "features": features,
            "budget": {
                "spent": sum((row["cost"] or ZERO for row in features.values()), ZERO),
                "reserved": sum((row["reserved"] for row in features.values()), ZERO),
                "limit": settings.AI_BUDGET_PER_USER_DAY,
            },
        }


_PROPOSAL_FILTERS = {"note": "topic__chapter__note", "topic": "topic", "status": "status", "field": "field"}


class ProposalQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        """The user's proposals for topics that are there, in notes outside the trash."""
        return self.filter(user_id=user_id, topic__chapter__note__deleted_at=None)

    def filtered(self, filters: Mapping[str, Any]) -> Self:
        """``filters``: see ``QueryOptimizer.get_proposals_for_list``."""
        wanted = {_PROPOSAL_FILTERS[name]: value for name, value in filters.items() if value is not None}
        return self.filter(**wanted)

    def for_list(self) -> Self:
        """All that is shown but the hunks, which are as long as the texts; newest first."""
        return self._with_note().defer("hunks", "layout").order_by("-created_at", "-id")

    def for_detail(self) -> Self:
        """All that is shown, with what the topic says now."""
        return self._with_note().annotate(
            explanation=F("topic__explanation"),
            blocks=F("topic__blocks"),
            code=F("topic__code"),
            language=F("topic__code_language"),
        )

    def _with_note(self) -> Self:
        return self.annotate(note_id=F("topic__chapter__note"))
