"""A server that is told to stop takes nobody new and leaves nobody it has taken."""

import os
import signal
import socket
import threading
from contextlib import ExitStack, suppress

import psutil
import pytest

from tests.processes import wait_until
from tests.servers.wire import Ended, Wire, request

pytestmark = pytest.mark.slow

LIVE = request("GET /healthz/live HTTP/1.1")


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(5)
        return client.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def own(kind, start):
    """A server that this test may end. Its bodies may take a while."""
    with start(kind, BODY_SECONDS="60", HEADER_SECONDS="60") as server:
        assert server.is_live()
        yield server


def half_a_login(port: int) -> tuple[Wire, bytes]:
    """A connection whose request the server has begun to read, and the rest of its body."""
    head = ["Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue"]
    wire = Wire(port)
    wire.send(request("POST /api/auth/login/ HTTP/1.1", *head))
    assert wire.answer().status == 100
    wire.send(b"{")
    return wire, b"}"


@pytest.mark.parametrize("how", ["told", "orphaned"])
def test_new_connections_are_refused_and_what_has_begun_ends(own, how):
    wire, rest = half_a_login(own.port)
    if how == "told":
        own.process.send(signal.SIGTERM)
    else:
        children = psutil.Process(own.process.pid).children(recursive=True)
        os.kill(own.process.pid, signal.SIGKILL)

    wait_until(lambda: is_refused(own.port))
    assert is_refused(own.port)
    wire.send(rest)
    answer = wire.answer()
    assert answer.status == 400
    assert wire.is_ended()
    if how == "told":
        assert own.process.wait(60) == 0, own.process.output
    else:
        psutil.wait_procs(children, timeout=60)
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_whoever_was_accepted_is_answered(own, kind):
    """Clients that connect all the while until they are refused: none of them hangs, and none is reset.

    Granian closes a connection of which it has read nothing yet, so its client knows that nothing was done.
    """
    outcomes: list[str] = []

    def ask_until_refused() -> None:
        while True:
            try:
                with Wire(own.port) as wire:
                    wire.send(LIVE)
                    outcomes.append(str(wire.answer().status))
            except ConnectionRefusedError:
                return
            except (Ended, OSError) as error:
                outcomes.append(repr(error))
                return

    clients = [threading.Thread(target=ask_until_refused) for _ in range(8)]
    for client in clients:
        client.start()
    wait_until(lambda: outcomes.count("200") > 8)
    own.process.send(signal.SIGTERM)
    for client in clients:
        client.join(60)

    unread = [repr(Ended(repr(b"")))] if kind == "granian" else []
    assert {*outcomes, *unread} == {"200", *unread}
    assert own.process.wait(60) == 0


def test_idle_connections_do_not_keep_it(own):
    with ExitStack() as idle:
        for _ in range(20):
            wire = idle.enter_context(Wire(own.port))
            wire.send(LIVE)
            assert wire.answer().status == 200
            idle.enter_context(Wire(own.port))
        own.process.send(signal.SIGTERM)

        assert own.process.wait(60) == 0


def test_who_was_refused_and_still_sends_does_not_keep_it(own, kind):
    """It is read on, so that it can read its refusal, but for no longer than the server may take to stop."""
    stopped = threading.Event()

    def trickle(wire: Wire) -> None:
        with suppress(OSError):
            while not stopped.wait(0.2):
                wire.send(b"x")

    with Wire(own.port) as wire:
        wire.send(request("POST /api/study/media/ HTTP/1.1", "Content-Length: 1000000"))
        assert wire.answer().status == 401
        client = threading.Thread(target=trickle, args=[wire])
        client.start()
        own.process.send(signal.SIGTERM)
        code = own.process.wait(60)
        stopped.set()
        client.join()

    assert code == 0
    if kind == "gunicorn":
        assert "Worker exiting" in own.process.output  # else it was killed
