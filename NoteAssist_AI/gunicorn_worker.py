"""gunicorn's threaded worker, for thousands of keep-alive connections and slow clients."""

import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from traceback import extract_tb, format_exc
from typing import Any

from gunicorn import util
from gunicorn.http import get_parser
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn, ThreadWorker

from NoteAssist_AI import env
from NoteAssist_AI.arriving_request import ArrivingRequest, Missing, RequestTooLarge
from NoteAssist_AI.gunicorn_refusals import Refusing, send
from NoteAssist_AI.refusals import Refusal
from NoteAssist_AI.uploads import Pace

HEADER_SECONDS = env.seconds("HEADER_SECONDS", 10, minimum=0.1)
BODY_SECONDS = env.seconds("BODY_SECONDS", 30, minimum=0.1)
UNSENT_SECONDS = 30
"""A client that takes nothing of its answer for so long is given up."""
CLOSING_SECONDS = 2
MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Of all requests together that are not whole yet, in one process."""

_READ_BYTES = 64 * 1024


class Stage(Enum):
    """What a connection waits for that no thread looks after."""

    FIRST_BYTE = "first byte"
    HEAD = "head"
    BODY = "body"
    CLOSE = "close"


class Connection(TConn):
    """gthread's connection, and what has come of its next request."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", UNSENT_SECONDS, 0))
        self.initialized = True  # without TLS there is nothing else that gthread would begin
        self.request = ArrivingRequest()
        self.stage: Stage | None = None
        self.is_told_to_continue = False

    def begin_request(self) -> None:
        """Let gunicorn parse what came, and nothing else, or it would wait for more where nobody does.

        The body of an upload goes on to come while it is read.
        """
        received = bytes(self.request.received)
        parts = self._upload(received) if self.request.is_upload else [received]
        self.parser = get_parser(self.cfg, parts, self.client)

    def _upload(self, received: bytes) -> Iterator[bytes]:
        """All of an upload. Raises ``TimeoutError`` if it comes too slowly, in the thread that reads it."""
        pace = Pace()
        yield received
        if self.request.awaits_continue:
            # Only now that somebody reads: who may not upload is refused before the body is sent.
            self.sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        while data := self._receive_part(pace.seconds_left()):
            pace.received(len(data))
            yield data

    def _receive_part(self, seconds: float) -> bytes:
        self.sock.settimeout(seconds)
        try:
            return self.sock.recv(_READ_BYTES)
        finally:
            self.sock.setblocking(True)


