"""Reads of tasks as dictionaries: the output of the serializers at a fraction of their cost. Tests compare both."""

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from ai_tasks.asking.states import QUOTING, with_states
from ai_tasks.models import AITask
from ai_tasks.money import shown
from utils.database.compiled_queries import Row, read_rows

_SHOWN = (
    "id", "request_type", "status", "progress", "message", "request_data", "topic_id", "apply", "provider", "model",
    "cached", "attempt", "applied_at", "created_at", "started_at", "finished_at", "result",
)  # fmt: skip
_REARRANGED = (
    "updated_at", "retry_of_id", "error_code", "error_detail", "input_tokens", "output_tokens", "usage_estimated",
    "applicable", "cost", "proposes",
)  # fmt: skip
_COLUMNS = _SHOWN + _REARRANGED


def links_of(task_id: UUID) -> dict[str, str]:
    path = f"/api/ai/tasks/{task_id}/"
    return {"self": path, "events": f"{settings.EVENTS_BASE_URL}{path}events/", "cancel": f"{path}cancel/"}


def detail(task_id: UUID, *, user_id: int) -> Row:
    """The user's task as ``TaskSerializer`` renders it: one query, and one more for an answer that quotes notes.

    Raises ``AITask.DoesNotExist``.
    """
    rows = read_rows(_task, task_id=task_id, user_id=user_id)
    if not rows:
        raise AITask.DoesNotExist
    row = _as_shown(rows[0])
    if row["request_type"] in QUOTING:
        row["result"] = with_states(row["result"], user_id=user_id)
    return row


def accepted(task: AITask) -> Row:
    """A task as ``AcceptedTaskSerializer`` renders it: no query."""
    return {"task_id": task.pk, **_as_shown({name: getattr(task, name) for name in _COLUMNS})}


def _as_shown(row: Row) -> Row:
    cost = row.pop("cost")
    code, detail = row.pop("error_code"), row.pop("error_detail")
    row["error"] = {"code": code, "detail": detail} if code else None
    row["usage"] = {
        "input_tokens": row.pop("input_tokens"),
        "output_tokens": row.pop("output_tokens"),
        "estimated": row.pop("usage_estimated"),
        "cost": None if cost is None else shown(cost),
    }
    if row.pop("proposes"):
        row["apply"] = "propose"
    row["applicable"] = row["applicable"] and row["status"] == AITask.Status.SUCCEEDED
    row["timestamp"] = row.pop("updated_at")
    row["retry_of"] = row.pop("retry_of_id")
    row["links"] = links_of(row["id"])
    return row


def _task(task_id: UUID, user_id: int) -> QuerySet[AITask, Any]:
    return AITask.objects.owned_by(user_id).filter(pk=task_id).values(*_COLUMNS)
