"""What embeddings took for a user today."""

from typing import Any

from django.db import connection
from django.utils import timezone

from ai_tasks.embeddings.rows import EmbeddingUse
from ai_tasks.money import ZERO
from ai_tasks.providers.base import Usage

_ADD = """
INSERT INTO ai_tasks_embeddinguse AS known (user_id, day, calls, tokens, estimated, cost)
SELECT id, %(day)s, 1, %(tokens)s, %(estimated)s, %(cost)s FROM accounts_user WHERE id = %(user_id)s
ON CONFLICT (user_id) DO UPDATE SET
  day = EXCLUDED.day,
  calls = CASE WHEN known.day = EXCLUDED.day THEN known.calls ELSE 0 END + 1,
  tokens = CASE WHEN known.day = EXCLUDED.day THEN known.tokens ELSE 0 END + EXCLUDED.tokens,
  estimated = EXCLUDED.estimated OR (known.day = EXCLUDED.day AND known.estimated),
  cost = CASE WHEN known.day = EXCLUDED.day THEN known.cost ELSE 0 END + EXCLUDED.cost
"""


def record_use(user_id: int, used: Usage) -> None:
    """Add one call to the user's day. One statement, whoever else adds at the same time."""
    values: dict[str, Any] = {
        "user_id": user_id,
        "day": timezone.now().date(),
        "tokens": used.input_tokens,
        "estimated": used.usage_estimated,
        "cost": used.cost or ZERO,
    }
    with connection.cursor() as cursor:
        cursor.execute(_ADD, values)


def use_today(user_id: int) -> dict[str, Any] | None:
    """The user's embeddings of today, as a feature of the usage; None if there were none. One query."""
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