class Worker(Refusing, ThreadWorker):
    """gthread, but a request gets a thread only once it is complete, and a stopping worker accepts no connections.

    An upload gets one with its head: its view decides whether the body is read, and how many may be at a time.

    gthread reads requests in its threads, so a few slow clients block all others. It closes its listeners only after
    its last request, so connections that are made meanwhile are never served. And it removes idle connections in
    linear time.
    """

    alive: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.keepalived_conns = IdleConnections()
        # Connections of one stage wait for the same time, so the first to come is the first whose time is over.
        self._waiting = {stage: IdleConnections() for stage in Stage}
        self._waiting_bytes = 0

    def accept(self, listener: Any) -> bool:
        """Take one new connection; False if none is there."""
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        self.nr_conns += 1
        self._receive(Connection(self.cfg, client, address, listener.getsockname()))
        return True

    def set_accept_enabled(self, enabled: bool) -> None:
        super().set_accept_enabled(enabled)
        if self.alive:
            return
        for listener in self.sockets:
            while self.accept(listener):  # the kernel has accepted them already
                pass
            listener.close()
        for conn in self._waiting[Stage.FIRST_BYTE]:
            conn.timeout = min(conn.timeout, time.monotonic() + STOP_KEEPALIVE_LINGER)

    def is_parent_alive(self) -> bool:
        """A worker whose master was killed stops as one that is told to."""
        self.alive = self.alive and super().is_parent_alive()
        return self.alive

    def on_client_socket_readable(self, conn: Connection, client: socket.socket) -> None:
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        conn.request = ArrivingRequest()
        self._receive(conn)

    def finish_request(self, conn: Connection, fs: "Future[Any]") -> None:
        if fs.cancelled() or fs.exception() is not None:
            super().finish_request(conn, fs)
        elif not fs.result():
            self._begin_close(conn)
        elif unread := conn.parser.unreader.take_buffered():
            conn.request = ArrivingRequest(unread)
            self._proceed(conn)
        else:
            super().finish_request(conn, fs)

    def handle_request(self, req: Any, conn: Connection) -> bool:
        if conn.request.is_cut or conn.request.is_upload:
            req.force_close()  # what is not read of the body would be taken for the next request
        if conn.is_told_to_continue or conn.request.is_upload:
            req._expected_100_continue = conn.is_told_to_continue = False
        is_kept = super().handle_request(req, conn)
        if is_kept:
            # What the application did not read has come, too. gthread gives up after 64 kB of it, and closes a
            # connection that its answer has promised to keep: the client's next request would be lost.
            with suppress(ParseException):
                req.body.read()
        return is_kept

    def murder_pending(self) -> None:
        """Give up connections whose time is over; gthread calls this at each turn of its loop."""
        now = time.monotonic()
        for stage, waiting in self._waiting.items():
            while waiting and waiting[0].timeout <= now:
                if stage in (Stage.HEAD, Stage.BODY):
                    self._refuse(waiting[0], HTTPStatus.REQUEST_TIMEOUT)
                else:
                    self._close(waiting[0])

    def _receive(self, conn: Connection) -> None:
        """Take what is there of a request, without waiting for more."""
        try:
            data = conn.sock.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            self._wait(conn, conn.stage or Stage.FIRST_BYTE)
            return
        except OSError:
            data = b""
        if not data or conn.stage is Stage.CLOSE:
            if not data:
                self._close(conn)
            return
        conn.request.received += data
        if conn.stage in (Stage.HEAD, Stage.BODY):
            self._waiting_bytes += len(data)
        self._proceed(conn)

    def _proceed(self, conn: Connection) -> None:
        try:
            missing = conn.request.missing()
        except RequestTooLarge as error:
            self._refuse(conn, error.status)
            return
        if missing is None:
            self._leave_stage(conn)
            conn.begin_request()
            self.enqueue_req(conn)
            return
        self._wait(conn, Stage(missing.value))
        if self._waiting_bytes > MAX_WAITING_BYTES:
            self._refuse(conn, HTTPStatus.SERVICE_UNAVAILABLE)
        elif missing is Missing.BODY and conn.request.awaits_continue and not conn.is_told_to_continue:
            conn.is_told_to_continue = True
            with suppress(OSError):
                util.write_nonblock(conn.sock, b"HTTP/1.1 100 Continue\r\n\r\n")

    def _wait(self, conn: Connection, stage: Stage) -> None:
        if conn.stage is stage:
            return
        self._leave_stage(conn)
        seconds = {
            Stage.FIRST_BYTE: self.cfg.keepalive,
            Stage.HEAD: HEADER_SECONDS,
            Stage.BODY: BODY_SECONDS,
            Stage.CLOSE: CLOSING_SECONDS,
        }[stage]
        if stage is Stage.FIRST_BYTE and not self.alive:
            seconds = STOP_KEEPALIVE_LINGER
        conn.stage = stage
        conn.timeout = time.monotonic() + seconds
        conn.sock.setblocking(False)
        self._waiting[stage].append(conn)
        self._waiting_bytes += len(conn.request.received)
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_readable, conn))

    def _on_readable(self, conn: Connection, client: socket.socket) -> None:
        self._receive(conn)

    def _leave_stage(self, conn: Connection) -> None:
        if conn.stage is None:
            return
        self._waiting[conn.stage].remove(conn)
        self._waiting_bytes -= len(conn.request.received)
        self.poller.unregister(conn.sock)
        conn.stage = None

    def _refuse(self, conn: Connection, status: HTTPStatus) -> None:
        send(Refusal(status), conn.sock)
        self._begin_close(conn)

    def _begin_close(self, conn: Connection) -> None:
        """End sending, and wait for the client's end: closing at once may reset what it has not read yet."""
        self._leave_stage(conn)
        conn.request = ArrivingRequest()
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
        else:
            self._wait(conn, Stage.CLOSE)

    def _close(self, conn: Connection) -> None:
        self._leave_stage(conn)
        self.nr_conns -= 1
        conn.close()

    def load_wsgi(self) -> None:
        """Load the application. Where code is reloaded, an error in it is answered and waits for the next change.

        gunicorn does so with a syntax error; with another one all processes of ``make run`` would end.
        """
        try:
            super().load_wsgi()
        except Exception as error:
            if self.reloader is None:
                raise
            self.log.exception("The application could not be loaded.")
            for frame in extract_tb(error.__traceback__):
                self.reloader.add_extra_file(frame.filename)
            self.wsgi = util.make_fail_app(format_exc())


class IdleConnections:
    """Replaces gthread's deque of connections; each operation takes constant time."""

    def __init__(self) -> None:
        self._connections: OrderedDict[Any, None] = OrderedDict()

    def append(self, connection: Any) -> None:
        self._connections[connection] = None

    def remove(self, connection: Any) -> None:
        del self._connections[connection]

    def popleft(self) -> Any:
        return self._connections.popitem(last=False)[0]

    def __getitem__(self, index: int) -> Any:
        if index != 0 or not self._connections:
            raise IndexError(index)
        return next(iter(self._connections))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)
