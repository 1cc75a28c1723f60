"""What one process holds at most, and for how long."""

import json
import select
import socket
from contextlib import ExitStack, suppress

import psutil
import pytest

from tests.processes import POLITE_SECONDS, wait_until
from tests.servers.conftest import Server
from tests.servers.wire import Wire, answers, request

LIVE = request("GET /healthz/live HTTP/1.1")


def open_connections(server: Server) -> int:
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = [one for child in children for one in child.net_connections("tcp")]
    return len([one for one in found if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == server.port])


def sockets_held(server: Server) -> int:
    """Of connections, also of those whose one side has ended."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    found = [one for child in children for one in child.net_connections("tcp")]
    return len([one for one in found if one.raddr and one.laddr.port == server.port])


@pytest.mark.slow
def test_more_connections_than_a_process_may_have_are_refused_and_the_others_served(start):
    with start("gunicorn", GUNICORN_CMD_ARGS="--worker-connections 2") as server:
        wait_until(lambda: open_connections(server) == 0)
        with Wire(server.port) as first, Wire(server.port) as second:
            for wire in (first, second):
                wire.send(LIVE)
                assert wire.answer().status == 200

            [refused] = answers(server.port, LIVE)
            assert (refused.status, json.loads(refused.body)["code"]) == (503, "unavailable")
            assert refused.header("Retry-After") == "5"

            first.send(LIVE)
            assert first.answer().status == 200


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", LIVE], ids=["nothing", "a request"])
def test_a_connection_that_is_idle_for_long_is_closed(start, sent):
    with start("gunicorn", GUNICORN_CMD_ARGS="--keep-alive 1") as server, Wire(server.port) as wire:
        wire.send(sent)
        if sent:
            assert wire.answer().status == 200

        assert wire.is_ended()


@pytest.mark.slow
def test_a_client_that_takes_nothing_of_its_response_is_given_up(start):
    """It asks for many responses, since the kernel takes the first ones for it."""
    with start("gunicorn") as server, Wire(server.port) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        wait_until(lambda: open_connections(server) == 1)
        wire.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                wire.socket.send(request("GET /api/schema/ HTTP/1.1") * 20)

        wait_until(lambda: open_connections(server) == 0, 120)
        assert server.is_live()


@pytest.mark.slow
def test_incomplete_bodies_take_64_mb_together_and_what_is_more_is_refused(kind, start):
    with start(kind, BODY_SECONDS="280") as server, ExitStack() as open_ones:
        wires = [open_ones.enter_context(Wire(server.port)) for _ in range(33)]
        for wire in wires:
            wire.send(request("POST /api/auth/login/ HTTP/1.1", "Content-Length: 2097152", body=b"x" * 2_090_000))

        readable, _, _ = select.select([wire.socket for wire in wires], [], [], 60)
        answered = [wire.answer() for wire in wires if wire.socket in readable]
        assert [(answer.status, json.loads(answer.body)["code"]) for answer in answered] == [(503, "unavailable")]
        assert server.is_live()


REFUSED_UPLOAD = request("POST /api/study/media/ HTTP/1.1", "Content-Length: 10", body=b"0123456789")


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        REFUSED_UPLOAD,
        REFUSED_UPLOAD + LIVE,
        REFUSED_UPLOAD + LIVE[:-4],
        request("GET /healthz/live HTTP/1.1", "Expect: more") + LIVE,
    ],
    ids=["nothing", "a request", "half a request", "a request behind one that expects too much"],
)
def test_a_connection_ends_after_its_last_response_whatever_came_behind(server, sent):
    wait_until(lambda: sockets_held(server) == 0, every=POLITE_SECONDS)
    with Wire(server.port) as wire:
        wire.send(sent)
        assert wire.answer().status in (401, 417)

        wait_until(lambda: sockets_held(server) == 0, every=POLITE_SECONDS)


def test_a_web_socket_is_refused(start, server):
    if server.kind == "granian":
        pytest.skip("Granian answers as if nothing else had been asked for")
    headers = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    for key, status in (("AAAAAAAAAAAAAAAAAAAAAA==", 403), ("short", 400)):
        found = answers(server.port, request("GET /api/notes/ HTTP/1.1", *headers, f"Sec-WebSocket-Key: {key}"))
        assert [answer.status for answer in found] == [status]
    assert server.is_live()
