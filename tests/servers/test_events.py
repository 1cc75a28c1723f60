"""The process that holds event streams: nobody stops them, and it serves nothing else."""

import json
import os
import signal
import time
from contextlib import ExitStack

import psutil
import pytest
from django.conf import settings

from tests.factories import AITaskFactory
from tests.processes import wait_until
from tests.servers.test_http import bearer
from tests.servers.test_shutdown import is_refused
from tests.servers.test_slow_clients import STARTS
from tests.servers.wire import Ended, Wire, answers, request, status_of

LATEST_SECONDS = 60
"""By when a client that stops must have been given up: gunicorn_events.conf.py's keepalive is 5 s."""


@pytest.mark.parametrize(
    "line",
    ["GET /api/notes/", "POST /api/auth/login/", "POST /api/auth/register/", "GET /admin/", "POST /admin/login/",
     "GET /api/schema/", "GET /api/docs/", "GET /", "GET /nothing/", "PATCH /api/topics/1/"],
)  # fmt: skip
def test_it_serves_streams_and_health_and_nothing_else(events, alice, line):
    data = request(f"{line} HTTP/1.1", bearer(alice), "Content-Type: application/json", "Content-Length: 2", body=b"{}")

    found = answers(events.port, data)

    assert [(answer.status, json.loads(answer.body)["code"]) for answer in found] == [(404, "only_streams_here")]
    assert found[0].header("Content-Type") == "application/problem+json"


def test_health_and_streams_are_served(events, alice):
    task = AITaskFactory(user=alice, status="running", attempt=1)

    assert status_of(events.port, request("GET /healthz/live HTTP/1.1")) == 200
    assert status_of(events.port, request("GET /healthz/ready HTTP/1.1")) == 200
    with Wire(events.port) as wire:
        wire.send(request(f"GET /api/ai/tasks/{task.pk}/events/ HTTP/1.1", bearer(alice)))
        assert b"text/event-stream" in wire.socket.recv(65536)
    with Wire(events.port) as wire:
        wire.send(request("GET /api/notifications/stream/ HTTP/1.1", bearer(alice)))
        assert b"text/event-stream" in wire.socket.recv(65536)


@pytest.mark.parametrize("length", ["Content-Length: 2097152", "Transfer-Encoding: chunked"])
def test_a_body_is_not_waited_for(events, length):
    with Wire(events.port) as wire:
        wire.send(request("POST /api/auth/login/ HTTP/1.1", "Content-Type: application/json", length))

        assert wire.answer().status == 404
        assert wire.is_ended(LATEST_SECONDS)


def test_a_body_that_comes_is_not_taken_for_a_request(events):
    body = request("GET /healthz/live HTTP/1.1")
    last = request("GET /healthz/live HTTP/1.1")

    found = answers(
        events.port, request("POST /nothing/ HTTP/1.1", f"Content-Length: {len(body)}", body=body) + last, count=3
    )

    assert [answer.status for answer in found] == [404]  # and the connection has ended


def test_clients_that_stop_do_not_stop_the_others_and_are_given_up(events):
    with ExitStack() as slow:
        wires = [slow.enter_context(Wire(events.port)) for _ in range(24 * len(STARTS))]
        for wire, sent in zip(wires, list(STARTS.values()) * 24, strict=True):
            wire.send(sent)

        for _ in range(3):
            with Wire(events.port) as other:
                other.send(request("GET /healthz/live HTTP/1.1"))
                assert other.answer().status == 200
        deadline = time.monotonic() + LATEST_SECONDS
        assert [wire for wire in wires if not wire.is_ended(max(0.1, deadline - time.monotonic()))] == []


@pytest.mark.slow
@pytest.mark.parametrize("how", ["told", "orphaned"])
def test_when_it_stops_new_connections_are_refused_and_its_streams_end_in_order(start, alice, how):
    with start("events") as own, Wire(own.port) as wire:
        wire.send(request("GET /api/notifications/stream/ HTTP/1.1", bearer(alice)))
        wait_until(lambda: b"retry" in wire.socket.recv(65536))
        children = psutil.Process(own.process.pid).children(recursive=True)
        if how == "told":
            own.process.send(signal.SIGTERM)
        else:
            os.kill(own.process.pid, signal.SIGKILL)

        wait_until(lambda: is_refused(own.port))
        rest = b""
        while data := wire.socket.recv(65536):  # a reset would raise
            rest += data
        assert rest.endswith(b"0\r\n\r\n"), Ended(rest)
        psutil.wait_procs(children, timeout=60)
        assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_a_client_that_sends_large_bodies_does_not_hold_the_others_up(events):
    body = b'{"email": "a@example.com", "password": "' + b"x" * (settings.MAX_BODY_BYTES - 60) + b'"}'
    data = request("POST /api/auth/login/ HTTP/1.1", f"Content-Length: {len(body)}", body=body)
    with ExitStack() as large:
        wires = [large.enter_context(Wire(events.port)) for _ in range(4)]
        for wire in wires:
            wire.send(data)
        with Wire(events.port) as other:
            other.send(request("GET /healthz/live HTTP/1.1"))
            assert other.answer().status == 200
        assert [wire.answer().status for wire in wires] == [404] * 4
