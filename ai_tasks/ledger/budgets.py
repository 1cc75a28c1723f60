"""Money: what tasks reserve and what they cost, in US dollars, and the budgets of a day (UTC).

A task reserves the most that one attempt can cost, for the day of its acceptance. Each end of an attempt settles that:
at what the provider counted, at nothing if the call was free, at the reservation if nobody knows. So reservations and
spending together stay within a budget, whatever ends how. Another attempt after one that was paid for reserves anew.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, Sum, When
from django.db.models.functions import Coalesce
from django.utils import timezone

from ai_tasks.handlers import HANDLERS
from ai_tasks.models import AITask, SpendingDay
from ai_tasks.money import ZERO
from ai_tasks.prices import greatest_cost
from ai_tasks.providers import endpoints_of
from utils.http.errors import TooManyRequests

Scope = Literal["user", "site"]
_DETAILS: dict[Scope, str] = {
    "user": "Your AI budget of today is used up.",
    "site": "This service's AI budget of today is used up.",
}


class AIBudgetReached(TooManyRequests):
    """The day's budget has no room for the request; ``scope`` says whose."""

    code = "ai_budget_reached"
    detail = _DETAILS["user"]

    def __init__(self, scope: Scope) -> None:
        tomorrow = midnight(timezone.now()) + timedelta(days=1)
        wait = max(1, int((tomorrow - timezone.now()).total_seconds()) + 1)
        super().__init__(_DETAILS[scope], retry_after=wait, scope=scope)


class Budget(NamedTuple):
    """A user's day so far; ``limit`` is None where there is none."""

    spent: Decimal
    reserved: Decimal
    limit: Decimal | None


def midnight(timestamp: datetime) -> datetime:
    """The beginning of its day, UTC."""
    return timestamp.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def reservation_for(request_type: str, request_data: dict[str, Any]) -> Decimal:
    """The most that one attempt can cost; 0 if no model that it may ask has a price."""
    if not settings.AI_PRICES:
        return ZERO
    handler = HANDLERS[request_type]
    messages = handler.messages(request_data)
    endpoints = endpoints_of(request_type)
    costs = (greatest_cost(endpoint.model, messages, more_bytes=handler.gathered_bytes) for endpoint in endpoints)
    return max((cost for cost in costs if cost is not None), default=ZERO)


def check_budgets(task: AITask) -> None:
    """Raise ``AIBudgetReached`` if the task, whose row has its reservation by now, goes beyond a budget.

    Exact: the row's trigger has locked the site's day until the transaction ends, so whoever reserves for that day too
    waits, and sees this task.
    """
    if not task.reserved:
        return
    limit = settings.AI_BUDGET_PER_USER_DAY
    if limit is not None:
        budget = budget_of(task.user_id, task.created_at)
        if budget.spent + budget.reserved > limit:
            raise AIBudgetReached("user")
    limit = settings.AI_BUDGET_DAY
    if limit is not None:
        day = task.created_at.astimezone(UTC).date()
        amount = SpendingDay.objects.values_list("amount", flat=True).get(pk=day)
        if amount > limit:
            raise AIBudgetReached("site")


def reserve_again(task: AITask) -> None:
    """Reserve for an attempt of a running task that has no reservation left. Raises ``AIBudgetReached``."""
    if task.reserved:
        return
    amount = reservation_for(task.request_type, task.request_data)
    if not amount:
        return
    with transaction.atomic():
        running = AITask.objects.held(task.pk, task.attempt).filter(status=AITask.Status.RUNNING)
        if running.update(reserved=amount):
            task.reserved = amount
            check_budgets(task)


def budget_of(user_id: int, timestamp: datetime) -> Budget:
    """The user's budget of the day of ``timestamp``. One query."""
    begin = midnight(timestamp)
    tasks = AITask.objects.owned_by(user_id).filter(created_at__gte=begin, created_at__lt=begin + timedelta(days=1))
    sums = tasks.aggregate(spent=Sum("cost", default=ZERO), held=Sum("reserved", default=ZERO))
    return Budget(sums["spent"], sums["held"], settings.AI_BUDGET_PER_USER_DAY)


def settled(cost: Decimal | None) -> dict[str, Any]:
    """The changes of a row that end a reservation; None: no model with a price was asked."""
    return {"reserved": ZERO} if cost is None else {"reserved": ZERO, "cost": Coalesce("cost", ZERO) + cost}


def settled_at_the_reservation(*, of: Q | None = None) -> dict[str, Any]:
    """The changes of rows whose attempt cost nobody knows how much; ``of`` tells which of them that is true of."""
    unknown = Q(reserved__gt=ZERO) if of is None else Q(of, reserved__gt=ZERO)
    return {
        "cost": Case(When(unknown, then=Coalesce("cost", ZERO) + F("reserved")), default=F("cost")),
        "reserved": Case(When(unknown, then=ZERO), default=F("reserved")),
    }
