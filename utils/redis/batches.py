"""Scripts of many requests in one round trip, for an event loop, where no thread may wait for each of them."""

import asyncio
import logging
from collections.abc import Sequence
from contextvars import Context
from typing import Any

import hiredis
import redis
from django.conf import settings
from redis.asyncio import ConnectionPool
from redis.exceptions import NoScriptError

from utils.redis.client import RedisUnavailable, breaker, check_run_id_command, is_failure
from utils.redis.scripts import ScriptCall

logger = logging.getLogger(__name__)

_BATCH_MAX = 64
"""Requests. The replies to so many of the largest pages have 16 MB."""

_LATE_SECONDS = 0.05
"""A timer that is so late tells that the event loop stood still, as a paused machine does."""

_Waiting = tuple[Sequence[ScriptCall], "asyncio.Future[list[Any]]"]


class Batches:
    """Runs the scripts of an event loop's requests on one connection. What is asked during a round trip waits for the
    next one.

    If a round trip fails or takes longer than ``REDIS_TIMEOUT_SECONDS``, the breaker opens and all that wait are told.
    """

    def __init__(self) -> None:
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        # Of no pool, which would do more for each batch than the batch. Without time-outs of its own for each reply: a
        # round trip has one.
        self._connection = ConnectionPool.from_url(
            settings.REDIS_URL, socket_timeout=None, redis_connect_func=_on_connect
        ).make_connection()

    def run(self, scripts: Sequence[ScriptCall]) -> "asyncio.Future[list[Any]]":
        """Run the scripts of one request, each an atomic step of its own; the result is their replies.

        Raises ``RedisUnavailable``.
        """
        answered: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append((scripts, answered))
        if self._task is None:
            # Without the context of this request, as its log lines are of many.
            self._task = asyncio.create_task(self._run_waiting(), context=Context())
        return answered

    def run_later(self, script: ScriptCall) -> None:
        """Run a script whose reply is not needed. If Redis is unavailable it is not run."""
        self.run([script]).add_done_callback(_log_bug)

    async def close(self) -> None:
        """Run what waits, and disconnect."""
        if self._task is not None:
            await self._task
        await self._connection.disconnect(nowait=True)  # all that had to be sent has its reply

    async def _run_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
            due = loop.time() + settings.REDIS_TIMEOUT_SECONDS
            timeout = asyncio.timeout(None)
            timer = loop.call_at(due, _end, timeout, due)
            try:
                async with timeout:
                    replies = iter(await self._send([script for scripts, _ in batch for script in scripts]))
            except (redis.RedisError, TimeoutError) as error:
                breaker.open()
                logger.warning("Redis did not respond: %s", str(error) or "it took too long")
                batch, self._waiting = [*batch, *self._waiting], []
                _refuse(batch, RedisUnavailable(str(error)))
            except Exception as error:  # noqa: BLE001  # given to the requests, which would wait for ever
                _refuse(batch, error)
            else:
                for scripts, answered in batch:
                    _answer(answered, [next(replies) for _ in scripts])
            finally:
                timer.cancel()
        self._task = None

    async def _send(self, scripts: Sequence[ScriptCall]) -> list[Any]:
        """The replies to the scripts, in order; a reply may be a ``ResponseError``."""
        await self._connect()
        replies = await _ask(self._connection, [script.packed for script in scripts])
        for number, script in enumerate(scripts):
            if isinstance(replies[number], NoScriptError):  # the server was restarted or its scripts were flushed
                command = hiredis.pack_command(("EVAL", script.source, *script.arguments))
                [replies[number]] = await _ask(self._connection, [command])
        return replies

    async def _connect(self) -> None:
        """Connect; anew if the server has closed the connection, or if a reply of an earlier batch came late."""
        try:
            is_closed = self._connection.is_connected and await self._connection.can_read()
        except redis.ConnectionError:
            is_closed = True
        if is_closed:
            await self._connection.disconnect(nowait=True)
        await self._connection.connect()


def _end(timeout: asyncio.Timeout, due: float) -> None:
    """Time out; a moment later if the event loop stood still, as what Redis answered meanwhile has not been read."""
    now = asyncio.get_running_loop().time()
    timeout.reschedule(now + _LATE_SECONDS if now - due > _LATE_SECONDS else now)


async def _on_connect(connection: Any) -> None:
    await connection.on_connect()
    await connection.send_command(*check_run_id_command())
    await connection.read_response()


async def _ask(connection: Any, commands: Sequence[bytes]) -> list[Any]:
    replies: list[Any] = []
    await connection.send_packed_command(b"".join(commands), check_health=False)
    for _ in commands:
        try:
            replies.append(await connection.read_response())
        except redis.ResponseError as error:
            replies.append(error)
    return replies


def _answer(answered: "asyncio.Future[list[Any]]", replies: list[Any]) -> None:
    if answered.done():  # its client has gone
        return
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            is_failing = is_failure(reply)
            if is_failing:
                breaker.open()
            answered.set_exception(RedisUnavailable(str(reply)) if is_failing else reply)
            return
    answered.set_result(replies)


def _log_bug(answered: "asyncio.Future[list[Any]]") -> None:
    error = answered.exception()
    if error is not None and not isinstance(error, RedisUnavailable):
        logger.error("A script failed.", exc_info=error)


def _refuse(batch: Sequence[_Waiting], error: Exception) -> None:
    for _, answered in batch:
        if not answered.done():
            answered.set_exception(error)
