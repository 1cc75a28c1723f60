"""The clients of this process's event streams: how many there may be, and when their streams end.

A stream occupies a thread or a greenlet, so a process has a limited number of stream slots.
"""

import select
import socket
import threading
import time
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

from utils.admission.gate import Subject
from utils.http.errors import Unavailable
from utils.streaming.liveness import LivenessPoller
from utils.streaming.slots import ConcurrencyLimiter, set_send_timeout

STREAMS_PER_USER = 10
RETRY_AFTER_SECONDS = 30
CLIENT_HAS_LEFT = "noteassist.client_has_left"
"""The key in a request's ``META`` of a callable, where the server is an event loop and no socket is at hand."""
CHECKS_PER_SECOND = 100
"""How many streams of a process check their connections each second; each stream at most once."""

redis_slots = threading.BoundedSemaphore(16)
"""Limits the streams that read from Redis concurrently: waking all at once must not exhaust the connection pool."""


class TooManyStreams(Unavailable):
    """This process has no stream slot left, or the user has too many streams. Clients should poll instead."""

    code = "too_many_streams"
    detail = "Too many event streams are open. Poll instead, or try again later."

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


class _Server:
    """The state of the server process; set by gunicorn's configuration."""

    def __init__(self) -> None:
        self.is_stopping: Callable[[], bool] = lambda: False


limiter = ConcurrencyLimiter(TooManyStreams, per_user=STREAMS_PER_USER)
server = _Server()


class StreamClient:
    """The client of one stream. Holds a stream slot until :meth:`release`."""

    def __init__(
        self, request: HttpRequest, subject: Subject, *, expires_at: float, ended_sessions: LivenessPoller[Subject]
    ) -> None:
        """``expires_at``, in seconds since 1970, is when the credential expires that opened the stream.

        Raises ``TooManyStreams``.
        """
        self._socket = set_send_timeout(request)
        self._has_left: Callable[[], bool] | None = request.META.get(CLIENT_HAS_LEFT)
        limiter.acquire(subject.user_id, at_most=settings.SSE_MAX_STREAMS)
        now = time.monotonic()
        self._has_slot = True
        self._subject = subject
        self._ended_sessions = ended_sessions
        self._ended_sessions.watch(subject)
        self._ends_at = now + max(0.0, expires_at - time.time())
        self._next_hang_up_check = now

    @property
    def check_seconds(self) -> float:
        """How often :meth:`is_active` is to be called."""
        return max(1.0, len(limiter) / CHECKS_PER_SECOND)

    def is_active(self) -> bool:
        """Whether the client is connected and its session and credential are valid."""
        now = time.monotonic()
        if now >= self._ends_at or server.is_stopping():
            return False
        if now >= self._next_hang_up_check:
            self._next_hang_up_check = now + self.check_seconds
            if self._has_hung_up():
                return False
        return not self._ended_sessions.has_ended(self._subject)

    def _has_hung_up(self) -> bool:
        """Without a socket the server tells. A socket is polled: a closed connection is readable without any data."""
        if self._socket is None:
            return self._has_left is not None and self._has_left()
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        try:
            return bool(poll.poll(0)) and not self._socket.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def release(self) -> None:
        """Release the slot. May be called more than once."""
        if self._has_slot:
            limiter.release(self._subject.user_id)
            self._ended_sessions.unwatch(self._subject)
            self._has_slot = False
