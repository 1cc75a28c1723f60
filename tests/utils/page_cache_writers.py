"""Processes with readers and writers, whose steps the model of the page cache takes one by one."""

import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import OperationalError, connection

from utils.page_cache.invalidation import EpochBump, changing_pages_of
from utils.page_cache.lookup import CachedPage
from utils.redis.client import RedisUnavailable

USER = 7


class Killed(BaseException):
    """What a thread of a process that dies raises: nothing that it does afterwards reaches Redis."""


class Steps:
    """A call in a thread of its own that stops at each ``pause``, and goes on when it is told to."""

    _own = threading.local()

    def __init__(self, call: Callable[[], None]) -> None:
        self.is_done = False
        self.error: BaseException | None = None
        self._is_killed = False
        self._turn, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        threading.Thread(target=self._run, args=(call,), daemon=True).start()

    @classmethod
    def pause(cls) -> None:
        """Stop, in the thread of such a call; elsewhere do nothing."""
        steps: Steps | None = getattr(cls._own, "steps", None)
        if steps is not None:
            steps._stop()

    def go_on(self) -> None:
        """Let it run until it stops again or is done. Raises what it raised, but for what a broken server means."""
        self._turn.release()
        assert self._stopped.acquire(timeout=120), "It neither stops nor ends."
        if self.error is not None and not isinstance(self.error, OperationalError | RedisUnavailable | Killed):
            raise self.error

    def kill(self) -> None:
        self._is_killed = True
        while not self.is_done:
            self.go_on()

    def _stop(self) -> None:
        if not self._is_killed:
            self._stopped.release()
            self._turn.acquire()
        if self._is_killed:
            raise Killed

    def _run(self, call: Callable[[], None]) -> None:
        Steps._own.steps = self
        self._turn.acquire()
        try:
            call()
        except BaseException as error:  # noqa: BLE001  # go_on raises it
            self.error = error
        finally:
            connection.close()
            self.is_done = True
            self._stopped.release()


class Bump(EpochBump):
    def request(self) -> None:
        Steps.pause()
        super().request()


@dataclass
class Process:
    number: int
    is_connected: bool = True
    bump: EpochBump = field(default_factory=Bump)
    answered: int = 0
    """How much was written when the last writer of this process was told that it has written."""


@dataclass
class Reader:
    process: Process
    page: CachedPage
    value: int


class Writer(Steps):
    """Writes within ``changing_pages_of``, in which it stops; ``breaks``: it hears nothing of its COMMIT."""

    def __init__(self, process: Process, number: int, began: datetime) -> None:
        self.process, self.number, self.began = process, number, began
        self.is_marked = process.is_connected
        self.is_inside = self.has_written = False
        self.committed = 0
        """How much was written when it had committed; 0 before."""
        self.breaks = False
        super().__init__(self._write)

    @property
    def is_unheard(self) -> bool:
        """Whether its COMMIT failed and has yet to take effect; its process may be dead by now."""
        errors = (self.error, self.error and self.error.__context__)
        return self.is_done and not self.committed and any(isinstance(error, OperationalError) for error in errors)

    def _write(self) -> None:
        with changing_pages_of(USER):
            self.is_inside = True
            Steps.pause()
            self.is_inside, self.has_written = False, True
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")  # COMMIT waits in the trigger
                cursor.execute("INSERT INTO tests_page VALUES (%s, %s)", [self.number, self.breaks])
            if self.breaks:
                with socket.socket(fileno=os.dup(connection.connection.fileno())) as heard:
                    heard.shutdown(socket.SHUT_RD)


def written() -> int:
    """How many writes are committed: what a page shows."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM tests_page")
        return cursor.fetchone()[0]
