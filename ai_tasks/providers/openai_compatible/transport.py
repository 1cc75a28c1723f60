"""HTTP transport for calls that take minutes and can be cancelled at once.

A thread blocked in ``recv`` cannot be woken, and closing its socket from another thread is a race. So each wait is a
series of short waits. Between two of them the thread calls its observer and checks the call's deadline, which also
stops a server that sends one byte now and then. An exception closes the connection. Sizes are limited as bytes arrive,
before any parsing.
"""

import math
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import httpcore2
import httpx2

from ai_tasks.providers.base import Observer
from ai_tasks.providers.errors import UnusableAnswer

POLL_SECONDS = 0.5
MAX_STREAM_BYTES = 32_000_000
"""An event of a stream wraps a few characters in hundreds of bytes."""
MAX_ERROR_BYTES = 64_000
UNPACKED_BYTES = 65_536
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_UNPACKED = frozenset({"", "identity", "none", "utf-8"})
"""The last two are not encodings, but servers send them."""

UNREADABLE = "The AI provider's answer cannot be read."


@dataclass(slots=True)
class Watch:
    """The observer of this thread's requests. ``patience``: a shorter limit for a read, in seconds."""

    observer: Observer
    patience: float = math.inf


_watch: ContextVar[Watch] = ContextVar("watch")


@contextmanager
def observed_by(observer: Observer) -> Iterator[Watch]:
    """Let ``observer`` watch this thread's requests; ``WatchedTransport`` needs one."""
    watch = Watch(observer)
    token = _watch.set(watch)
    try:
        yield watch
    finally:
        _watch.reset(token)


def _seconds_left(timeout: float | None) -> float:
    watch = _watch.get()
    left = min(watch.observer.deadline - time.monotonic(), watch.patience)
    return left if timeout is None else min(left, timeout)


class _PollingStream(httpcore2.NetworkStream):
    """A connection whose reads wake up after short waits. A TLS read can continue after a time-out, too."""

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        give_up_at = time.monotonic() + _seconds_left(timeout)
        while True:
            _watch.get().observer.check()
            left = give_up_at - time.monotonic()
            if left <= 0:
                raise httpcore2.ReadTimeout
            try:
                return self._stream.read(max_bytes, timeout=min(left, POLL_SECONDS))
            except httpcore2.ReadTimeout:
                continue

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        return _PollingStream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _PollingBackend(httpcore2.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        _watch.get().observer.check()
        left = _seconds_left(timeout)
        if left <= 0:
            raise httpcore2.ConnectTimeout
        return _PollingStream(super().connect_tcp(host, port, left, local_address, socket_options))


@contextmanager
def _httpx_errors() -> Iterator[None]:
    """Translate httpcore2's exceptions, which the connection pool raises, to those of httpx2."""
    try:
        yield
    except (httpcore2.ConnectError, httpcore2.ConnectTimeout, httpcore2.PoolTimeout) as error:
        raise httpx2.ConnectError(str(error)) from error  # the request was not sent
    except httpcore2.TimeoutException as error:
        raise httpx2.TimeoutException(str(error)) from error
    except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.UnsupportedProtocol) as error:
        raise httpx2.TransportError(str(error)) from error


def _unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress gzip or zlib in small pieces, since a few bytes may expand to gigabytes."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        for chunk in chunks:
            packed, piece = chunk, b"-"
            while packed or len(piece) == UNPACKED_BYTES:
                piece = unpacking.decompress(packed, UNPACKED_BYTES)
                packed = unpacking.unconsumed_tail
                yield piece
            if unpacking.eof:
                return
    except zlib.error as error:
        raise UnusableAnswer("answer_unreadable", UNREADABLE) from error


class _MeasuredBody(httpx2.SyncByteStream):
    """The bytes of a response, with a size limit. An error body is cut: its beginning is enough."""

    def __init__(self, response: httpcore2.Response, *, is_error: bool, is_packed: bool) -> None:
        self._response = response
        self._is_error = is_error
        self._is_packed = is_packed

    def __iter__(self) -> Iterator[bytes]:
        total = 0
        with _httpx_errors():
            chunks = self._response.iter_stream()
            for chunk in _unpacked(chunks) if self._is_packed else chunks:
                total += len(chunk)
                if self._is_error and total > MAX_ERROR_BYTES:
                    return
                if total > MAX_STREAM_BYTES:
                    raise UnusableAnswer("answer_too_large", "The AI provider's answer is too large.")
                yield chunk

    def close(self) -> None:
        self._response.close()


class WatchedTransport(httpx2.BaseTransport):
    """Sends requests that their observer can end within ``POLL_SECONDS``, also while they connect. Thread-safe."""

    def __init__(self, *, max_connections: int) -> None:
        self._pool = httpcore2.ConnectionPool(
            ssl_context=httpx2.create_ssl_context(trust_env=False),
            max_connections=max_connections,
            # We close the connection at the end of an answer without reading its last bytes, so it cannot be reused.
            max_keepalive_connections=0,
            network_backend=_PollingBackend(),
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        with _httpx_errors():
            response = self._pool.handle_request(
                httpcore2.Request(
                    method=request.method,
                    url=url,
                    headers=request.headers.raw,
                    content=request.stream,
                    extensions=request.extensions,
                )
            )
        headers = httpx2.Headers(response.headers)
        encoding = headers.get("content-encoding", "").strip().lower()
        if encoding not in _PACKED | _UNPACKED:  # none was requested
            response.close()
            raise UnusableAnswer("answer_unreadable", UNREADABLE)
        body = _MeasuredBody(response, is_error=response.status >= 300, is_packed=encoding in _PACKED)
        return httpx2.Response(response.status, headers=headers, stream=body, extensions=response.extensions)

    def close(self) -> None:
        self._pool.close()
