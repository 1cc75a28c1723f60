"""HTTP byte by byte, as clients that no library would write speak it."""

import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

SECONDS = 60
"""A server that says nothing for so long fails the test."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key == name.lower()]
        assert len(found) <= 1, f"{name} is sent twice"
        return found[0] if found else None


class Ended(Exception):
    """The server closed the connection before an answer was whole."""


class Wire:
    """One connection."""

    def __init__(self, port: int, seconds: float = SECONDS) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._received = b""

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, method: str = "GET") -> Answer:
        """The next answer. Raises ``Ended``."""
        while b"\r\n\r\n" not in self._received:
            self._more()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        status_line, *lines = head.decode("latin-1").split("\r\n")
        status = int(status_line.split()[1])
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        answer = Answer(status, headers, b"")
        if method == "HEAD" or status < 200 or status in (204, 304):
            return answer
        if (length := answer.header("Content-Length")) is not None:
            body = self._exactly(int(length))
        elif answer.header("Transfer-Encoding") == "chunked":
            body = b"".join(self._chunks())
        else:
            body = self._until_end()
        return Answer(status, headers, body)

    def is_ended(self, seconds: float = SECONDS) -> bool:
        """Whether the server closes the connection within so many seconds, whatever it still sends."""
        deadline = time.monotonic() + seconds
        try:
            while (left := deadline - time.monotonic()) > 0:
                self.socket.settimeout(left)
                if not self.socket.recv(65536):
                    return True
        except ConnectionError:
            return True
        except TimeoutError:
            pass
        return False

    def _more(self) -> None:
        try:
            data = self.socket.recv(65536)
        except ConnectionError as error:
            raise Ended(repr(self._received)) from error
        if not data:
            raise Ended(repr(self._received))
        self._received += data

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            self._more()
        data, self._received = self._received[:size], self._received[size:]
        return data

    def _chunks(self) -> Iterable[bytes]:
        while True:
            while b"\r\n" not in self._received:
                self._more()
            line, self._received = self._received.split(b"\r\n", 1)
            size = int(line, 16)
            yield self._exactly(size + 2)[:-2]
            if not size:
                return

    def _until_end(self) -> bytes:
        try:
            while True:
                self._more()
        except Ended:
            data, self._received = self._received, b""
            return data


def request(line: str, *headers: str, body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """The bytes of a request, with nothing added but ``Host``."""
    return "\r\n".join([line, f"Host: {host}", *headers, "", ""]).encode("latin-1") + body


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def answers(port: int, data: bytes, count: int = 1) -> list[Answer]:
    """What a server answers to these bytes, up to ``count`` answers; fewer if it closes the connection."""
    found: list[Answer] = []
    with Wire(port) as wire:
        try:
            wire.send(data)
            while len(found) < count:
                found.append(wire.answer())
        except (Ended, ConnectionError):
            pass
    return found


def status_of(port: int, data: bytes) -> int | None:
    """The status of the first answer; None if the server closes the connection without one."""
    return next((answer.status for answer in answers(port, data)), None)


def is_live(port: int) -> bool:
    """Whether a server answers; while it starts it may listen already."""
    try:
        return status_of(port, request("GET /healthz/live HTTP/1.1")) == 200
    except (ConnectionError, TimeoutError):
        return False
