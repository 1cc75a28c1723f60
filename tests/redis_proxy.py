"""Stands between the product and a Redis, and passes on what the product sends when and as a test says."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer
from typing import Any

import redis

CHUNK = 1 << 16


class _Handler(BaseRequestHandler):
    server: "RedisProxy"

    def handle(self) -> None:
        with self.server.connect() as upstream:
            answers = threading.Thread(target=_pass_on, args=(upstream, self.request), daemon=True)
            answers.start()
            with suppress(OSError):
                while data := self.request.recv(CHUNK):
                    upstream.sendall(self.server.send(data))
            with suppress(OSError):  # so that its thread ends, too
                upstream.shutdown(socket.SHUT_RDWR)
            answers.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)


class RedisProxy(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    send: Callable[[bytes], bytes] = staticmethod(lambda data: data)
    """What to send on of what one connection sent. It may wait, return less, or raise ``ConnectionError`` to cut it."""

    def __init__(self, url: str) -> None:
        self._server: dict[str, Any] = redis.ConnectionPool.from_url(url).connection_kwargs
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}/{self._server.get('db') or 0}"

    def connect(self) -> socket.socket:
        if path := self._server.get("path"):
            upstream = socket.socket(socket.AF_UNIX)
            upstream.connect(path)
            return upstream
        return socket.create_connection((self._server["host"], self._server["port"]))


@contextmanager
def running_proxy(url: str) -> Iterator[RedisProxy]:
    """A proxy of the Redis at ``url``, in threads of this process."""
    with RedisProxy(url) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
