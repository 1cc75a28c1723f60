"""Who may read an event stream of this process, and for how long.

A stream holds a place in its process: there are few where it holds a thread, many where it is a greenlet.
"""

import select
import socket
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

from utils.admission import Subject
from utils.ended_rows import EndedRows
from utils.exceptions import Unavailable
from utils.long_answers import Places, bound_sending

PLACES_PER_USER = 10
RETRY_AFTER_SECONDS = 30
CHECKS_PER_SECOND = 100
"""How many streams of a process may look after their clients each second: each does so at most once."""

redis_turns = threading.BoundedSemaphore(16)
"""Held while a stream asks Redis: what wakes all of them at once must not exhaust the pool of connections."""


class TooManyStreams(Unavailable):
    """This process has no place left, or the user has had their share. Clients poll instead."""

    code = "too_many_streams"
    detail = "Too many event streams are open. Poll instead, or come back later."

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


class _Server:
    """What the server's configuration tells about its process."""

    def __init__(self) -> None:
        self.is_stopping: Callable[[], bool] = lambda: False


places = Places(TooManyStreams)
server = _Server()


class StreamClient:
    """The reader of one stream. Has a place in this process until :meth:`leave`."""

    def __init__(
        self, request: HttpRequest, subject: Subject, *, expires_at: float, ended_sessions: EndedRows[Subject]
    ) -> None:
        """``expires_at``, in seconds since 1970, is the end of what opened the stream.

        Raises ``TooManyStreams``.
        """
        self._socket = bound_sending(request)
        places.take(subject.user_id, at_most=settings.SSE_MAX_STREAMS, per_user=PLACES_PER_USER)
        now = time.monotonic()
        self._has_place = True
        self._subject = subject
        self._ended_sessions = ended_sessions
        self._ended_sessions.watch(subject)
        self._ends_at = now + max(0.0, expires_at - time.time())
        self._next_hang_up_check = now

    @property
    def check_seconds(self) -> float:
        """How long :meth:`is_there` need not be asked."""
        return max(1.0, len(places) / CHECKS_PER_SECOND)

    def is_there(self) -> bool:
        """Whether there is still somebody to whom more may be sent."""
        now = time.monotonic()
        if now >= self._ends_at or server.is_stopping():
            return False
        if now >= self._next_hang_up_check:
            self._next_hang_up_check = now + self.check_seconds
            if self._has_hung_up():
                return False
        return not self._ended_sessions.has_ended(self._subject)

    def _has_hung_up(self) -> bool:
        """A client that has gone leaves its end of the connection readable, and nothing there to read."""
        if self._socket is None:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        try:
            return bool(poll.poll(0)) and not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def leave(self) -> None:
        """Give the place back. Twice does no harm."""
        if self._has_place:
            places.leave(self._subject.user_id)
            self._ended_sessions.forget(self._subject)
            self._has_place = False
