"""The application as Granian's RSGI serves it: with each header's true name, and nobody waiting for a slow body.

Granian's own WSGI joins ``X_Forwarded_For`` and ``X-Forwarded-For``, of which a client may send the one and a proxy the
other, and reads a body in a thread that waits for as long as its client likes.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Any

from django.conf import settings

from NoteAssist_AI import wsgi  # first: it sets Django up
from NoteAssist_AI.client_limits import BODY_SECONDS, CLOSING_SECONDS, DISCARDED_MAX, UNSENT_SECONDS
from NoteAssist_AI.loop_application import EventLoopApplication, Headers, environ_of
from NoteAssist_AI.request_bodies import BrokenBody

_SENT_SECONDS = 1
"""By when a response has been sent. On a slower machine its client gets a needless ``100 Continue``, too."""


class RsgiRequest:
    """One request of Granian's."""

    def __init__(self, scope: Any, protocol: Any) -> None:
        self._protocol = protocol
        self._parts: Any = None
        self._is_whole = False
        self._began_at = time.monotonic()
        client, _, client_port = scope.client.rpartition(":")
        host, _, port = scope.server.rpartition(":")
        self.environ = environ_of(
            method=scope.method,
            path=scope.path.encode().decode("latin-1"),
            query=scope.query_string,
            version=scope.http_version,
            scheme=scope.scheme,
            client=(client.strip("[]"), client_port),
            server=(host, port),
            headers=scope.headers.items(),
        )

    async def next_part(self) -> bytes:
        if self._parts is None:
            self._parts = aiter(self._protocol)
        ends = 0
        try:
            while not (part := await anext(self._parts)):
                ends += 1  # one at the end of a body, and another if it broke off
        except StopAsyncIteration:
            self._is_whole = True
            if ends > 1:
                raise BrokenBody from None
            return b""
        return part

    @property
    def has_unread_body(self) -> bool:
        return not self._is_whole and (
            "HTTP_TRANSFER_ENCODING" in self.environ or self.environ.get("CONTENT_LENGTH", "0") != "0"
        )

    async def read_on(self) -> None:
        """Let the client read a response that was sent before all of its body was read.

        To close the connection with bytes of the client's unread would reset it, and the client, or a proxy before us,
        lose the response.
        """
        if self._parts is None and "HTTP_EXPECT" in self.environ:
            # Granian sends ``100 Continue`` if it is asked for a body before it has sent the response.
            await asyncio.sleep(_SENT_SECONDS)
        until, discarded = self._began_at + BODY_SECONDS, 0
        with suppress(TimeoutError, BrokenBody):
            while not self._is_whole and discarded < DISCARDED_MAX:
                async with asyncio.timeout(CLOSING_SECONDS):
                    discarded += len(await self.next_part())
                if time.monotonic() > until:
                    return

    def let_go(self) -> None:
        """Drop what keeps the connection open: Granian closes it as soon as nothing refers to its body.

        Else it would stay until this is collected: a time-out's traceback refers to its frames, and they to this.
        """
        del self._protocol, self._parts

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self._protocol.response_bytes(status, headers, body)

    async def begin_response(self, status: int, headers: Headers) -> None:
        self._transport = self._protocol.response_stream(status, headers)

    async def send(self, part: bytes) -> None:
        async with asyncio.timeout(UNSENT_SECONDS):
            await self._transport.send_bytes(part)

    async def end_response(self) -> None:
        del self._transport  # by which Granian ends the response


class RsgiApplication:
    """An RSGI application."""

    def __init__(self, application: EventLoopApplication) -> None:
        self._application = application

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._application.start(loop)
        self._parent = os.getppid()
        loop.call_later(1, self._follow_parent)

    def _follow_parent(self) -> None:
        """A worker whose master was killed would serve on for ever."""
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._loop.call_later(1, self._follow_parent)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.run_until_complete(self._application.stop())

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        request = RsgiRequest(scope, protocol)
        try:
            await self._application.handle(request)
            if request.has_unread_body:
                await request.read_on()
        finally:
            request.let_go()


application = RsgiApplication(EventLoopApplication(wsgi.application, settings.WEB_THREADS, wsgi.event_loop_reads))
