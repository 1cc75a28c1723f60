"""The bodies of requests that an event loop receives: collected up to a limit, or read by a thread while they come."""

import asyncio
from io import RawIOBase
from queue import SimpleQueue
from typing import Any, Protocol

from django.conf import settings

from utils.http.uploads import GRACE_SECONDS, Pace

MAX_HELD_BYTES = 64 * 1024 * 1024
"""Limit on buffered bytes of incomplete bodies, of one process."""


class BrokenBody(Exception):
    """The body ended before its end, or its chunks are malformed."""


class TooManyBodies(Exception):
    """The process holds as much of incomplete bodies as it may."""


class Body(Protocol):
    """A body as a server gives it."""

    async def next_part(self) -> bytes:
        """The next part; empty at the end. Raises ``BrokenBody``."""


class BodyReader:
    """Collects bodies, and bounds what those that are incomplete take together."""

    def __init__(self) -> None:
        self._held = 0

    async def read(self, body: Body, length: int) -> tuple[bytes, bool]:
        """The body, and whether its rest was left unread as it is longer than the application takes.

        ``length`` is 0 if it is not known. Raises ``BrokenBody`` and ``TooManyBodies``.
        """
        limit = settings.MAX_BODY_BYTES
        if length > limit:
            return b"", True
        parts: list[bytes] = []
        size = 0
        try:
            while part := await body.next_part():
                parts.append(part)
                size += len(part)
                self._held += len(part)
                if size > limit:
                    return b"".join(parts), True
                if self._held > MAX_HELD_BYTES:
                    raise TooManyBodies
            return b"".join(parts), False
        finally:
            self._held -= size


class ArrivingBody(RawIOBase):
    """The body of an upload, read by a thread while it comes.

    Parts are fetched on demand, by the coroutine of the request: only the event loop may wait for its server.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked = asyncio.Event()
        self._is_left = False
        self._parts: SimpleQueue[bytes | OSError] = SimpleQueue()
        self._rest = b""
        self._is_over = False

    async def receive(self, body: Body) -> None:
        """Fetch parts for as long as the thread asks for them."""
        pace = Pace()
        try:
            while True:
                await self._asked.wait()
                self._asked.clear()
                if self._is_left:
                    return
                try:
                    async with asyncio.timeout(pace.seconds_left()):
                        part = await body.next_part()
                except BrokenBody:
                    self._parts.put(OSError("The body broke off."))
                except TimeoutError as error:
                    self._parts.put(error)
                else:
                    pace.received(len(part))
                    self._parts.put(part)
        finally:  # cancelled, or returned: a thread that asks once more must not wait
            self._parts.put(OSError("The body broke off."))

    def leave(self) -> None:
        """Tell ``receive`` that nobody reads any more."""
        self._is_left = True
        self._asked.set()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As much as has come; 0 at the end.

        Raises ``TimeoutError`` if it comes too slowly, and ``OSError`` if the body breaks off.
        """
        if not self._rest and not self._is_over:
            self._loop.call_soon_threadsafe(self._asked.set)
            part = self._parts.get(timeout=3 * GRACE_SECONDS)
            if isinstance(part, OSError):
                raise part
            self._rest, self._is_over = part, not part
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
