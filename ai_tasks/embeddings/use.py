"""A user's use of embeddings today, for the usage endpoint and the budgets.

A call counts with its highest possible cost until its real cost is known; if that never arrives, it stays so.
"""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from django.db import connection, transaction
from django.utils import timezone

from ai_tasks.embedding_rows import EmbeddingUse
from ai_tasks.money import ZERO
from ai_tasks.prices import BYTES_PER_MESSAGE, price_of
from ai_tasks.providers.base import Embeddings
from ai_tasks.spending import check_limits

_ADD = """
INSERT INTO ai_tasks_embeddinguse AS known (user_id, day, calls, tokens, estimated, cost)
SELECT id, %(day)s, %(calls)s, %(tokens)s, %(estimated)s, %(cost)s FROM accounts_user WHERE id = %(user_id)s
ON CONFLICT (user_id) DO UPDATE SET
  day = EXCLUDED.day,
  calls = CASE WHEN known.day = EXCLUDED.day THEN known.calls ELSE 0 END + EXCLUDED.calls,
  tokens = CASE WHEN known.day = EXCLUDED.day THEN known.tokens ELSE 0 END + EXCLUDED.tokens,
  estimated = EXCLUDED.estimated OR (known.day = EXCLUDED.day AND known.estimated),
  cost = CASE WHEN known.day = EXCLUDED.day THEN known.cost ELSE 0 END + EXCLUDED.cost
WHERE known.day <= EXCLUDED.day
"""


class Charge(NamedTuple):
    """A call that has started: its user, its day, and its highest possible cost; None if the model has no price."""

    user_id: int
    day: date
    most: Decimal | None


def charge(user_id: int, model: str, texts: Sequence[str]) -> Charge:
    """Reserve the highest possible cost of a call, assuming one token per byte.

    Raises ``AIBudgetReached``. Without a price it runs no statement.
    """
    now = timezone.now()
    most = price_of(model, input_tokens=sum(len(text.encode()) + BYTES_PER_MESSAGE for text in texts), output_tokens=0)
    begun = Charge(user_id, now.date(), most)
    if most:
        with transaction.atomic():
            _add(begun, cost=most)
            check_limits(user_id, now)
    return begun


def settle(begun: Charge, answer: Embeddings, cost: Decimal | None) -> None:
    """Record the real cost of a call. If the provider did not report it, the reservation stays. One statement."""
    if answer.usage_estimated or cost is None:
        cost = begun.most or ZERO
    _add(
        begun,
        calls=1,
        tokens=answer.input_tokens,
        estimated=answer.usage_estimated,
        cost=cost - (begun.most or ZERO),
    )


def take_back(begun: Charge) -> None:
    """Cancel the reservation of a free call. One statement, if it had a price."""
    if begun.most:
        _add(begun, cost=-begun.most)


def _add(begun: Charge, **values: Any) -> None:
    """Add to the user's day, unless a later day has begun. One statement, safe under concurrency."""
    row = {"calls": 0, "tokens": 0, "estimated": False, **values, "user_id": begun.user_id, "day": begun.day}
    with connection.cursor() as cursor:
        cursor.execute(_ADD, row)


def use_today(user_id: int) -> dict[str, Any] | None:
    """The user's embeddings today, as a feature of the usage; None if there were none. One query."""
    use = EmbeddingUse.objects.filter(user_id=user_id, day=timezone.now().date()).first()
    if use is None:
        return None
    return {
        "tasks": 0,
        "input_tokens": use.tokens,
        "output_tokens": 0,
        "estimated": use.estimated,
        "cost": use.cost if use.cost else None,
    }
