"""gunicorn's worker of `web`: an event loop that bounds what slow and silent clients take."""

import asyncio
import os
import socket
import sys
from collections import OrderedDict
from contextlib import suppress
from enum import Enum
from http import HTTPStatus
from traceback import extract_tb, format_exc
from typing import Any

from gunicorn.asgi.lifespan import LifespanManager
from gunicorn.asgi.protocol import ASGIProtocol
from gunicorn.workers.gasgi import ASGIWorker

from NoteAssist_AI.client_limits import BODY_SECONDS, CLOSING_SECONDS, DISCARDED_MAX, HEADER_SECONDS, UNSENT_SECONDS
from utils.http.refusals import CODES, Refusal

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADS_BYTES = 64 * 1024 * 1024
"""Limit on buffered bytes of incomplete heads, of one process."""
ACCEPTED_AT_ONCE = 16
_TICK_SECONDS = 0.5
_LAST_REQUEST_SECONDS = 2
"""How long an idle connection may take to begin a request when the worker stops."""
_SHUTDOWN_SECONDS = 2
"""Of ``graceful_timeout``, at whose end gunicorn kills the worker: for the application's own end."""
_END_OF_HEAD = b"\r\n\r\n"
_LAST = (b"connection", b"close")


class Stage(Enum):
    """What a connection waits for while the application does nothing for it."""

    FIRST_BYTE = "the first byte of a request"
    HEAD = "the rest of a head"
    CLOSE = "the client's end of a connection"
    SPACE = "a client that takes what was sent"


class LingeringTransport:
    """A transport whose ``close`` lets the client read what was sent.

    To close at once, with bytes of the client's unread, would reset the connection, and the client lose the response.
    """

    def __init__(self, transport: Any, connection: "Connection") -> None:
        self._transport = transport
        self._connection = connection
        self.write = transport.write
        self.writelines = transport.writelines

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        self._connection.begin_close()


