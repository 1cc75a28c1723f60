"""Money in tests: a model with a price, requests that reserve the same, and what the tables say was spent.

The fixtures ``prices`` and ``most`` belong to it.
"""

from decimal import Decimal
from typing import Any

from django.utils import timezone

from accounts.models import User
from ai_tasks import ledger
from ai_tasks.models import AITask, SpendingDay
from ai_tasks.worker import Worker
from NoteAssist_AI.ai_settings import Price
from tests.openai_behaviours import COMPLETION_TOKENS, PROMPT_TOKENS

TASKS = "/api/ai/tasks/"
SHORT: dict[str, Any] = {
    "request_type": "summarize",
    "request_data": {"content": "A loop repeats.", "length": "medium"},
}
PRICE = Price(input=Decimal("100"), output=Decimal("200"))
COST = (PROMPT_TOKENS * 100 + COMPLETION_TOKENS * 200) / Decimal(1_000_000)
"""Of one call of the model server."""


def submit(user: User, number: int = 0) -> AITask:
    """One more of many requests that differ and reserve the same."""
    return ledger.submit(user_id=user.pk, may_coalesce=False, **different(number)).task


def different(number: int) -> dict[str, Any]:
    return {**SHORT, "request_data": {"content": f"A loop repeat{number:02}", "length": "medium"}}


def run(task: AITask) -> AITask:
    Worker().execute(task.pk)
    task.refresh_from_db()
    return task


def site_today() -> Decimal:
    return SpendingDay.objects.get(day=timezone.now().date()).amount


def sum_of_tasks() -> Decimal:
    return sum(((task.cost or 0) + task.reserved for task in AITask.objects.all()), Decimal(0))
