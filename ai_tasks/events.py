"""The events of one task: as they were, as they come, and its end.

Progress and text come from Redis. The end comes from the row, whoever tells of it: an entry of the Redis stream, or,
where that was evicted or Redis was never told, a look at the rows of all watched tasks together.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from accounts.stream_access import StreamView, client_of, stream_schema
from ai_tasks.models import AITask
from ai_tasks.progress import END_EVENTS, events_key, task_channel
from ai_tasks.serializers import TaskSerializer
from utils.ended_rows import DATABASE_AWAY, EndedRows
from utils.json import dumps
from utils.long_answers import release_connection
from utils.query_optimization import HasKey, QueryOptimizer
from utils.sse import (
    START,
    Entry,
    EventStream,
    format_event,
    requested_last_event_id,
    stream_response,
)
from utils.sse_clients import StreamClient

logger = logging.getLogger(__name__)

ROWS_CHECK_SECONDS = 5.0


def _unfinished(task_ids: list[UUID]) -> Iterable[UUID]:
    return AITask.objects.filter(pk__in=task_ids, status__in=AITask.UNFINISHED).values_list("pk", flat=True)


ended_tasks = EndedRows(_unfinished, seconds=ROWS_CHECK_SECONDS)


class TaskStream(EventStream):
    """The events of one task, to the last. Without Redis the end still comes, from the row."""

    outlives_redis = True

    def __init__(self, client: StreamClient, *, task: AITask, owner: HasKey, after: str) -> None:
        super().__init__(client, key=events_key(task.pk), channel=task_channel(task.pk), after=after)
        self.is_over = task.is_terminal
        self._task_id = task.pk
        self._owner = owner
        ended_tasks.watch(task.pk)
        self._is_watching = True

    def close(self) -> None:
        super().close()
        if self._is_watching:
            ended_tasks.forget(self._task_id)
            self._is_watching = False

    def check_end(self) -> None:
        self.is_over = self.is_over or ended_tasks.has_ended(self._task_id)

    def render(self, entry: Entry) -> bytes:
        if entry.event in END_EVENTS:
            self.is_over = True
            return b""
        return super().render(entry)

    def last_event(self) -> bytes | None:
        try:
            task = QueryOptimizer.get_task_detail(self._task_id, self._owner)
        except AITask.DoesNotExist:
            return b""
        except DATABASE_AWAY as error:
            logger.warning("The end of task %s could not be read: %s", self._task_id, error)
            return None
        finally:
            release_connection()
        if not task.is_terminal:
            return None
        return format_event(id=end_id(task), event=f"task.{task.status}", data=dumps(TaskSerializer(task).data))


def end_id(task: AITask) -> str:
    """The id of a task's last event, the same whoever sends it."""
    return f"{task.attempt}-end"


class TaskEventsView(StreamView):
    """Progress and text of one task, then its end, with all that `GET` on the task shows.

    Sends what was told so far, or what followed the last event id; then goes on live. Events: `task.progress`,
    `task.delta`, `task.restarted` (another attempt begins: forget the text so far), and last `task.succeeded`,
    `task.failed` or `task.cancelled`. A client that comes back with the id of the last one gets 204, which tells an
    `EventSource` to stay away.
    """

    @stream_schema(operation_id="ai_tasks_events")
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        task = QueryOptimizer.get_task_detail(pk, request.user)
        after = requested_last_event_id(request)
        if task.is_terminal and after == end_id(task):
            return HttpResponse(status=204)
        if not after or after.endswith("-end"):
            after = START
        return stream_response(TaskStream(client_of(request), task=task, owner=request.user, after=after))
