"""Ordinary functions in an event loop, which continues with other requests while one waits for Redis or PostgreSQL.

A function runs in a greenlet. Where it must wait, the greenlet hands an awaitable to the event loop, and continues with
its result. So a request is handled by the same code in a thread and in an event loop. Only the lowest functions know
the difference: they ask :func:`loop_call`. (SQLAlchemy's asyncio extension works in the same way.)
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context, copy_context
from typing import Any, Protocol

from greenlet import getcurrent, greenlet

_IDLE_MAX = 64
"""Greenlets of a thread that are kept for the next calls, as making one takes longer than switching to it."""


class NeedsThread(BaseException):
    """A function must run in a thread, as it would block the event loop or work for too long.

    Like ``CancelledError`` it is no error: ``except Exception`` does not catch it.
    """


class Clients(Protocol):
    """What functions in an event loop wait for."""

    def run_scripts(self, scripts: Sequence[Any]) -> Awaitable[list[Any]]:
        """The replies to the scripts of one request. Raises ``RedisUnavailable``."""

    def run_script_later(self, script: Any) -> None:
        """Run a script whose reply is not needed."""

    def fetch(self, sql: str, params: Any) -> Awaitable[list[tuple[Any, ...]]]:
        """The rows of a query, with timestamps as text. Raises the database's errors, and ``NeedsThread``."""


class LoopCall:
    """A call of a function in an event loop."""

    def __init__(self, function: Callable[[], Any], clients: Clients) -> None:
        self.function = function
        self.clients = clients
        self.statement_count = 0
        """How many statements PostgreSQL has run for it."""

    async def result(self) -> Any:
        """Run the function. Raises what it raises, and ``NeedsThread`` if it cannot run in an event loop."""
        runner = _idle.runners.pop() if _idle.runners else _Runner()
        runner.gr_context = copy_context()
        awaited = runner.switch(self)
        while not runner.is_idle:
            try:
                value = await awaited
            except BaseException as raised:  # noqa: BLE001  # raised again where the function waits
                awaited = runner.throw(raised)
            else:
                awaited = runner.switch(value)
        result, error = runner.take_outcome()
        if len(_idle.runners) < _IDLE_MAX:
            _idle.runners.append(runner)
        if error is not None:
            raise error
        return result

    def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query, with timestamps as text."""
        self.statement_count += 1
        rows: list[tuple[Any, ...]] = self.wait_for(self.clients.fetch(sql, params))
        return rows

    @staticmethod
    def wait_for(awaitable: Awaitable[Any]) -> Any:
        """Wait, in the function, for what the event loop brings about."""
        return getcurrent().parent.switch(awaitable)


class _Runner(greenlet):
    """Runs one call after the other, and hands what they wait for to the event loop's greenlet.

    While it is idle it keeps nothing of its last call: what a suspended greenlet has in its variables, or has passed to
    ``switch``, is in memory until it is switched to again.
    """

    gr_context: Context | None
    call: LoopCall
    outcome: tuple[Any, BaseException | None]
    """The result of the call, and what it raised."""

    def __init__(self) -> None:
        super().__init__(self._run)
        self.is_idle = False

    def take_outcome(self) -> tuple[Any, BaseException | None]:
        outcome = self.outcome
        del self.outcome
        self.gr_context = None
        return outcome

    def _run(self, call: LoopCall) -> None:
        while True:
            self.call, self.is_idle = call, False
            try:
                self.outcome = call.function(), None
            except BaseException as raised:  # noqa: BLE001  # raised again in the event loop
                self.outcome = None, raised
            self.is_idle = True
            del self.call, call
            call = self.parent.switch()


class _Idle(threading.local):
    def __init__(self) -> None:
        self.runners: list[_Runner] = []


_idle = _Idle()


def loop_call() -> LoopCall | None:
    """The call of an event loop that runs at present; None in a thread."""
    current = getcurrent()
    return current.call if isinstance(current, _Runner) else None


def require_thread() -> None:
    """Raise ``NeedsThread`` in an event loop: what follows would block it."""
    if isinstance(getcurrent(), _Runner):
        raise NeedsThread


def pause(seconds: float) -> None:
    """Sleep; an event loop goes on meanwhile."""
    if call := loop_call():
        call.wait_for(asyncio.sleep(seconds))
    else:
        time.sleep(seconds)
