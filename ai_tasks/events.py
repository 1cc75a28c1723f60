"""The events of one task: as they were, as they come, and its end.

Progress and text come from Redis. The end comes from the row, whoever tells of it: an entry of the Redis stream, or,
where that was evicted or Redis was never told, a look at the rows of all watched tasks together.
"""

import logging
import threading
import time
from collections import Counter
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse, HttpResponseBase
from psycopg_pool import PoolTimeout
from rest_framework.request import Request

from accounts.stream_access import StreamView, client_of, stream_schema
from ai_tasks.models import AITask
from ai_tasks.progress import END_EVENTS, events_key, task_channel
from ai_tasks.serializers import TaskSerializer
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
IDS_PER_QUERY = 1000
_DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)


class EndedTasks:
    """Which of the tasks that this process streams have ended, by their rows.

    Whoever asks first after ``ROWS_CHECK_SECONDS`` looks for all: the number of streams adds no queries.
    """

    def __init__(self) -> None:
        self._watched: Counter[UUID] = Counter()
        self._ended: set[UUID] = set()
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._next_look = 0.0

    def watch(self, task_id: UUID) -> None:
        with self._lock:
            if not self._watched:
                self._next_look = time.monotonic() + ROWS_CHECK_SECONDS
            self._watched[task_id] += 1

    def forget(self, task_id: UUID) -> None:
        with self._lock:
            self._watched[task_id] -= 1
            if self._watched[task_id] <= 0:
                del self._watched[task_id]
                self._ended.discard(task_id)

    def has_ended(self, task_id: UUID) -> bool:
        """Whether the task was over at the latest look; one whose row is gone is over, too."""
        if time.monotonic() >= self._next_look and self._looking.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._looking.release()
        return task_id in self._ended

    def _look(self) -> None:
        self._next_look = time.monotonic() + ROWS_CHECK_SECONDS
        with self._lock:
            watched = list(self._watched)
        unfinished: set[UUID] = set()
        try:
            for first in range(0, len(watched), IDS_PER_QUERY):
                some = AITask.objects.filter(
                    pk__in=watched[first : first + IDS_PER_QUERY], status__in=AITask.UNFINISHED
                )
                unfinished.update(some.values_list("pk", flat=True))
        except _DATABASE_AWAY as error:
            logger.warning("The rows of streamed tasks could not be read: %s", error)
            return
        finally:
            release_connection()
        with self._lock:
            self._ended.update(task_id for task_id in watched if task_id in self._watched and task_id not in unfinished)


ended_tasks = EndedTasks()


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
        except _DATABASE_AWAY as error:
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
