"""Lua scripts: run one by one, several in one round trip, or with the next round trip that there is anyway."""

import hashlib
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import hiredis
import redis
from redis.exceptions import NoScriptError

from utils.redis import RedisUnavailable, redis_guard

logger = logging.getLogger(__name__)

LATER_SECONDS = 0.01
"""How long a script may wait for a round trip to go with."""
_MOST_WAITING = 16


class Script:
    """A Lua script: one atomic step, one round trip."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, *, keys: Sequence[str | bytes] = (), args: Sequence[Any] = ()) -> "ScriptCall":
        arguments = (len(keys), *keys, *args)
        return ScriptCall(hiredis.pack_command(("EVALSHA", self._sha, *arguments)), self._source, arguments)

    def run(self, client: redis.Redis, *, keys: Sequence[str | bytes] = (), args: Sequence[Any] = ()) -> Any:
        return run_together(client, self.call(keys=keys, args=args))[0]


class ScriptCall(NamedTuple):
    """A script with its arguments, not run yet."""

    packed: bytes
    source: str
    arguments: tuple[Any, ...]


def run_together(client: redis.Redis, *calls: ScriptCall) -> list[Any]:
    """Run scripts in one round trip, each an atomic step of its own, and return their answers.

    They may be run in another order: one that the server does not know is told to it and run after the others. Talks to
    a pooled connection itself: what a client does around each command takes as long as the command.
    """
    later = waiting.take()
    calls = (*later, *calls)
    answers = _ask(client, [call.packed for call in calls])
    for number, (call, answer) in enumerate(zip(calls, answers, strict=True)):
        if isinstance(answer, NoScriptError):  # the server has started or was flushed
            [answers[number]] = _ask(client, [hiredis.pack_command(("EVAL", call.source, *call.arguments))])
    for answer in answers[: len(later)]:
        if isinstance(answer, redis.ResponseError):
            logger.error("A script that nobody waits for failed: %s", answer)
    for answer in answers[len(later) :]:
        if isinstance(answer, redis.ResponseError):
            raise answer
    return answers[len(later) :]


def run_later(call: ScriptCall) -> None:
    """Run a script whose answer nobody needs, with this process's next round trip, as a rule before what that asks.

    It waits for ``LATER_SECONDS`` at most, and is lost if the process ends or Redis does not answer meanwhile: for what
    may be lost. An error is logged.
    """
    waiting.add(call)


class WaitingCalls:
    """What waits for a round trip, and the thread that makes one if no other does."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as after a fork: the calls are the parent's, and so is the thread."""
        self._calls: deque[ScriptCall] = deque()
        self._has_calls = threading.Event()
        self._start = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, call: ScriptCall) -> None:
        self._calls.append(call)
        if len(self._calls) > _MOST_WAITING:
            self.run()
        elif not self._has_calls.is_set():
            self._has_calls.set()
            self._start_thread()

    def take(self) -> list[ScriptCall]:
        taken: list[ScriptCall] = []
        while self._calls:
            try:
                taken.append(self._calls.popleft())
            except IndexError:
                break  # another thread took the last one
        return taken

    def _start_thread(self) -> None:
        with self._start:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run_always, name="redis-later", daemon=True)
                self._thread.start()

    def _run_always(self) -> None:
        while True:
            self._has_calls.wait()
            self._has_calls.clear()
            time.sleep(LATER_SECONDS)
            if self._calls:
                self.run()

    def run(self) -> None:
        """Make a round trip for them now."""
        try:
            with redis_guard() as client:
                run_together(client)
        except RedisUnavailable:
            self._calls.clear()


waiting = WaitingCalls()
os.register_at_fork(after_in_child=waiting.forget)


def _ask(client: redis.Redis, commands: Sequence[bytes]) -> list[Any]:
    """Send commands together; an error that the server answers is an answer."""
    pool: Any = client.connection_pool
    connection = pool.take()
    try:
        connection.send_packed_command([b"".join(commands)])
        return [_answer(connection) for _ in commands]
    except BaseException:
        connection.disconnect()  # or the next to take it would read what is still to come
        raise
    finally:
        pool.give_back(connection)


def _answer(connection: Any) -> Any:
    try:
        return connection.read_response()
    except redis.ResponseError as error:
        return error
