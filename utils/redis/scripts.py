"""Lua scripts, run one at a time or several in one round trip."""

import hashlib
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import hiredis
import redis
from redis.exceptions import NoScriptError

from utils.event_loop import loop_call
from utils.redis.client import SURE_SECONDS, RedisUnavailable, breaker, is_failure, redis_guard, sure_pool

logger = logging.getLogger(__name__)


class Script:
    """A Lua script: one atomic step, one round trip."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, *, keys: Sequence[str | bytes] = (), args: Sequence[Any] = ()) -> "ScriptCall":
        arguments = (len(keys), *keys, *args)
        return ScriptCall(hiredis.pack_command(("EVALSHA", self._sha, *arguments)), self._source, arguments)

    def run(self, *, keys: Sequence[str | bytes] = (), args: Sequence[Any] = ()) -> Any:
        """Run it now, and return its reply. Raises ``RedisUnavailable``."""
        return run_guarded(self.call(keys=keys, args=args))[0]


class ScriptCall(NamedTuple):
    """A script with its arguments, not run yet."""

    packed: bytes
    source: str
    arguments: tuple[Any, ...]


def run_together(client: redis.Redis, *calls: ScriptCall) -> list[Any]:
    """Run scripts in one round trip, each an atomic step of its own, and return their replies.

    The order may change: a script that the server does not have yet is sent and run after the others. Uses a pooled
    connection directly, as the client's work around each command takes as long as the command.
    """
    if call := loop_call():
        replies: list[Any] = call.wait_for(call.clients.run_scripts(calls))
        return replies
    return _run(client.connection_pool, calls)


def run_guarded(*calls: ScriptCall) -> list[Any]:
    """As :func:`run_together`, by the process's client. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        return run_together(client, *calls)


def run_without_reply(script: ScriptCall) -> None:
    """Run a script whose reply is not needed. If Redis is unavailable, nothing is done. An event loop runs it later."""
    if call := loop_call():
        call.clients.run_script_later(script)
        return
    with suppress(RedisUnavailable):
        run_guarded(script)


def run_surely(*calls: ScriptCall) -> list[Any]:
    """Run scripts that correctness depends on, whether or not the breaker is open, and return their replies.

    After a failure they are tried once more, on a new connection, so they must be scripts that may run twice. Takes at
    most about ``SURE_SECONDS``. Raises ``RedisUnavailable``.
    """
    began = time.monotonic()
    pool = sure_pool()
    try:
        try:
            return _run(pool, calls)
        except redis.RedisError as error:
            if not is_failure(error) or time.monotonic() - began > SURE_SECONDS / 2:
                raise
            return _run(pool, calls, is_new=True)
    except redis.RedisError as error:
        if not is_failure(error):
            raise
        breaker.open()
        logger.warning("Redis did not answer: %s", error)
        raise RedisUnavailable(str(error)) from error


def _run(pool: Any, calls: Sequence[ScriptCall], *, is_new: bool = False) -> list[Any]:
    replies = _send(pool, [call.packed for call in calls], is_new=is_new)
    for number, call in enumerate(calls):
        if isinstance(replies[number], NoScriptError):  # the server was restarted or its scripts were flushed
            [replies[number]] = _send(pool, [hiredis.pack_command(("EVAL", call.source, *call.arguments))])
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
    return replies


def _send(pool: Any, commands: Sequence[bytes], *, is_new: bool = False) -> list[Any]:
    """Send commands together and return their replies; a reply may be a ``ResponseError``."""
    connection = pool.get_connection()
    try:
        if is_new:
            connection.disconnect()
            connection.connect()
        connection.send_packed_command([b"".join(commands)])
        return [_read_reply(connection) for _ in commands]
    except BaseException:
        connection.disconnect()  # or its next user would read the remaining replies
        raise
    finally:
        pool.release(connection)


def _read_reply(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
