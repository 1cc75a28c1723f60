"""Requests that an event loop receives: light reads are answered there, all others by the WSGI application in threads.

So nobody waits for a slow client. ``rsgi`` and ``asgi`` adapt it to Granian and to gunicorn.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import CancelledError, Future
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from NoteAssist_AI.client_limits import BODY_SECONDS
from NoteAssist_AI.loop_clients import LoopClients
from NoteAssist_AI.request_bodies import ArrivingBody, Body, BodyReader, BrokenBody, TooManyBodies
from utils.http.refusals import Refusal
from utils.http.uploads import max_upload_bytes
from utils.streaming.clients import CLIENT_HAS_LEFT

if TYPE_CHECKING:
    from NoteAssist_AI.before_django import FastReadMiddleware

T = TypeVar("T")
Headers = list[tuple[str, str]]
Response = tuple[int, Headers, bytes]
_Environ = dict[str, Any]


class ServerRequest(Body, Protocol):
    """One request, and its response, as the adapter of a server gives it. Names of headers are in lower case."""

    environ: _Environ
    """All of WSGI's environ but for ``wsgi.input``."""

    async def respond(self, status: int, headers: Headers, body: bytes) -> None: ...

    async def begin_response(self, status: int, headers: Headers) -> None:
        """Begin a response whose parts follow by ``send``, until ``end_response``."""

    async def send(self, part: bytes) -> None:
        """Send a part. Raises ``OSError`` if the client has gone, unless the server then cancels the request."""

    async def end_response(self) -> None: ...


