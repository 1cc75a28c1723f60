"""The budgets of a day (UTC), in US dollars: what tasks cost and have reserved, and what embeddings cost."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from django.conf import settings
from django.db.models import Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from ai_tasks.embedding_rows import EmbeddingUse
from ai_tasks.models import AITask, SpendingDay
from ai_tasks.money import ZERO
from utils.http.errors import TooManyRequests

Scope = Literal["user", "site"]
_DETAILS: dict[Scope, str] = {
    "user": "Your AI budget for today is used up.",
    "site": "This service's AI budget for today is used up.",
}


class AIBudgetReached(TooManyRequests):
    """The day's budget has no room for the request; ``scope`` says whose."""

    code = "ai_budget_reached"
    detail = _DETAILS["user"]

    def __init__(self, scope: Scope) -> None:
        wait = max(1, int((next_midnight() - timezone.now()).total_seconds()) + 1)
        super().__init__(_DETAILS[scope], retry_after=wait, scope=scope)


class Budget(NamedTuple):
    """A user's day so far; ``limit`` is None where there is none."""

    spent: Decimal
    reserved: Decimal
    limit: Decimal | None


def midnight(timestamp: datetime) -> datetime:
    """The beginning of its day, UTC."""
    return timestamp.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def next_midnight() -> datetime:
    return midnight(timezone.now()) + timedelta(days=1)


def budget_of(user_id: int, timestamp: datetime) -> Budget:
    """The user's budget of the day of ``timestamp``. One query."""
    begin = midnight(timestamp)
    tasks = AITask.objects.owned_by(user_id).filter(created_at__gte=begin, created_at__lt=begin + timedelta(days=1))
    embeddings = EmbeddingUse.objects.filter(user_id=user_id, day=begin.date()).values("cost")
    sums = tasks.aggregate(
        spent=Sum("cost", default=ZERO) + Coalesce(Subquery(embeddings), ZERO), held=Sum("reserved", default=ZERO)
    )
    return Budget(sums["spent"], sums["held"], settings.AI_BUDGET_PER_USER_DAY)


def check_limits(user_id: int, timestamp: datetime) -> None:
    """Raise ``AIBudgetReached`` if the day of ``timestamp``, with what was just recorded, goes beyond a budget.

    Exact: a trigger of the row that was recorded has locked the site's day until the transaction ends, so whoever
    spends on that day too waits, and sees this.
    """
    limit = settings.AI_BUDGET_PER_USER_DAY
    if limit is not None:
        budget = budget_of(user_id, timestamp)
        if budget.spent + budget.reserved > limit:
            raise AIBudgetReached("user")
    limit = settings.AI_BUDGET_DAY
    if limit is not None:
        amount = SpendingDay.objects.values_list("amount", flat=True).get(pk=midnight(timestamp).date())
        if amount > limit:
            raise AIBudgetReached("site")
