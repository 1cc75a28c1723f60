"""Ordinary functions in an event loop, which continues with other requests while one waits for Redis or PostgreSQL.

A function runs in a greenlet. Where it must wait, the greenlet hands an awaitable to the event loop, and continues with
its result. So a request is handled by the same code in a thread and in an event loop. Only the lowest functions know
the difference: they ask :func:`loop_call`. (SQLAlchemy's asyncio extension works in the same way.)
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import copy_context
from typing import Any, Protocol

from greenlet import getcurrent, greenlet


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


class LoopCall(greenlet):
    """A call of a function in an event loop."""

    def __init__(self, function: Callable[[], Any], clients: Clients) -> None:
        super().__init__(function)
        self.gr_context = copy_context()
        self.clients = clients
        self.statement_count = 0
        """How many statements PostgreSQL has run for it."""

    async def result(self) -> Any:
        """Run the function. Raises what it raises, and ``NeedsThread`` if it cannot run in an event loop."""
        awaited = self.switch()
        while not self.dead:
            try:
                value = await awaited
            except BaseException as error:  # noqa: BLE001  # raised again where the function waits
                awaited = self.throw(error)
            else:
                awaited = self.switch(value)
        return awaited

    def fetch(self, sql: str, params: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query, with timestamps as text."""
        rows: list[tuple[Any, ...]] = self.wait_for(self.clients.fetch(sql, params))
        self.statement_count += 1
        return rows

    def wait_for(self, awaitable: Awaitable[Any]) -> Any:
        """Wait, in the function, for what the event loop brings about."""
        assert self.parent is not None
        return self.parent.switch(awaitable)


def loop_call() -> LoopCall | None:
    """The call of an event loop that runs at present; None in a thread."""
    current = getcurrent()
    return current if isinstance(current, LoopCall) else None


def pause(seconds: float) -> None:
    """Sleep; an event loop goes on meanwhile."""
    if call := loop_call():
        call.wait_for(asyncio.sleep(seconds))
    else:
        time.sleep(seconds)


def require_thread() -> None:
    """Raise ``NeedsThread`` in an event loop: what follows would block it."""
    if isinstance(getcurrent(), LoopCall):
        raise NeedsThread