class Connection(ASGIProtocol):
    """gunicorn's connection, with time limits for each thing that it waits for."""

    worker: "WebWorker"

    def __init__(self, worker: "WebWorker") -> None:
        super().__init__(worker)
        self.app = self.carry_out
        self.stage: Stage | None = None
        self.is_busy = False
        self.is_receiving = False
        self.calls = 0
        """Of the application. The next request's may begin a moment before the one of a streamed response ends."""
        self.is_ending = False
        self.discarded_bytes = 0
        self.began_at = 0.0
        """When the last call of the application did."""
        self.head_bytes = 0
        self.last_bytes = b""
        self.unsent_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(LingeringTransport(transport, self))
        self.wait(Stage.FIRST_BYTE)
        if self.worker.nr_conns > self.worker.worker_connections:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        self.proceed()
        self.is_ending = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.is_ending:
            self.discarded_bytes += len(data)
            if self.stage is Stage.CLOSE and self.may_read_on():
                self.wait(Stage.CLOSE)
            return
        if not self.is_busy:
            self._count_head(data)
        self.is_receiving = True
        super().data_received(data)
        self.is_receiving = False

    def may_read_on(self) -> bool:
        """Whether a client that has its last response may send more."""
        is_in_time = self.worker.loop.time() < self.began_at + BODY_SECONDS
        return self.worker.alive and is_in_time and self.discarded_bytes < DISCARDED_MAX

    def _feed_callback_parser(self, data: bytes) -> bool:
        """Parse, and tell whether to go on.

        gunicorn calls this for what it receives, and again for what came behind a request, once that is answered.
        """
        if self.is_ending:
            return False
        if not self.is_receiving:
            self._count_head(data)
        try:
            goes_on = super()._feed_callback_parser(data)
        except ValueError:  # a length of more digits than Python reads; gunicorn would drop the connection
            self.refuse(HTTPStatus.BAD_REQUEST, "length")
            return False
        if self.stage is Stage.HEAD and self.head_bytes > MAX_HEAD_BYTES:
            self.refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self.stage is Stage.HEAD and self.worker.head_bytes > MAX_HEADS_BYTES:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        return goes_on and not self.is_ending

    def _count_head(self, data: bytes) -> None:
        """Tells only how long to wait. Where a head ends, gunicorn's parser says."""
        if _END_OF_HEAD in self.last_bytes + data[:3] or _END_OF_HEAD in data:
            self.proceed()
            self.is_busy = True
            return
        if self.stage is not Stage.HEAD:
            self.wait(Stage.HEAD)
        self.head_bytes += len(data)
        self.worker.head_bytes += len(data)
        self.last_bytes = (self.last_bytes + data)[-3:]

    async def carry_out(self, scope: Any, receive: Any, send: Any) -> None:
        """Call the application. Ends the connection if the application says so, which gunicorn does not."""
        if self.is_ending:
            return
        self.proceed()
        self.is_busy = True
        self.calls += 1
        self.began_at = self.worker.loop.time()
        is_last = False

        async def send_noting(message: Any) -> None:
            nonlocal is_last
            if message["type"] == "http.response.start" and _LAST in message["headers"]:
                is_last = True
            await send(message)

        try:
            await self.worker.asgi(scope, receive, send_noting)
        finally:
            self.calls -= 1
            self.is_busy = bool(self.calls)
            if is_last:
                self.begin_close()
                await discard(receive)
            elif self.stage is None and not self.is_ending and not self.is_busy:
                self.wait(Stage.FIRST_BYTE)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.wait(Stage.SPACE)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.stage is Stage.SPACE:
            self.proceed()
            if self.is_ending:
                self.wait(Stage.CLOSE)
            elif not self.is_busy:
                self.wait(Stage.FIRST_BYTE)

    def begin_close(self) -> None:
        """End sending, and wait for the client's end; what it still sends is discarded."""
        if self.is_ending:
            return
        self.is_ending = True
        self.transport.resume_reading()
        with suppress(OSError):
            self.transport.write_eof()
        if self.stage is not Stage.SPACE:
            self.wait(Stage.CLOSE)

    def refuse(self, status: HTTPStatus, why: str = "limit") -> None:
        self.send_refusal(status, why)
        self.begin_close()

    def _send_error_response(self, status: int, message: str, extra_headers: Any = ()) -> None:
        """In the one shape of errors. gunicorn's own is plain text, which may quote the request."""
        known = HTTPStatus(status) if HTTPStatus(status) in CODES else HTTPStatus.BAD_REQUEST
        self.send_refusal(known, type(sys.exception()).__name__)

    def send_refusal(self, status: HTTPStatus, why: str) -> None:
        if self.is_ending:
            return
        refusal = Refusal(status)
        fields = {"status": status.value, "why": why, "request_id": refusal.request_id}
        self.log.info("refused", extra={"fields": fields})
        self.transport.write(refusal.as_bytes())

    def wait(self, stage: Stage) -> None:
        self.proceed()
        self.stage = stage
        if stage is Stage.SPACE:
            self.unsent_bytes = self.transport.get_write_buffer_size()
        self.worker.waiting[stage][self] = self.worker.loop.time() + self.worker.patience[stage]

    def proceed(self) -> None:
        """Wait no longer."""
        if self.stage is not None:
            del self.worker.waiting[self.stage][self]
            self.stage = None
            self.worker.head_bytes -= self.head_bytes
            self.head_bytes, self.last_bytes = 0, b""

    def give_up(self) -> None:
        """The time is over for what this waits for."""
        stage, unsent = self.stage, self.transport.get_write_buffer_size()
        self.proceed()
        if stage is Stage.HEAD:
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif stage is Stage.FIRST_BYTE:
            self.begin_close()
        elif (stage is Stage.CLOSE and unsent) or (stage is Stage.SPACE and unsent < self.unsent_bytes):
            self.wait(Stage.SPACE)
        else:
            self.transport.abort()


