"""Lua scripts, run one at a time or several in one round trip."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import hiredis
import redis
from redis.exceptions import NoScriptError

from utils.event_loop import loop_call
from utils.redis.client import RedisUnavailable, ask, ask_surely


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


def run_guarded(*calls: ScriptCall) -> list[Any]:
    """Run scripts in one round trip, each an atomic step of its own, and return their replies.

    The order may change: a script that the server does not have yet is sent and run after the others. Raises
    ``RedisUnavailable``.
    """
    if call := loop_call():
        replies: list[Any] = call.wait_for(call.clients.run_scripts(calls))
        return replies
    return _run(ask, calls)


def run_without_reply(script: ScriptCall) -> None:
    """Run a script whose reply is not needed. If Redis is unavailable, nothing is done. An event loop runs it later."""
    if call := loop_call():
        call.clients.run_script_later(script)
        return
    with suppress(RedisUnavailable):
        run_guarded(script)


def run_surely(*calls: ScriptCall) -> list[Any]:
    """Run scripts that correctness depends on, whether or not the breaker is open, and return their replies.

    After a failure they are tried once more, so they must be scripts that may run twice. Raises ``RedisUnavailable``.
    """
    return _run(ask_surely, calls)


def _run(ask: Callable[[Sequence[bytes]], list[Any]], calls: Sequence[ScriptCall]) -> list[Any]:
    replies = ask([call.packed for call in calls])
    for number, call in enumerate(calls):
        if isinstance(replies[number], NoScriptError):  # the server was restarted or its scripts were flushed
            [replies[number]] = ask([hiredis.pack_command(("EVAL", call.source, *call.arguments))])
    for reply in replies:
        if isinstance(reply, redis.ResponseError):
            raise reply
    return replies
