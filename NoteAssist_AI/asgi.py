"""The application as an ASGI server serves it, as the worker of gunicorn that ``gunicorn.conf.py`` names."""

import asyncio
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from django.conf import settings

from NoteAssist_AI import wsgi  # first: it sets Django up
from NoteAssist_AI.loop_application import EventLoopApplication, Headers, environ_of
from NoteAssist_AI.request_bodies import BrokenBody


class AsgiRequest:
    """One request of an ASGI server's."""

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self._receive = receive
        self._send = send
        self._is_whole = False
        self._is_head = scope["method"] == "HEAD"
        client, server = scope["client"] or ("", ""), scope["server"] or ("", "")
        self.environ = environ_of(
            method=scope["method"],
            path=_path_of(scope["raw_path"]),
            query=scope["query_string"].decode("latin-1"),
            version=scope["http_version"],
            scheme=scope["scheme"],
            client=(client[0], str(client[1])),
            server=(server[0], str(server[1])),
            headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
        )

    async def next_part(self) -> bytes:
        while not self._is_whole:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise BrokenBody
            self._is_whole = not message.get("more_body", False)
            if part := message.get("body", b""):
                return part
        return b""

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        await self.begin_response(status, headers)
        await self._send({"type": "http.response.body", "body": b"" if self._is_head else body})

    async def begin_response(self, status: int, headers: Headers) -> None:
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": int(status), "headers": encoded})

    async def send(self, part: bytes) -> None:
        if not self._is_head:
            await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def end_response(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


class AsgiApplication:
    """An ASGI application, of HTTP alone."""

    def __init__(self, application: EventLoopApplication) -> None:
        self._application = application

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await self._application.handle(AsgiRequest(scope, receive, send))
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close"})

    async def _live(self, receive: Any, send: Any) -> None:
        await receive()
        self._application.start(asyncio.get_running_loop())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._application.stop()
        await send({"type": "lifespan.shutdown.complete"})


def _path_of(raw_path: bytes) -> str:
    """As PEP 3333 has it: decoded bytes, of which each is one character."""
    if not raw_path.startswith(b"/") and b"://" in raw_path:  # a whole URI, which a proxy may be sent
        raw_path = urlsplit(raw_path).path
    return (unquote_to_bytes(raw_path) if b"%" in raw_path else raw_path).decode("latin-1")


application = AsgiApplication(EventLoopApplication(wsgi.application, settings.WEB_THREADS, wsgi.event_loop_reads))