class WebWorker(ASGIWorker):
    """gunicorn's worker of asyncio, whose connections have time limits, and which stops at once when it is told to.

    gunicorn's waits for a half-sent head or an idle connection without end, also when it stops, and accepts more
    connections than it is told.
    """

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections of one stage wait for the same time, so the first to come is the first whose time is over.
        self.waiting: dict[Stage, OrderedDict[Connection, float]] = {stage: OrderedDict() for stage in Stage}
        self.patience = {
            Stage.FIRST_BYTE: self.cfg.keepalive,
            Stage.HEAD: HEADER_SECONDS,
            Stage.CLOSE: CLOSING_SECONDS,
            Stage.SPACE: UNSENT_SECONDS,
        }
        self.head_bytes = 0
        self.is_told = asyncio.Event()
        self.is_hurried = False

    def load_wsgi(self) -> None:
        """Load the application. Where code is reloaded, an error in it is answered and waits for the next change."""
        try:
            self.app.wsgi()  # whatever the command names, and Django with it
            from NoteAssist_AI.asgi import application

            self.asgi = application
        except Exception as error:
            if self.reloader is None:
                raise
            self.log.exception("The application could not be loaded.")
            for frame in extract_tb(error.__traceback__):
                self.reloader.add_extra_file(frame.filename)
            if isinstance(error, SyntaxError) and error.filename:
                self.reloader.add_extra_file(error.filename)
            self.asgi = failing_application(format_exc())

    def handle_exit_signal(self) -> None:
        super().handle_exit_signal()
        self.is_told.set()

    def handle_quit_signal(self) -> None:
        super().handle_quit_signal()
        self.is_hurried = True
        self.is_told.set()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self.serve())

    async def serve(self) -> None:
        """Until it is told to stop, or its master was killed."""
        lifespan = LifespanManager(self.asgi, self.log, self.state)
        await lifespan.startup()
        # asyncio accepts as many connections at a time as this backlog is long. With a longer one, one worker would
        # take them all; with a shorter one a crowd would wait.
        self.servers = [
            await self.loop.create_server(lambda: Connection(self), sock=listener.sock, backlog=ACCEPTED_AT_ONCE)
            for listener in self.sockets
        ]
        for listener in self.sockets:
            listener.sock.listen(self.cfg.backlog)
        while self.alive and self.is_parent_alive():
            self.notify()
            self.give_up_late_ones()
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self.is_told.wait()
        self.alive = False
        deadline = self.loop.time() + self.cfg.graceful_timeout - _SHUTDOWN_SECONDS
        await self.stop_accepting()
        await self.drain(deadline)
        await lifespan.shutdown()

    def is_parent_alive(self) -> bool:
        return self.ppid == os.getppid()

    async def stop_accepting(self) -> None:
        """Close the listeners, and take the connections that the kernel has accepted already."""
        for listener, server in zip(self.sockets, self.servers, strict=True):
            while client := accepted(listener.sock):
                await self.loop.connect_accepted_socket(lambda: Connection(self), client)
            server.close()
        await asyncio.sleep(_TICK_SECONDS)  # asyncio counts a connection some turns after it has accepted it

    async def drain(self, deadline: float) -> None:
        """Finish the requests that have begun; idle connections have a moment for one that is on its way."""
        self.patience[Stage.FIRST_BYTE] = min(_LAST_REQUEST_SECONDS, self.cfg.keepalive)
        for connection in list(self.waiting[Stage.FIRST_BYTE]):
            connection.wait(Stage.FIRST_BYTE)
        while self.nr_conns and self.loop.time() < deadline and not self.is_hurried:
            self.notify()
            self.give_up_late_ones()
            await asyncio.sleep(0.05)

    def give_up_late_ones(self) -> None:
        now = self.loop.time()
        for waiting in self.waiting.values():
            while waiting and next(iter(waiting.values())) <= now:
                next(iter(waiting)).give_up()


def accepted(listener: socket.socket) -> socket.socket | None:
    """A connection that waits to be accepted, if there is one."""
    try:
        client, _ = listener.accept()
    except (BlockingIOError, ConnectionAbortedError):
        return None
    client.setblocking(False)
    return client


async def discard(receive: Any) -> None:
    """Drop what has come of a body, which gunicorn would keep until its connection ends."""
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            while (await receive()).get("more_body"):
                pass


def failing_application(reason: str) -> Any:
    """An ASGI application that answers with what is wrong with ours."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for end in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{end}.complete"})
        elif scope["type"] == "http":
            headers = [(b"content-type", b"text/plain; charset=utf-8")]
            await send({"type": "http.response.start", "status": 500, "headers": headers})
            await send({"type": "http.response.body", "body": reason.encode()})

    return application
