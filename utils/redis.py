"""The process's one Redis client, and a breaker that keeps a dead Redis from making requests wait."""

import logging
import re
import threading
import time
from collections import deque
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.exceptions import ClusterDownError, MasterDownError, OutOfMemoryError, ReadOnlyError
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


class _Pool(redis.BlockingConnectionPool):
    """A pool that keeps some connections at hand: to look for one, and whether to count it, takes as long as a script.

    They count as in use. Half of the pool at most, so that there are always others.
    """

    def reset(self) -> None:
        """Begin anew, as after a fork: the connections are the parent's."""
        self._at_hand: deque[Any] = deque()
        super().reset()

    def take(self) -> Any:
        """A connection that is ready to be written to; give it back with :meth:`give_back`."""
        self._checkpid()
        try:
            connection = self._at_hand.pop()
        except IndexError:
            return self.get_connection()
        is_ready = False
        try:
            is_ready = _is_ready(connection)
        finally:  # also if this greenlet is ended meanwhile
            if not is_ready:
                self.release(connection)
        return connection if is_ready else self.get_connection()  # which connects it again

    def give_back(self, connection: Any) -> None:
        if connection.is_connected and len(self._at_hand) < self.max_connections // 2:
            self._at_hand.append(connection)
        else:
            self.release(connection)


def _is_ready(connection: Any) -> bool:
    """Whether the server has neither closed it nor said what nobody read."""
    try:
        return not connection.can_read()
    except (redis.ConnectionError, redis.TimeoutError):
        return False


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
                    connection_pool=_Pool.from_url(
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


def channel(name: str) -> str:
    """Name a pub/sub channel: numbered databases share their channels, so the number becomes part of the name."""
    database = _client_of_this_process().connection_pool.connection_kwargs.get("db") or 0
    return f"{database}:{name}"
