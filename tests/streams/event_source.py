"""A client of event streams that does what a browser's ``EventSource`` does."""

import http.client
import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Event:
    """``id`` is the last one that was sent, by this event or by an earlier one."""

    id: str
    event: str
    data: Any


def parse(lines: Iterable[bytes]) -> Iterator[Event | str]:
    """Events, and between them comments and ``retry:`` as text, by the rules of the HTML standard."""
    fields: dict[str, str] = {}
    for raw in lines:
        line = raw.decode().rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if "data" in fields:
                yield Event(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {key: kept for key, kept in fields.items() if key == "id"}
        elif name == "":
            yield ":"
        elif name == "retry":
            yield f"retry: {value}"
        elif name == "data" and "data" in fields:
            fields["data"] += "\n" + value
        else:
            fields[name] = value


def events_in(body: bytes) -> list[Event]:
    """The events of a whole stream, or of what there is of it."""
    return [part for part in parse(body.splitlines(keepends=True)) if isinstance(part, Event)]


class EventSource:
    """One connection after another to one URL, each with the id of the last event."""

    def __init__(self, url: str, *, headers: dict[str, str] | None = None, seconds: float = 60) -> None:
        self.url = urlsplit(url)
        self.headers = headers or {}
        self.seconds = seconds
        self.last_event_id = ""
        self.status = 0
        self.response_headers: dict[str, str] = {}
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Self:
        self.connect()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def connect(self) -> None:
        """Return when the headers are there."""
        self.close()
        headers = {"Accept": "text/event-stream", **self.headers}
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        self._connection = http.client.HTTPConnection(self.url.hostname, self.url.port, timeout=self.seconds)
        path = f"{self.url.path}?{self.url.query}" if self.url.query else self.url.path
        self._connection.request("GET", path, headers=headers)
        self._response = self._connection.getresponse()
        self.status = self._response.status
        self.response_headers = {name.lower(): value for name, value in self._response.getheaders()}
        self._parts = parse(iter(self._response.readline, b""))

    def reconnect(self, seconds: float = 60) -> None:
        """Come back until somebody answers, and has a place: that of a broken connection is free a little later."""
        deadline = time.monotonic() + seconds
        while True:
            with suppress(OSError):
                self.connect()
                if self.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    return
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def close(self) -> None:
        if self._connection is not None:
            if self._connection.sock is not None:
                self._connection.sock.shutdown(socket.SHUT_RDWR)
            self._connection.close()
            self._connection = None

    def parts(self) -> Iterator[Event | str]:
        """Whatever comes, until the server ends the answer. Raises ``TimeoutError`` if nothing comes."""
        for part in self._parts:
            if isinstance(part, Event):
                self.last_event_id = part.id
            yield part

    def events(self) -> Iterator[Event]:
        return (part for part in self.parts() if isinstance(part, Event))

    def until(self, event: str) -> list[Event]:
        """The events up to and with the first of this name."""
        found = []
        for part in self.events():
            found.append(part)
            if part.event == event:
                return found
        raise AssertionError(f"the stream ended without {event}: {found}")

    def body(self) -> Any:
        return json.loads(self._response.read())
