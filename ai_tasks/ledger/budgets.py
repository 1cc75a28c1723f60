"""Money: what tasks reserve and what they cost, in US dollars, and the budgets of a day (UTC).

A task reserves the most that one attempt can cost, for the day of its acceptance. Each end of an attempt settles that:
at what the provider counted, at nothing if the call was free, at the reservation if nobody knows. So reservations and
spending together stay within a budget, whatever ends how. Another attempt after one that was paid for reserves anew.
"""

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, F, Q, When
from django.db.models.functions import Coalesce

from ai_tasks.handlers import HANDLERS
from ai_tasks.models import AITask
from ai_tasks.money import ZERO
from ai_tasks.prices import greatest_cost
from ai_tasks.providers import endpoints_of
from ai_tasks.spending import check_limits


def reservation_for(request_type: str, request_data: dict[str, Any]) -> Decimal:
    """The most that one attempt can cost; 0 if no model that it may ask has a price."""
    if not settings.AI_PRICES:
        return ZERO
    handler = HANDLERS[request_type]
    messages = handler.messages(request_data)
    endpoints = endpoints_of(request_type)
    costs = (greatest_cost(endpoint.model, messages, more_bytes=handler.gathered_bytes) for endpoint in endpoints)
    return max((cost for cost in costs if cost is not None), default=ZERO)


def reserve_again(task: AITask) -> None:
    """Reserve for an attempt of a running task that has no reservation left. Raises ``AIBudgetReached``."""
    if task.reserved:
        return
    amount = reservation_for(task.request_type, task.request_data)
    if not amount:
        return
    with transaction.atomic():
        running = AITask.objects.filter(pk=task.pk, attempt=task.attempt, status=AITask.Status.RUNNING)
        if running.update(reserved=amount):
            task.reserved = amount
            check_limits(task.user_id, task.created_at)


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
