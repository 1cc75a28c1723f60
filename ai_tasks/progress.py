"""How far a running task is, in Redis: for people to watch. The row knows the truth.

One hash per task holds the latest progress and one capped stream holds every event, progress and text alike. Both are
written by one script that refuses an older attempt, so a worker that lost its lease tells nobody anything.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from utils.json import dumps
from utils.redis import RedisUnavailable, channel, redis_guard
from utils.redis_scripts import Script, ScriptCall, run_together

EVENTS_KEPT = settings.AI_STREAM_EVENTS
USER_EVENTS_KEPT = 200
TTL_SECONDS = settings.AI_STREAM_SECONDS
END_EVENTS = frozenset({"task.succeeded", "task.failed", "task.cancelled"})

# KEYS: the task's hash and stream, the user's stream. ARGV: attempt, progress (-1 keeps it), message, time, event,
# data, TTL, the task's and the user's channel, caps of both streams, data of a restart, 1 for the end. Redis may have
# lost what it knew of the first attempt: the second one is a restart all the same.
_REPORT = Script(
    """
local attempt, percent = tonumber(ARGV[1]), tonumber(ARGV[2])
local known = tonumber(redis.call('HGET', KEYS[1], 'attempt') or 0)
if attempt < known then return 0 end
if attempt > known then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], 'attempt', attempt, 'progress', 0, 'message', '', 'at', ARGV[4])
  if attempt > 1 and ARGV[13] == '0' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[10], '*', 'event', 'task.restarted', 'data', ARGV[12])
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
if ARGV[5] ~= 'task.delta' then
  redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[11], '*', 'event', ARGV[5], 'data', ARGV[6])
  redis.call('EXPIRE', KEYS[3], ARGV[7])
  redis.call('PUBLISH', ARGV[9], '')
end
return 1
"""
)


# KEYS: the task's hash and stream. ARGV: an attempt that none will reach, TTL.
_SILENCE = Script(
    """
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'attempt', ARGV[1], 'progress', 0, 'message', '', 'at', 0)
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""
)
_NO_ATTEMPT = 2**31
_DELTAS_TOGETHER = 50


@dataclass(frozen=True, slots=True)
class Delta:
    """More text of an answer. ``offset`` is how many characters the attempt wrote before: by it a watcher notices that
    it has missed some."""

    task_id: UUID
    user_id: int
    attempt: int
    offset: int
    text: str


def live_key(task_id: UUID) -> str:
    return f"ai:live:{task_id}"


def events_key(task_id: UUID) -> str:
    return f"ai:events:{task_id}"


def task_channel(task_id: UUID) -> str:
    """Where new events of the task are announced."""
    return channel(f"task:{task_id}")


def user_events_key(user_id: int) -> str:
    return f"events:user:{user_id}"


def user_channel(user_id: int) -> str:
    return channel(f"user:{user_id}")


def report_progress(task_id: UUID, *, user_id: int, attempt: int, percent: int, message: str) -> None:
    """Tell watchers how far the attempt is; within one attempt progress never falls. Raises ``RedisUnavailable``."""
    data = {"id": str(task_id), "attempt": attempt, "progress": percent, "message": message}
    _report(task_id, user_id, attempt, "task.progress", data, percent, message)


def report_delta(task_id: UUID, *, user_id: int, attempt: int, offset: int, text: str) -> None:
    """Send more of the answer's text to watchers. Raises ``RedisUnavailable``."""
    report_deltas([Delta(task_id, user_id, attempt, offset, text)])


def report_deltas(deltas: Sequence[Delta]) -> None:
    """Send more text of several answers, at most one piece of each, in few round trips. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        for first in range(0, len(deltas), _DELTAS_TOGETHER):
            run_together(client, *(_delta_call(delta) for delta in deltas[first : first + _DELTAS_TOGETHER]))


def _delta_call(delta: Delta) -> ScriptCall:
    data = {"id": str(delta.task_id), "attempt": delta.attempt, "offset": delta.offset, "text": delta.text}
    return _report_call(delta.task_id, delta.user_id, delta.attempt, "task.delta", data)


def announce_end(task_id: UUID, *, user_id: int, attempt: int, status: str, message: str) -> None:
    """Tell watchers that the task is over; without Redis they learn it from the row."""
    data = {"id": str(task_id), "attempt": attempt, "status": status, "message": message}
    try:
        _report(task_id, user_id, attempt, f"task.{status}", data)
    except RedisUnavailable:
        return


def silence(task_ids: Iterable[UUID]) -> None:
    """Remove what was told about these tasks; a worker that does not know yet that its task is gone tells no more.

    Raises ``RedisUnavailable``.
    """
    with redis_guard() as client:
        for task_id in task_ids:
            _SILENCE.run(client, keys=[live_key(task_id), events_key(task_id)], args=[_NO_ATTEMPT, TTL_SECONDS])


def _report(
    task_id: UUID, user_id: int, attempt: int, event: str, data: dict[str, object], percent: int = -1, message: str = ""
) -> None:
    with redis_guard() as client:
        run_together(client, _report_call(task_id, user_id, attempt, event, data, percent, message))


def _report_call(
    task_id: UUID, user_id: int, attempt: int, event: str, data: dict[str, object], percent: int = -1, message: str = ""
) -> ScriptCall:
    return _REPORT.call(
        keys=[live_key(task_id), events_key(task_id), user_events_key(user_id)],
        args=[
            attempt,
            percent,
            message,
            datetime.now(UTC).timestamp(),
            event,
            dumps(data),
            TTL_SECONDS,
            task_channel(task_id),
            user_channel(user_id),
            EVENTS_KEPT,
            USER_EVENTS_KEPT,
            dumps({"id": str(task_id), "attempt": attempt}),
            int(event in END_EVENTS),
        ],
    )
