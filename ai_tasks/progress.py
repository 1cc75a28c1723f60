"""Live progress of running tasks in Redis, for event streams. The task's row is authoritative.

One hash per task has the latest progress; one capped stream has all events, progress and text alike. Both are written
by one script that refuses an older attempt, so a worker that lost its lease reports nothing.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from utils.http.json import dumps
from utils.redis.client import RedisUnavailable, channel
from utils.redis.scripts import Script, ScriptCall, run_guarded
from utils.streaming.user_events import APPEND_USER_EVENT, user_stream

EVENTS_KEPT = settings.AI_STREAM_EVENTS
TTL_SECONDS = settings.AI_STREAM_SECONDS
END_EVENTS = frozenset({"task.succeeded", "task.failed", "task.cancelled"})

ENDED_KEY = "metrics:ai-tasks-ended"
"""A hash without a TTL: how many tasks have ended in each status. If Redis loses it, counting starts again at 0."""

# KEYS: the task's hash and stream, the user's stream, ENDED_KEY. ARGV: attempt, progress (-1 keeps it), message, time,
# event, data, TTL, the task's and the user's channel, cap of the task's stream, data of a restart, the status of a task
# that has ended. An attempt after the first is a restart, even if Redis has lost the data of the first.
_REPORT = Script(
    APPEND_USER_EVENT
    + """
local attempt, percent, ended = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[12]
if ended ~= '' then redis.call('HINCRBY', KEYS[4], ended, 1) end
local known = tonumber(redis.call('HGET', KEYS[1], 'attempt') or 0)
if attempt < known then return 0 end
if attempt > known then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'attempt', attempt, 'progress', 0, 'message', '', 'at', ARGV[4])
  if attempt > 1 and ended == '' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[10], '*', 'event', 'task.restarted', 'data', ARGV[11])
  end
end
if percent >= 0 then
  if percent < tonumber(redis.call('HGET', KEYS[1], 'progress')) then return 1 end
  redis.call('HSET', KEYS[1], 'progress', percent, 'message', ARGV[3], 'at', ARGV[4])
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[10], '*', 'event', ARGV[5], 'data', ARGV[6])
redis.call('EXPIRE', KEYS[1], ARGV[7])
redis.call('EXPIRE', KEYS[2], ARGV[7])
redis.call('PUBLISH', ARGV[8], '')
if ARGV[5] ~= 'task.delta' and ARGV[5] ~= 'task.restarted' then
  append_user_event(KEYS[3], ARGV[9], ARGV[5], ARGV[6], '')
end
return 1
"""
)


# KEYS: the task's hash and stream. ARGV: an attempt number that is never reached, TTL.
_BLOCK_REPORTS = Script(
    """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'progress', 0, 'message', '', 'at', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
)
_LAST_ATTEMPT = 2**31
_EVENTS_PER_ROUND_TRIP = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt is: a percentage that never falls within it, and a message for the user."""

    task_id: UUID
    user_id: int
    attempt: int
    percent: int
    message: str


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of an answer. ``offset`` counts the characters before it since the start, or the last restart, of the
    attempt's text, so that a client can detect missing text."""

    task_id: UUID
    user_id: int
    attempt: int
    offset: int
    text: str


@dataclass(frozen=True, slots=True)
class Restart:
    """The text so far is void, as it is not the answer."""

    task_id: UUID
    user_id: int
    attempt: int


@dataclass(frozen=True, slots=True)
class End:
    """The task has ended: ``succeeded``, ``failed`` or ``cancelled``."""

    task_id: UUID
    user_id: int
    attempt: int
    status: str
    message: str


Event = Progress | Delta | Restart | End


def live_key(task_id: UUID) -> str:
    return f"ai:live:{task_id}"


def events_key(task_id: UUID) -> str:
    return f"ai:events:{task_id}"


def task_channel(task_id: UUID) -> str:
    """The pub/sub channel on which new events of the task are announced."""
    return channel(f"task:{task_id}")


def report(events: Sequence[Event]) -> None:
    """Publish events of attempts, in this order and in few round trips. Raises ``RedisUnavailable``."""
    for first in range(0, len(events), _EVENTS_PER_ROUND_TRIP):
        run_guarded(*(_call_of(event) for event in events[first : first + _EVENTS_PER_ROUND_TRIP]))


def announce_end(task_id: UUID, *, user_id: int, attempt: int, status: str, message: str) -> None:
    """Publish that the task has ended, and count it.

    Without Redis it is not counted, and event streams detect its end by polling the rows.
    """
    with suppress(RedisUnavailable):
        report([End(task_id, user_id, attempt, status, message)])


def block_reports(task_ids: Iterable[UUID]) -> None:
    """Delete the progress and events of deleted tasks, and refuse further reports of their workers.

    Raises ``RedisUnavailable``.
    """
    for task_id in task_ids:
        _BLOCK_REPORTS.run(keys=[live_key(task_id), events_key(task_id)], args=[_LAST_ATTEMPT, TTL_SECONDS])


def _call_of(event: Event) -> ScriptCall:
    about: dict[str, object] = {"id": str(event.task_id), "attempt": event.attempt}
    percent, message, ended = -1, "", ""
    match event:
        case Progress():
            percent, message = event.percent, event.message
            name, data = "task.progress", {**about, "progress": percent, "message": message}
        case Delta():
            name, data = "task.delta", {**about, "offset": event.offset, "text": event.text}
        case Restart():
            name, data = "task.restarted", about
        case End():
            ended = event.status
            name, data = f"task.{ended}", {**about, "status": ended, "message": event.message}
    user_events, user_channel = user_stream(event.user_id)
    return _REPORT.call(
        keys=[live_key(event.task_id), events_key(event.task_id), user_events, ENDED_KEY],
        args=[
            event.attempt,
            percent,
            message,
            datetime.now(UTC).timestamp(),
            name,
            dumps(data),
            TTL_SECONDS,
            task_channel(event.task_id),
            user_channel,
            EVENTS_KEPT,
            dumps(about),
            ended,
        ],
    )