class Threads(Generic[T]):
    """Runs calls in threads for an event loop, which awaits their results.

    Without run_in_executor's two futures per call, which with their locks cost more than the change of threads.
    """

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._count = count
        for number in range(count):
            threading.Thread(target=self._work, name=f"request_{number}", daemon=True).start()

    def run(self, function: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        done = self._loop.create_future()

        def call() -> None:
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:  # noqa: BLE001  # raised again where it is awaited
                error = raised
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(_end, done, result, error)

        self._calls.put(call)
        return done

    def stop(self) -> None:
        """Let the threads end after the calls that were made."""
        for _ in range(self._count):
            self._calls.put(None)

    def _work(self) -> None:
        while call := self._calls.get():
            call()
            del call  # or a thread without work would keep its last request and response


def _end(done: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
    if done.done():  # nobody awaits it any more
        return
    if error is None:
        done.set_result(result)
    else:
        done.set_exception(error)


class Started:
    """The status and headers of a WSGI response, from ``start_response``."""

    status = 0
    headers: Headers

    def __call__(self, status: str, headers: Headers, exc_info: Any = None) -> None:
        self.status, self.headers = int(status.split(" ", 1)[0]), [(name.lower(), value) for name, value in headers]


class ClientGone(Exception):
    """The client has left, or takes nothing, in the middle of its response."""


class EventLoopApplication:
    """Handles the requests of one process.

    ``fast_reads``, if given, is asked first, in the event loop: most requests are fast reads, and a change to a thread
    and back costs more than their responses.
    """

    def __init__(self, application: Any, threads: int, fast_reads: "FastReadMiddleware | None") -> None:
        self._application = application
        self._fast_reads = fast_reads
        self._thread_count = threads
        self._bodies = BodyReader()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """To be called in the event loop, before the first request."""
        self._loop = loop
        self._threads: Threads[Response | None] = Threads(self._thread_count, loop)
        self._clients = LoopClients(loop)

    async def stop(self) -> None:
        """To be called in the event loop, after the last request."""
        self._threads.stop()
        await self._clients.close()

    async def handle(self, request: ServerRequest) -> None:
        environ = request.environ
        if environ.get("HTTP_EXPECT", "100-continue").lower() != "100-continue":
            await refuse(request, HTTPStatus.EXPECTATION_FAILED)
            return
        # A proxy might parse unusual codings differently.
        coding = environ.get("HTTP_TRANSFER_ENCODING")
        if coding is not None and coding.lower() != "chunked":
            await refuse(request, HTTPStatus.BAD_REQUEST)
            return
        if max_upload_bytes(environ["REQUEST_METHOD"], environ["PATH_INFO"]) is not None:
            await self._handle_upload(request)
            return
        body, is_cut = b"", False
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length or coding:
            try:
                async with asyncio.timeout(BODY_SECONDS):
                    body, is_cut = await self._bodies.read(request, length)
            except (TimeoutError, BrokenBody, TooManyBodies) as error:
                await refuse(request, _REFUSALS[type(error)])
                return
        environ["wsgi.input"] = BytesIO(body)
        if self._fast_reads is not None and not body and not is_cut:
            response = await self._fast_reads.respond_in_event_loop(environ, self._clients)
            if response is not None:
                status, headers, content = response
                await request.respond(status, [(name.lower(), value) for name, value in headers], content or b"")
                return
        if coding:
            environ["CONTENT_LENGTH"] = str(len(body))
        await self._respond_in_thread(request, ends_connection=is_cut)

    async def _handle_upload(self, request: ServerRequest) -> None:
        """The thread reads it as it comes. What it leaves unread must not be taken for the next request."""
        arriving = ArrivingBody(self._loop)
        request.environ["wsgi.input"] = arriving
        answered = asyncio.ensure_future(self._respond_in_thread(request, ends_connection=True))
        answered.add_done_callback(lambda _: arriving.leave())
        try:
            await arriving.receive(request)
            await answered
        finally:
            answered.cancel()  # unless it has ended

    async def _respond_in_thread(self, request: ServerRequest, *, ends_connection: bool) -> None:
        parts = _Parts(request, self._loop)
        request.environ[CLIENT_HAS_LEFT] = lambda: parts.is_client_gone
        try:
            response = await self._threads.run(self._call, request.environ, parts, ends_connection)
        except ClientGone:
            return
        finally:
            parts.leave()  # if this was cancelled, while the thread sends
        if response is not None:
            await request.respond(*response)

    def _call(self, environ: _Environ, parts: "_Parts", ends_connection: bool) -> Response | None:
        """In a thread: the response; None if it was sent part by part."""
        started = Started()
        result = self._application(environ, started)
        try:
            headers = started.headers
            if ends_connection:
                headers.append(("connection", "close"))
            if isinstance(result, list) or any(name == "content-length" for name, _ in headers):
                return started.status, headers, b"".join(result)
            parts.send(started.status, headers, result)
            return None
        finally:
            if hasattr(result, "close"):
                result.close()


_REFUSALS = {
    TimeoutError: HTTPStatus.REQUEST_TIMEOUT,
    BrokenBody: HTTPStatus.BAD_REQUEST,
    TooManyBodies: HTTPStatus.SERVICE_UNAVAILABLE,
}


async def refuse(request: ServerRequest, status: HTTPStatus) -> None:
    refusal = Refusal(status)
    await request.respond(status.value, refusal.headers, refusal.body)


class _Parts:
    """The response that a thread sends part by part."""

    def __init__(self, request: ServerRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self._loop = loop
        self._sending: Future[None] | None = None
        self.is_client_gone = False

    def send(self, status: int, headers: Headers, parts: Iterable[bytes]) -> None:
        """Raises ``ClientGone``."""
        self._run(self.request.begin_response(status, headers))
        for part in parts:
            if part:
                self._run(self.request.send(part))
        self._run(self.request.end_response())

    def leave(self) -> None:
        """In the event loop: nobody takes any more parts."""
        self.is_client_gone = True
        if self._sending is not None:
            self._sending.cancel()

    def _run(self, coroutine: Any) -> None:
        self._sending = asyncio.run_coroutine_threadsafe(self._unless_gone(coroutine), self._loop)
        try:
            self._sending.result()
        except (OSError, CancelledError) as error:
            raise ClientGone from error

    async def _unless_gone(self, coroutine: Any) -> None:
        if self.is_client_gone:
            coroutine.close()
            raise ClientGone
        await coroutine


@lru_cache(maxsize=512)
def _variable_of(header: str) -> str | None:
    """The name in WSGI's environ; None if the header's has underscores, as it might stand for another one."""
    if "_" in header:
        return None
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"


def environ_of(
    *,
    method: str,
    path: str,
    query: str,
    version: str,
    scheme: str,
    client: tuple[str, str],
    server: tuple[str, str],
    headers: Iterable[tuple[str, str]],
) -> _Environ:
    """The request as WSGI describes it (PEP 3333), without headers whose names have underscores.

    ``path`` is decoded as Latin-1; ``client`` and ``server`` are addresses and ports.
    """
    environ: _Environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": f"HTTP/{version}",
        "SERVER_NAME": server[0],
        "SERVER_PORT": server[1],
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": client[1],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in headers:
        key = _variable_of(name)
        if key is not None:
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ
