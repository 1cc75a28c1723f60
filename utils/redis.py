"""The process's one Redis client, and a breaker that keeps a dead Redis from making requests wait."""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import hiredis
import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, MasterDownError, NoScriptError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

logger = logging.getLogger(__name__)

BREAKER_SECONDS = 1.0
"""How long a process skips Redis after a failure."""

# What a failing server looks like. Other errors of Redis (a wrong type, a broken script) are bugs of ours and pass.
_FAILURES = (
    redis.ConnectionError,
    redis.TimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
    ClusterDownError,
    MasterDownError,
)
# For some the client has no class, and Redis 6.2 wraps what a script meets: "Error running script (…): … -OOM …".
_REFUSAL = re.compile(r"(?:^|: -?)(?:OOM|READONLY|MISCONF|NOREPLICAS|MASTERDOWN|LOADING|CLUSTERDOWN)\b")

EPOCH_KEY = "pages:epoch"
_RUN_KEY = "pages:run"

# A restart from a snapshot brings back old page tokens without any client noticing: the first connection to a server of
# another run_id makes every page unreachable. Neither key has a TTL, so neither is evicted.
_MEET_SERVER = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[1]) ~= run or redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[1], run)
  redis.call('SET', KEYS[2], run .. ARGV[1])
end
"""


class RedisUnavailable(Exception):
    """Redis did not answer in time, or did not a moment ago."""


class _Breaker:
    def __init__(self) -> None:
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def open(self) -> None:
        self._open_until = time.monotonic() + BREAKER_SECONDS

    def close(self) -> None:
        self._open_until = 0.0


breaker = _Breaker()
_client: redis.Redis | None = None
_client_lock = threading.Lock()


def _meet_server(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("EVAL", _MEET_SERVER, 2, _RUN_KEY, EPOCH_KEY, str(time.time_ns()))
    connection.read_response()


def _client_of_this_process() -> redis.Redis:
    global _client
    if _client is None:
        with _client_lock:
            if _client is None:
                _client = redis.Redis(
                    connection_pool=redis.BlockingConnectionPool.from_url(
                        settings.REDIS_URL,
                        max_connections=settings.REDIS_POOL_MAX,
                        timeout=settings.REDIS_POOL_WAIT_SECONDS,
                        socket_timeout=settings.REDIS_TIMEOUT_SECONDS,
                        socket_connect_timeout=settings.REDIS_TIMEOUT_SECONDS,
                        retry=Retry(NoBackoff(), 0),
                        redis_connect_func=_meet_server,
                    )
                )
    return _client


def reset_client() -> None:
    """Forget connections and breaker: after a fork, and in tests that move Redis."""
    global _client
    with _client_lock:
        if _client is not None:
            _client.connection_pool.disconnect()
        _client = None
        breaker.close()


class redis_guard:  # used as a function; a generator would take three times as long, for every request
    """Give the client, or raise :class:`RedisUnavailable`: at once while the breaker is open, else after a time-out.

    A block stands for one thing that may fail as a whole; what was written before the failure stays written.
    """

    def __enter__(self) -> redis.Redis:
        if breaker.is_open:
            raise RedisUnavailable("skipped after a recent failure")
        return _client_of_this_process()

    def __exit__(self, error_type: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, redis.RedisError) and is_failure(error):
            breaker.open()
            logger.warning("Redis did not answer: %s", error)
            raise RedisUnavailable(str(error)) from error


def is_failure(error: redis.RedisError) -> bool:
    """Whether this is what a failing server answers, and no bug of ours."""
    return isinstance(error, _FAILURES) or (
        isinstance(error, redis.ResponseError) and _REFUSAL.search(str(error)) is not None
    )


class Script:
    """A Lua script: one atomic step, one round trip."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, *, keys: Sequence[str | bytes] = (), args: Sequence[Any] = ()) -> "ScriptCall":
        return ScriptCall((self._sha, len(keys), *keys, *args), self._source)

    def run(self, client: redis.Redis, *, keys: Sequence[str | bytes] = (), args: Sequence[Any] = ()) -> Any:
        return run_together(client, self.call(keys=keys, args=args))[0]


class ScriptCall(NamedTuple):
    """A script with its arguments, not run yet."""

    arguments: tuple[Any, ...]
    source: str


def run_together(client: redis.Redis, *calls: ScriptCall) -> list[Any]:
    """Run scripts in one round trip, each an atomic step of its own, and return their answers.

    They may be run in another order: one that the server does not know is told to it and run after the others. Talks to
    a pooled connection itself: what a client does around each command takes as long as the command.
    """
    answers = _ask(client, [("EVALSHA", *call.arguments) for call in calls])
    for number, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        if isinstance(answer, NoScriptError):  # the server has started or was flushed
            [answers[number]] = _ask(client, [("EVAL", call.source, *call.arguments[1:])])
    for answer in answers:
        if isinstance(answer, redis.ResponseError):
            raise answer
    return answers


def _ask(client: redis.Redis, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Send commands together; an error that the server answers is an answer."""
    pool = client.connection_pool
    connection = pool.get_connection()
    try:
        connection.send_packed_command([b"".join(map(hiredis.pack_command, commands))])
        return [_answer(connection) for _ in commands]
    finally:
        pool.release(connection)  # which a failure has disconnected


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def channel(name: str) -> str:
    """Name a pub/sub channel: numbered databases share their channels, so the number becomes part of the name."""
    database = _client_of_this_process().connection_pool.connection_kwargs.get("db") or 0
    return f"{database}:{name}"
