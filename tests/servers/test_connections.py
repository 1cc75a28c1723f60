"""Many connections, clients that leave in the middle of an answer, and what it takes of memory."""

import resource
import socket
from contextlib import ExitStack

import psutil
import pytest

from tests.factories import AITaskFactory, NoteFactory
from tests.processes import POLITE_SECONDS, wait_until
from tests.servers.conftest import Server
from tests.servers.test_http import bearer
from tests.servers.wire import Wire, answers, request

LIVE = request("GET /healthz/live HTTP/1.1")
MEGABYTE = 2**20
RENDERS_STANDARD_PLAN = 512 * MEGABYTE


def memory_of(server: Server) -> int:
    """Bytes of all its processes; what they share counts once."""
    master = psutil.Process(server.process.pid)
    return sum(process.memory_full_info().pss for process in [master, *master.children(recursive=True)])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_10000_idle_connections_and_large_bodies_fit_into_512_mb(kind, start):
    """As many as this process may open, if those are fewer. None of them is in the way of others."""
    count = min(10_000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 500)
    patience = {"HEADER_SECONDS": "280", "BODY_SECONDS": "280", "GUNICORN_CMD_ARGS": "--keep-alive 280"}
    with start(kind, WEB_CONCURRENCY="2", **patience) as server, ExitStack() as open_ones:
        idle = []
        for _ in range(count):
            wire = open_ones.enter_context(Wire(server.port))
            wire.send(LIVE)
            assert wire.answer().status == 200
            idle.append(wire)
        body = b'{"email": "a@example.com", "password": "' + b"x" * (2 * MEGABYTE - 1000)
        for _ in range(24):
            wire = open_ones.enter_context(Wire(server.port))
            head = ("Content-Type: application/json", f"Content-Length: {len(body) + 2}")
            wire.send(request("POST /api/auth/login/ HTTP/1.1", *head, body=body))

        with Wire(server.port) as other:
            other.send(LIVE)
            assert other.answer().status == 200
        for wire in idle[:: count // 100]:
            wire.send(LIVE)
            assert wire.answer().status == 200
        assert memory_of(server) < RENDERS_STANDARD_PLAN


@pytest.mark.slow
def test_what_came_of_refused_bodies_takes_no_memory(kind, start):
    """Each client keeps its side of the connection open."""
    count, come = 200, 400_000
    head = request("POST /api/study/media/ HTTP/1.1", "Content-Length: 10000000")
    with start(kind) as server, ExitStack() as open_ones:
        answers(server.port, LIVE)
        before = memory_of(server)
        for _ in range(count):
            wire = open_ones.enter_context(Wire(server.port))
            wire.send(head + b"x" * come)
            assert wire.answer().status == 401

        assert memory_of(server) - before < count * come / 2


def test_clients_that_leave_in_the_middle_of_an_answer_leave_nothing_behind(server, alice):
    for note in range(20):
        NoteFactory(user=alice, title=f"{note} " + "x" * 200)
    token = bearer(alice)
    for _ in range(8):
        with Wire(server.port) as wire:
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset
            wire.send(request("GET /api/schema/ HTTP/1.1", token))
            wire.socket.recv(100)

    def open_connections() -> int:
        master = psutil.Process(server.process.pid)
        found = [one for child in master.children(recursive=True) for one in child.net_connections("tcp")]
        return len([one for one in found if one.status == psutil.CONN_ESTABLISHED and one.laddr.port == server.port])

    wait_until(lambda: open_connections() == 0)
    with Wire(server.port) as wire:
        wire.send(request("GET /api/notes/ HTTP/1.1", token))
        assert wire.answer().status == 200


@pytest.mark.slow
def test_a_stream_that_its_reader_left_gives_its_place_back(kind, start, alice):
    """It holds a thread of the process, of which there are a few for streams."""
    task = AITaskFactory(user=alice, status="running", attempt=1)
    stream = request(f"GET /api/ai/tasks/{task.pk}/events/ HTTP/1.1", bearer(alice))
    with start(kind, SSE_MAX_STREAMS="1", SSE_HEARTBEAT_SECONDS="0.2") as server:

        def status() -> int:
            with Wire(server.port) as wire:
                wire.send(stream)
                return int(wire.socket.recv(100).split()[1])

        assert status() == 200
        wait_until(lambda: status() == 200, every=POLITE_SECONDS)
        assert [answer.status for answer in answers(server.port, LIVE)] == [200]


@pytest.mark.slow
def test_a_stream_comes_part_by_part(kind, start, alice):
    task = AITaskFactory(user=alice, status="running", attempt=1)
    with start(kind, SSE_HEARTBEAT_SECONDS="0.2") as server, Wire(server.port) as wire:
        wire.send(request(f"GET /api/ai/tasks/{task.pk}/events/ HTTP/1.1", bearer(alice)))
        received = b""
        while received.count(b":\n\n") < 3:
            received += wire.socket.recv(65536)

    assert b"content-type: text/event-stream" in received.lower()
