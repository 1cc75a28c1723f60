"""The event stream of one task: past events, live events, and its end.

Progress and text come from Redis. The end is read from the row, once an entry of the Redis stream announces it. That
entry may be evicted or never written, so the rows of all watched tasks are also polled, in one query.
"""

import logging
from collections.abc import Iterable
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from rest_framework.request import Request

from accounts.views.streams import StreamView, client_of, stream_schema
from ai_tasks.models import AITask
from ai_tasks.progress import END_EVENTS, events_key, task_channel
from ai_tasks.serializers import TaskEventDataSerializer, TaskSerializer
from utils.http.json import dumps
from utils.query_optimization import HasKey, QueryOptimizer
from utils.streaming.clients import StreamClient
from utils.streaming.liveness import DATABASE_UNAVAILABLE, LivenessPoller
from utils.streaming.slots import release_connection
from utils.streaming.sse import (
    START,
    EventStream,
    StreamEntry,
    format_event,
    requested_last_event_id,
    stream_response,
)

logger = logging.getLogger(__name__)

ROWS_CHECK_SECONDS = 5.0


def _unfinished(task_ids: list[UUID]) -> Iterable[UUID]:
    return AITask.objects.filter(pk__in=task_ids, status__in=AITask.UNFINISHED).values_list("pk", flat=True)


ended_tasks = LivenessPoller(_unfinished, seconds=ROWS_CHECK_SECONDS)


class TaskStream(EventStream):
    """The events of one task until its end. While Redis is unavailable, the end is still detected from the row."""

    outlives_redis = True

    def __init__(self, client: StreamClient, *, task: AITask, owner: HasKey, after: str) -> None:
        super().__init__(client, key=events_key(task.pk), channel=task_channel(task.pk), after=after)
        self.has_ended = task.is_terminal
        self._task_id = task.pk
        self._owner = owner
        ended_tasks.watch(task.pk)
        self._is_watching = True

    def close(self) -> None:
        super().close()
        if self._is_watching:
            ended_tasks.unwatch(self._task_id)
            self._is_watching = False

    def check_end(self) -> None:
        self.has_ended = self.has_ended or ended_tasks.has_ended(self._task_id)

    def render(self, entry: StreamEntry) -> bytes:
        if entry.event in END_EVENTS:
            self.has_ended = True
            return b""
        return super().render(entry)

    def last_event(self) -> bytes | None:
        try:
            task = QueryOptimizer.get_task_detail(self._task_id, self._owner)
        except AITask.DoesNotExist:
            return b""
        except DATABASE_UNAVAILABLE as error:
            logger.warning("The end of task %s could not be read: %s", self._task_id, error)
            return None
        finally:
            release_connection()
        if not task.is_terminal:
            return None
        return format_event(id=end_id(task), event=f"task.{task.status}", data=dumps(TaskSerializer(task).data))


def end_id(task: AITask) -> str:
    """The id of a task's last event, the same in every process."""
    return f"{task.attempt}-end"


class TaskEventsView(StreamView):
    """Progress and text of one task, then its end."""

    @stream_schema(
        operation_id="streamTask",
        data=TaskEventDataSerializer,
        events={
            "task.progress": "TaskProgressEvent",
            "task.delta": "TaskDeltaEvent",
            "task.restarted": "TaskRestartedEvent",
            "task.succeeded": "Task",
            "task.failed": "Task",
            "task.cancelled": "Task",
        },
    )
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """Stream a task.

        Its progress and text from the beginning, or after the last event id, then live. The last event is its end, with
        the same data as `getTask`; then the stream closes. A client that reconnects with the id of the last event gets
        a 204, which tells an `EventSource` not to reconnect.
        """
        task = QueryOptimizer.get_task_detail(pk, request.user)
        after = requested_last_event_id(request)
        if task.is_terminal and after == end_id(task):
            return HttpResponse(status=204)
        if not after or after.endswith("-end"):
            after = START
        return stream_response(TaskStream(client_of(request), task=task, owner=request.user, after=after))
