"""Server-sent events from Redis streams, in any process and for any number of clients.

An open event stream holds no connection to the database or to Redis while it waits.
"""

import random
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from django.conf import settings
from django.http import StreamingHttpResponse
from rest_framework.request import Request

from utils.http.errors import ApplicationError
from utils.redis.client import RedisUnavailable, redis_guard
from utils.redis.pubsub import listener
from utils.streaming.clients import StreamClient, redis_slots
from utils.streaming.slots import release_connection

MEDIA_TYPE = "text/event-stream"
START = "0-0"
"""The id before a stream's first entry."""

RETRY_MILLISECONDS = (1000, 5000)
"""The range of reconnection delays of clients, so that they do not all reconnect at once."""
ENTRIES_PER_READ = 200
POLL_SECONDS = (1.0, 3.0)
"""How often a stream polls Redis while it receives no messages."""
WITHOUT_REDIS_SECONDS = 30
"""How long a stream stays open while Redis is unavailable."""

_HEARTBEAT = b":\n\n"
_EVENT_ID = re.compile(r"[0-9]{1,19}-([0-9]{1,19}|end)")


class InvalidLastEventId(ApplicationError):
    code = "invalid_last_event_id"
    detail = "The last event id is invalid."


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """An entry of a Redis stream: the name of an event and its JSON."""

    id: str
    event: str
    data: bytes


def format_event(*, id: str, event: str, data: bytes) -> bytes:
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (id.encode(), event.encode(), data.replace(b"\n", b"\ndata: "))


def requested_last_event_id(request: Request) -> str:
    """The id of the last event that the client received, or an empty string.

    The header takes precedence over ``?last_event_id=``: an ``EventSource`` reconnects to its original URL, in which
    the parameter is outdated. Raises ``InvalidLastEventId``.
    """
    last_event_id = request.headers.get("Last-Event-ID") or request.query_params.get("last_event_id", "")
    if last_event_id and not _EVENT_ID.fullmatch(last_event_id):
        raise InvalidLastEventId
    return last_event_id


def read_entries(key: str, after: str) -> list[StreamEntry]:
    """The next entries of a Redis stream, at most ``ENTRIES_PER_READ``. Raises ``RedisUnavailable``."""
    with redis_slots, redis_guard() as client:
        rows = client.xrange(key, min=f"({after}", count=ENTRIES_PER_READ)
    found = cast(list[tuple[bytes, dict[bytes, bytes]]], rows)
    return [StreamEntry(row_id.decode(), fields[b"event"].decode(), fields[b"data"]) for row_id, fields in found]


def read_last_id(key: str) -> str:
    """The id of a Redis stream's last entry, ``START`` if it is empty. Raises ``RedisUnavailable``."""
    with redis_slots, redis_guard() as client:
        rows = cast(list[tuple[bytes, Any]], client.xrevrange(key, count=1))
    return rows[0][0].decode() if rows else START


class EventStream:
    """The body of one event stream: sends the entries of a Redis stream that follow ``after``. Must be closed.

    A subclass may end the stream: it sets ``has_ended``, and :meth:`last_event` is then sent as the last event.
    """

    outlives_redis = False
    """Whether the stream stays open while Redis is unavailable; if not, it ends, so that its client polls."""

    def __init__(self, client: StreamClient, *, key: str, channel: str, after: str) -> None:
        self.has_ended = False
        self._client = client
        self._key = key
        self._after = after
        self._subscription = listener.subscribe(channel)
        self._may_have_entries = True
        self._redis_lost_at: float | None = None

    def close(self) -> None:
        self._subscription.close()
        self._client.release()

    def __iter__(self) -> Iterator[bytes]:
        yield b"retry: %d\n\n" % random.randint(*RETRY_MILLISECONDS)
        sent_at = time.monotonic()
        while self._client.is_active():
            self.check_end()  # before reading, so that all entries before the end are sent
            for chunk in self._read():
                yield chunk
                sent_at = time.monotonic()
            if self.has_ended and (last := self.last_event()) is not None:
                yield last
                return
            if self._has_given_up():
                return
            silence = time.monotonic() - sent_at
            if silence >= settings.SSE_HEARTBEAT_SECONDS:
                yield _HEARTBEAT
                sent_at, silence = time.monotonic(), 0.0
            self._wait(settings.SSE_HEARTBEAT_SECONDS - silence)

    def check_end(self) -> None:
        """Set ``has_ended`` if another source than Redis shows the end. Called often, so it must be cheap."""

    def last_event(self) -> bytes | None:
        """The event that ends the stream; None if it is not available yet."""
        return b""

    def render(self, entry: StreamEntry) -> bytes:
        """The event of an entry; empty if there is none."""
        return format_event(id=entry.id, event=entry.event, data=entry.data)

    def _read(self) -> Iterator[bytes]:
        while self._may_have_entries or self.has_ended:
            try:
                entries = read_entries(self._key, self._after)
            except RedisUnavailable:
                self._redis_lost_at = self._redis_lost_at or time.monotonic()
                return
            self._redis_lost_at = None
            self._may_have_entries = len(entries) == ENTRIES_PER_READ
            if entries:
                self._after = entries[-1].id
                if chunk := b"".join(map(self.render, entries)):
                    yield chunk
            if not self._may_have_entries:
                return

    def _has_given_up(self) -> bool:
        if self._redis_lost_at is None or self.outlives_redis:
            return False
        return time.monotonic() - self._redis_lost_at >= WITHOUT_REDIS_SECONDS

    def _wait(self, seconds: float) -> None:
        if self._redis_lost_at is not None or not listener.is_connected:
            self._subscription.wait(random.uniform(*POLL_SECONDS))
            self._may_have_entries = True
        elif self._subscription.wait(min(seconds, self._client.check_seconds)):
            self._may_have_entries = True


def stream_response(stream: EventStream) -> StreamingHttpResponse:
    """The response of an event stream. It may stay open for minutes, so the database connection is released first."""
    release_connection()
    return StreamingHttpResponse(
        stream, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
