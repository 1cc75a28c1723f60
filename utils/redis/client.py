"""The process's Redis client, and a circuit breaker that keeps requests from waiting while Redis is unavailable."""

import logging
import re
import threading
import time
from collections.abc import Sequence
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError
from redis.retry import Retry

from utils.event_loop import require_thread
from utils.monitoring import metrics

logger = logging.getLogger(__name__)

BREAKER_SECONDS = 1.0
"""How long a process skips Redis after a failure."""
SURE_SECONDS = 0.5
"""How long a command that correctness depends on may take, its second try included."""
SURE_STEP_SECONDS = SURE_SECONDS / 4
"""How long one step of it may take: connecting, or an answer."""

# Errors of a failing server. Other errors of Redis (a wrong type, a broken script) are bugs and are not caught.
_FAILURES = (
    redis.ConnectionError,
    redis.TimeoutError,
    ReadOnlyError,
    OutOfMemoryError,
    ClusterDownError,
    MasterDownError,
)
# The client has no class for some of them, and Redis 6.2 wraps the errors in scripts: "Error running script (…): -OOM".
_REFUSAL = re.compile(r"(?:^|: -?)(?:OOM|READONLY|MISCONF|NOREPLICAS|UNBLOCKED|MASTERDOWN|LOADING|CLUSTERDOWN)\b")

EPOCH_KEY = "pages:epoch"
_RUN_KEY = "pages:run"

# A restart from a snapshot restores old page tokens, and clients reconnect without an error. So the first connection to
# a server with another run_id sets a new epoch, which makes all pages unreachable. Keys without a TTL are not evicted.
_CHECK_RUN_ID = """
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[1]) ~= run or redis.call('EXISTS', KEYS[2]) == 0 then
  redis.call('SET', KEYS[1], run)
  redis.call('SET', KEYS[2], run .. ARGV[1])
end
"""


class RedisUnavailable(Exception):
    """Redis did not respond in time, or failed less than ``BREAKER_SECONDS`` ago."""


class Breaker:
    """Keeps a server that did not answer from making the next requests wait. Each server has its own."""

    def __init__(self) -> None:
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self._open_until

    def open(self) -> None:
        metrics.redis_failures.inc()
        self._open_until = time.monotonic() + BREAKER_SECONDS

    def close(self) -> None:
        self._open_until = 0.0


breaker = Breaker()
_client: redis.Redis | None = None
_sure_pool: redis.BlockingConnectionPool | None = None
_client_lock = threading.Lock()


def check_run_id_command() -> tuple[str | int, ...]:
    """What each new connection sends first."""
    return "EVAL", _CHECK_RUN_ID, 2, _RUN_KEY, EPOCH_KEY, str(time.time_ns())


def _on_connect(connection: Any) -> None:
    connection.on_connect()
    connection.send_command(*check_run_id_command())
    connection.read_response()


def _new_pool(*, wait_seconds: float, timeout_seconds: float) -> redis.BlockingConnectionPool:
    return redis.BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        max_connections=settings.REDIS_POOL_MAX,
        timeout=wait_seconds,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        redis_connect_func=_on_connect,
    )


def _client_of_this_process() -> redis.Redis:
    global _client
    if _client is None:
        with _client_lock:
            if _client is None:
                pool = _new_pool(
                    wait_seconds=settings.REDIS_POOL_WAIT_SECONDS, timeout_seconds=settings.REDIS_TIMEOUT_SECONDS
                )
                _client = redis.Redis(connection_pool=pool)
    return _client


def _sure_pool_of_this_process() -> redis.BlockingConnectionPool:
    global _sure_pool
    if _sure_pool is None:
        with _client_lock:
            if _sure_pool is None:
                _sure_pool = _new_pool(wait_seconds=SURE_STEP_SECONDS, timeout_seconds=SURE_STEP_SECONDS)
    return _sure_pool


def ask(commands: Sequence[bytes]) -> list[Any]:
    """Send packed commands in one round trip and return their replies; the reply to a wrong one is a ``ResponseError``.

    Uses a pooled connection directly, as the client's work around each command takes as long as the command. Raises
    :class:`RedisUnavailable`: at once while the breaker is open.
    """
    if breaker.is_open:
        raise RedisUnavailable("skipped after a recent failure")
    try:
        return _send(_client_of_this_process().connection_pool, commands)
    except redis.RedisError as error:
        _raise_if_unavailable(error)
        raise


def ask_surely(commands: Sequence[bytes]) -> list[Any]:
    """As :func:`ask`, whether or not the breaker is open; after a failure once more, on a new connection.

    Takes at most about ``SURE_SECONDS``.
    """
    require_thread()
    began = time.monotonic()
    pool = _sure_pool_of_this_process()
    try:
        try:
            return _send(pool, commands)
        except redis.RedisError as error:
            if not is_failure(error) or time.monotonic() - began > SURE_SECONDS / 2:
                raise
            return _send(pool, commands, is_new=True)
    except redis.RedisError as error:
        _raise_if_unavailable(error)
        raise


def _send(pool: Any, commands: Sequence[bytes], *, is_new: bool = False) -> list[Any]:
    """Send commands together and return their replies. Raises the first that tells of a failing server."""
    connection = pool.get_connection()
    try:
        if is_new:
            connection.disconnect()
            connection.connect()
        connection.send_packed_command([b"".join(commands)])
        replies = [_read_reply(connection) for _ in commands]
    except BaseException:
        connection.disconnect()  # or its next user would read the remaining replies
        raise
    finally:
        pool.release(connection)
    for reply in replies:
        if isinstance(reply, redis.ResponseError) and is_failure(reply):
            raise reply
    return replies


def _read_reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error


def _raise_if_unavailable(error: redis.RedisError) -> None:
    """Open the breaker and raise :class:`RedisUnavailable` if the error comes from a failing server."""
    if is_failure(error):
        breaker.open()
        logger.warning("Redis did not respond: %s", error)
        raise RedisUnavailable(str(error)) from error


def reset_client() -> None:
    """Drop the connections and close the breaker: after a fork, and in tests that change the Redis server."""
    global _client, _sure_pool
    with _client_lock:
        if _client is not None:
            _client.connection_pool.disconnect()
        if _sure_pool is not None:
            _sure_pool.disconnect()
        _client = _sure_pool = None
        breaker.close()


class redis_guard:  # in lower case, as it is used like a function; @contextmanager would take three times as long
    """Context manager that returns the client, or raises :class:`RedisUnavailable`: at once while the breaker is open.

    A failure inside the block raises it, too; commands before the failure stay executed.
    """

    def __enter__(self) -> redis.Redis:
        require_thread()
        if breaker.is_open:
            raise RedisUnavailable("skipped after a recent failure")
        return _client_of_this_process()

    def __exit__(self, error_type: Any, error: BaseException | None, traceback: Any) -> None:
        if isinstance(error, redis.RedisError):
            _raise_if_unavailable(error)


def is_failure(error: redis.RedisError) -> bool:
    """Whether the error comes from a failing server, and not from a bug."""
    return isinstance(error, _FAILURES) or (
        isinstance(error, redis.ResponseError) and _REFUSAL.search(str(error)) is not None
    )


def channel(name: str) -> str:
    """The name of a pub/sub channel. All databases of a server share their channels, so it includes the number."""
    database = _client_of_this_process().connection_pool.connection_kwargs.get("db") or 0
    return f"{database}:{name}"
