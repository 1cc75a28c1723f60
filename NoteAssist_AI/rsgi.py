"""The WSGI application as Granian's RSGI serves it: with each header's true name, and nobody waiting for a slow body.

Granian's own WSGI joins ``X_Forwarded_For`` and ``X-Forwarded-For``, of which a client may send the one and a proxy the
other, and reads a body in a thread that waits for as long as its client likes.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from io import BytesIO, RawIOBase
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from django.conf import settings

from NoteAssist_AI import env
from NoteAssist_AI.loop_clients import LoopClients
from NoteAssist_AI.monitoring import traces
from NoteAssist_AI.refusals import Refusal
from NoteAssist_AI.uploads import GRACE_SECONDS, Pace, max_upload_bytes
from NoteAssist_AI.wsgi import application as wsgi_application
from NoteAssist_AI.wsgi import fast_reads

if TYPE_CHECKING:
    from NoteAssist_AI.before_django import FastReadMiddleware

BODY_SECONDS = env.seconds("BODY_SECONDS", 30, minimum=0.1)
UNSENT_SECONDS = 30
"""A client that takes nothing of its answer for so long is given up."""

Headers = list[tuple[str, str]]


class BrokenBody(Exception):
    """The body ended before its end, or its chunks are malformed."""


class Started:
    """What a WSGI application says before it answers."""

    status = 0
    headers: Headers

    def __call__(self, status: str, headers: Headers, exc_info: Any = None) -> None:
        self.status, self.headers = int(status.split(" ", 1)[0]), headers


class Threads:
    """Runs calls in threads for an event loop, which awaits them.

    As ``run_in_executor`` does, whose two futures a call, each with its locks, cost more than the change of threads.
    """

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"request_{number}", daemon=True).start()

    def run(self, function: Callable[..., None], *arguments: Any) -> "asyncio.Future[None]":
        done = self._loop.create_future()

        def call() -> None:
            error = None
            try:
                function(*arguments)
            except BaseException as raised:  # noqa: BLE001  # raised again where it is awaited
                error = raised
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_end, done, error)

        self._calls.put(call)
        return done

    def stop(self) -> None:
        """Let the threads end after the calls that were made."""
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            call()


def _end(done: "asyncio.Future[None]", error: BaseException | None) -> None:
    if done.done():  # nobody awaits it any more
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


class Application:
    """An RSGI application that runs a WSGI one in a pool of threads.

    ``fast_reads``, if given, is asked first, in the event loop: most requests are fast reads, and a change to a thread
    and back costs more than their responses.
    """

    def __init__(self, application: Any, threads: int, fast_reads: "FastReadMiddleware | None") -> None:
        self._application = application
        self._fast_reads = fast_reads
        self._thread_count = threads

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._threads = Threads(self._thread_count, loop)
        self._clients = LoopClients(loop)
        self._parent = os.getppid()
        loop.call_later(1, self._follow_parent)

    def _follow_parent(self) -> None:
        """A worker whose master was killed would serve on for ever."""
        if os.getppid() != self._parent:
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self._loop.call_later(1, self._follow_parent)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._threads.stop()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        headers = scope.headers
        length = headers.get("content-length", "0")
        if max_upload_bytes(scope.method, scope.path) is not None:
            if not is_framed_well(headers):
                refuse(protocol, HTTPStatus.BAD_REQUEST)
                return
            # The thread reads it as it comes. What it leaves unread must not be taken for the next request.
            arriving = ArrivingBody(self._loop)
            environ = environ_of(scope, arriving)
            answered = self._threads.run(self._answer, environ, protocol, True)
            answered.add_done_callback(lambda _: arriving.leave())
            await arriving.receive(protocol)
            await answered
            return
        body, is_cut = b"", False
        if length != "0" or "transfer-encoding" in headers:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body, is_cut = await read_body(protocol, headers, int(length))
            except TimeoutError:
                refuse(protocol, HTTPStatus.REQUEST_TIMEOUT)
                return
            except BrokenBody:
                refuse(protocol, HTTPStatus.BAD_REQUEST)
                return
        environ = environ_of(scope, BytesIO(body))
        if self._fast_reads is not None and not body and not is_cut:
            response = await self._fast_reads.respond_in_event_loop(environ, self._clients)
            if response is not None:
                status, headers, content = response
                protocol.response_bytes(status, [(name.lower(), value) for name, value in headers], content or b"")
                return
        if "HTTP_TRANSFER_ENCODING" in environ:
            environ["CONTENT_LENGTH"] = str(len(body))
        await self._threads.run(self._answer, environ, protocol, is_cut)

    def _answer(self, environ: dict[str, Any], protocol: Any, is_cut: bool) -> None:
        started = Started()
        result = self._application(environ, started)
        try:
            headers = [(name.lower(), value) for name, value in started.headers]
            if is_cut:
                headers.append(("connection", "close"))
            if isinstance(result, list) or any(name == "content-length" for name, _ in headers):
                protocol.response_bytes(started.status, headers, b"".join(result))
            else:
                self._stream(protocol, started.status, headers, result)
        finally:
            if hasattr(result, "close"):
                result.close()

    def _stream(self, protocol: Any, status: int, headers: Headers, parts: Iterable[bytes]) -> None:
        transport = protocol.response_stream(status, headers)
        for part in parts:
            if part:
                asyncio.run_coroutine_threadsafe(_send(transport, part), self._loop).result(UNSENT_SECONDS)


def refuse(protocol: Any, status: HTTPStatus) -> None:
    refusal = Refusal(status)
    protocol.response_bytes(status.value, refusal.headers, refusal.body)


async def _send(transport: Any, part: bytes) -> None:
    await transport.send_bytes(part)


async def read_body(protocol: Any, headers: Any, length: int) -> tuple[bytes, bool]:
    """The body, and whether it was left unread as it is longer than the application takes.

    Raises ``BrokenBody``.
    """
    limit = settings.MAX_BODY_BYTES
    if not is_framed_well(headers):
        raise BrokenBody
    if length > limit:
        return b"", True
    parts: list[bytes] = []
    size = ends = 0
    async for part in protocol:
        parts.append(part)
        size += len(part)
        ends += not part  # one at the end of a body, and another if it broke off
        if size > limit:
            return b"".join(parts), True
    if ends > 1:
        raise BrokenBody
    return b"".join(parts), False


def is_framed_well(headers: Any) -> bool:
    """Whether the body has one end; a proxy may read another one out of codings that nobody uses."""
    codings = [value.lower() for name, value in headers.items() if name == "transfer-encoding"]
    return codings in ([], ["chunked"])


class ArrivingBody(RawIOBase):
    """The body of an upload, read by a thread while it comes.

    The thread asks for each part, and the coroutine of the request fetches it: nothing else may wait for Granian's
    protocol, and nothing is fetched that nobody reads.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asked = asyncio.Event()
        self._is_left = False
        self._parts: SimpleQueue[bytes | OSError] = SimpleQueue()
        self._rest = b""
        self._is_over = False

    async def receive(self, protocol: Any) -> None:
        """Fetch parts for as long as the thread asks for them."""
        pace = Pace()
        parts = aiter(protocol)
        ends = 0
        while True:
            await self._asked.wait()
            self._asked.clear()
            if self._is_left:
                return
            try:
                async with asyncio.timeout(pace.seconds_left()):
                    part = b""
                    while not part:
                        part = await anext(parts)
                        ends += not part  # one at the end of a body, and another if it broke off
            except StopAsyncIteration:
                self._parts.put(b"" if ends <= 1 else OSError("The body broke off."))
                continue
            except TimeoutError as error:
                self._parts.put(error)
                continue
            pace.received(len(part))
            self._parts.put(part)

    def leave(self) -> None:
        """Nobody reads any more."""
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
            part = self._parts.get(timeout=GRACE_SECONDS + UNSENT_SECONDS)
            if isinstance(part, OSError):
                raise part
            self._rest, self._is_over = part, not part
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def environ_of(scope: Any, body: Any) -> dict[str, Any]:
    """The request as WSGI describes it (PEP 3333), without headers whose names have underscores."""
    client, _, client_port = scope.client.rpartition(":")
    host, _, port = scope.server.rpartition(":")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": host,
        "SERVER_PORT": port,
        "REMOTE_ADDR": client.strip("[]"),
        "REMOTE_PORT": client_port,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": body,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


application = Application(wsgi_application, settings.WEB_THREADS, None if traces.IS_ON else fast_reads)
