"""What the serializers of a task show, at a fraction of their cost. Tests hold them together."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from ai_tasks.models import AITask
from ai_tasks.serializers import links_of
from utils.compiled_reads import Row, read_rows
from utils.query_optimization import QueryOptimizer, UserKey

_SHOWN = (
    "id", "request_type", "status", "progress", "message", "request_data", "topic_id", "apply", "provider", "model",
    "cached", "attempt", "applied_at", "created_at", "started_at", "finished_at", "result",
)  # fmt: skip
_REARRANGED = (
    "updated_at", "retry_of_id", "error_code", "error_detail", "input_tokens", "output_tokens", "usage_estimated",
)  # fmt: skip
_COLUMNS = _SHOWN + _REARRANGED


def detail(task_id: UUID, *, user_id: int) -> Row:
    """The user's task as ``TaskSerializer`` shows it: one query. Raises ``AITask.DoesNotExist``."""
    rows = read_rows("task", _task, task_id=task_id, user_id=user_id)
    if not rows:
        raise AITask.DoesNotExist
    return _as_shown(rows[0])


def accepted(task: AITask) -> Row:
    """A task as the answer to its submission shows it: no query."""
    return {"task_id": task.pk, **_as_shown({name: getattr(task, name) for name in _COLUMNS})}


def _as_shown(row: Row) -> Row:
    code, detail = row.pop("error_code"), row.pop("error_detail")
    row["error"] = {"code": code, "detail": detail} if code else None
    row["usage"] = {
        "input_tokens": row.pop("input_tokens"),
        "output_tokens": row.pop("output_tokens"),
        "estimated": row.pop("usage_estimated"),
    }
    row["timestamp"] = row.pop("updated_at")
    row["retry_of"] = row.pop("retry_of_id")
    row["links"] = links_of(row["id"])
    return row


def _task(task_id: UUID, user_id: int) -> QuerySet[AITask, Any]:
    return QueryOptimizer.get_task(task_id, UserKey(user_id)).values(*_COLUMNS)
