"""A client that is slow, or stops, costs itself and nobody else."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.processes import wait_until
from tests.servers.conftest import Server
from tests.servers.wire import Ended, Wire, request

HEADER_SECONDS = BODY_SECONDS = 2
"""Of the server of these tests: a client that is slower is given up."""
LATEST_SECONDS = 60
"""By when it must have been, on a machine that has other work to do."""
LOGIN = request("POST /api/auth/login/ HTTP/1.1", "Content-Type: application/json", "Content-Length: 100")
CHUNKED = request("POST /api/auth/login/ HTTP/1.1", "Content-Type: application/json", "Transfer-Encoding: chunked")
HALF_A_HEAD = b"GET /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Half"
STARTS = {
    "nothing": b"",
    "one byte": b"G",
    "half a head": HALF_A_HEAD,
    "half a head behind a request": request("GET /healthz/live HTTP/1.1") + HALF_A_HEAD,
    "no body": LOGIN,
    "half a body": LOGIN + b'{"email":',
    "no chunk": CHUNKED,
    "half a chunk": CHUNKED + b"20\r\nabc",
    "an end that is none": CHUNKED + b"fffff\r\n0\r\n\r\n",
    "no last chunk": CHUNKED + b"2\r\n{}\r\n",
    "no end of the trailers": CHUNKED + b"2\r\n{}\r\n0\r\n",
    "no continuation": request("POST /api/auth/login/ HTTP/1.1", "Content-Length: 100", "Expect: 100-continue"),
    "too long a body": request("POST /admin/login/ HTTP/1.1", "Content-Length: 3000000"),
}


@pytest.fixture(scope="module")
def server(kind, start) -> Iterator[Server]:
    """A hasty one."""
    with start(kind, HEADER_SECONDS=str(HEADER_SECONDS), BODY_SECONDS=str(BODY_SECONDS)) as it:
        yield it


@pytest.mark.parametrize("sent", STARTS.values(), ids=STARTS)
def test_24_clients_that_stop_do_not_stop_the_others(server, sent):
    with ExitStack() as slow:
        for _ in range(24):
            slow.enter_context(Wire(server.port)).send(sent)

        for _ in range(3):
            with Wire(server.port) as wire:
                wire.send(request("GET /healthz/live HTTP/1.1"))
                assert wire.answer().status == 200


def test_clients_that_stop_are_given_up(server):
    """Those that sent nothing may have opened their connection for later."""
    stopped = {name: Wire(server.port) for name in STARTS if name != "nothing"}
    statuses: dict[str, list[int]] = {name: [] for name in stopped}
    for name, wire in stopped.items():
        wire.send(STARTS[name])
    deadline = time.monotonic() + LATEST_SECONDS
    for name, wire in stopped.items():
        with wire, suppress(Ended):
            while time.monotonic() < deadline:
                statuses[name].append(wire.answer().status)
    assert time.monotonic() < deadline, statuses

    assert statuses.pop("no continuation") in ([100], [100, 408], [408])
    assert statuses.pop("half a head behind a request") in ([200], [200, 408])
    assert statuses.pop("too long a body") == [413]
    assert {tuple(found) for found in statuses.values()} <= {(), (408,)}


def test_a_client_that_sends_a_byte_now_and_then_is_given_up(server):
    """Each byte is in time, the whole is not."""
    with Wire(server.port) as wire:
        wire.send(LOGIN)
        began = time.monotonic()
        while not (is_ended := wire.is_ended(0.25)) and time.monotonic() < began + LATEST_SECONDS:
            with suppress(ConnectionError):
                wire.send(b" ")

        assert is_ended


def test_24_clients_that_do_not_close_after_their_answer_do_not_stop_the_others(server):
    with ExitStack() as slow:
        wires = [slow.enter_context(Wire(server.port)) for _ in range(24)]
        for wire in wires:
            wire.send(request("GET /healthz/live HTTP/1.1", "Connection: close"))
        for wire in wires:
            assert wire.answer().status == 200
        with Wire(server.port) as other:
            other.send(request("GET /healthz/live HTTP/1.1"))
            assert other.answer().status == 200


def test_24_clients_that_leave_in_the_middle_do_not_stop_the_others(server):
    for sent in STARTS.values():
        for _ in range(24):
            with Wire(server.port) as wire:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
                wire.send(sent)
    for _ in range(4):
        with Wire(server.port) as wire:
            wire.send(request("GET /api/schema/ HTTP/1.1"))

    wait_until(server.is_live)
