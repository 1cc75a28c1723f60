"""HTTP/1.1 and 1.0 as clients and proxies speak them."""

import json

import pytest

from accounts.tokens import issue_access
from tests.factories import NoteFactory, SessionFactory
from tests.servers.wire import Wire, request

LIVE = b'{"status": "ok"}'


def bearer(user) -> str:
    session = SessionFactory(user=user)
    token = issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
    return f"Authorization: Bearer {token}"


def test_a_connection_is_kept_for_the_next_request(server):
    with Wire(server.port) as wire:
        for _ in range(3):
            wire.send(request("GET /healthz/live HTTP/1.1"))
            answer = wire.answer()
            assert (answer.status, answer.body) == (200, LIVE)


def test_requests_sent_at_once_are_answered_in_their_order(server):
    with Wire(server.port) as wire:
        wire.send(b"".join(request("GET /healthz/live HTTP/1.1", f"X-Request-ID: n{n}") for n in range(10)))

        assert [wire.answer().header("X-Request-ID") for _ in range(10)] == [f"n{n}" for n in range(10)]


def test_requests_with_bodies_sent_at_once_are_answered_in_their_order(server):
    body = b"{}"
    post = request("POST /api/auth/login/ HTTP/1.1", "Content-Type: application/json", "Content-Length: 2", body=body)
    with Wire(server.port) as wire:
        wire.send((post + request("GET /healthz/live HTTP/1.1")) * 2)

        assert [wire.answer().status for _ in range(4)] == [400, 200, 400, 200]


def test_a_request_that_comes_byte_by_byte_is_answered(server):
    with Wire(server.port) as wire:
        for byte in request("GET /healthz/live HTTP/1.1"):
            wire.send(bytes([byte]))

        assert wire.answer().body == LIVE


def test_the_last_request_of_a_connection_closes_it(server):
    with Wire(server.port) as wire:
        wire.send(request("GET /healthz/live HTTP/1.1", "Connection: close"))

        assert wire.answer().body == LIVE
        assert wire.is_ended()


def test_http_1_0_is_answered_and_closed(server):
    with Wire(server.port) as wire:
        wire.send(b"GET /healthz/live HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")

        answer = wire.answer()
        assert (answer.status, answer.body) == (200, LIVE)
        assert answer.header("Transfer-Encoding") is None
        assert wire.is_ended()


def test_http_1_0_may_keep_its_connection(server):
    with Wire(server.port) as wire:
        for _ in range(2):
            wire.send(b"GET /healthz/live HTTP/1.0\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n")
            assert wire.answer().body == LIVE


def test_head_tells_what_get_would_and_sends_no_body(server):
    with Wire(server.port) as wire:
        wire.send(request("HEAD /healthz/live HTTP/1.1"))
        answer = wire.answer("HEAD")
        assert (answer.status, answer.header("Content-Length")) == (200, str(len(LIVE)))

        wire.send(request("GET /healthz/live HTTP/1.1"))
        assert wire.answer().body == LIVE


def test_an_answer_without_a_body_says_so_and_the_next_follows(server, alice):
    NoteFactory(user=alice)
    with Wire(server.port) as wire:
        wire.send(request("GET /api/notes/ HTTP/1.1", bearer(alice)))
        etag = wire.answer().header("ETag")
        wire.send(request("GET /api/notes/ HTTP/1.1", bearer(alice), f"If-None-Match: {etag}"))
        answer = wire.answer()
        assert (answer.status, answer.header("Content-Length")) == (304, None)

        wire.send(request("GET /healthz/live HTTP/1.1"))
        assert wire.answer().body == LIVE


def test_an_absolute_uri_is_a_path_of_ours(server):
    with Wire(server.port) as wire:
        wire.send(request("GET http://127.0.0.1/healthz/live HTTP/1.1"))

        assert wire.answer().body == LIVE


@pytest.mark.parametrize("line", ["OPTIONS * HTTP/1.1", "CONNECT 127.0.0.1:80 HTTP/1.1", "TRACE / HTTP/1.1"])
def test_a_method_that_nothing_here_has_is_refused(server, line):
    with Wire(server.port) as wire:
        wire.send(request(line))

        assert 400 <= wire.answer().status < 500


def test_paths_and_queries_arrive_as_they_were_sent(server, alice):
    NoteFactory(user=alice, title="100 % größer + mehr")
    with Wire(server.port) as wire:
        wire.send(request("GET /api/search/?q=gr%C3%B6%C3%9Fer+%2B HTTP/1.1", bearer(alice)))
        answer = wire.answer()
        assert answer.status == 200, answer.body
        assert [found["title"] for found in json.loads(answer.body)["results"]] == ["100 % größer + mehr"]
        wire.send(request("GET /api%2Fnotes/ HTTP/1.1", bearer(alice)))
        assert wire.answer().status in (200, 404)
        wire.send(request("GET /%ff%fe/%00 HTTP/1.1"))
        assert wire.answer().status in (400, 404)


def test_a_client_that_waits_for_100_continue_is_told_to_once(server):
    with Wire(server.port) as wire:
        head = ["Content-Type: application/json", "Content-Length: 2", "Expect: 100-continue"]
        wire.send(request("POST /api/auth/login/ HTTP/1.1", *head))
        assert wire.answer().status == 100
        wire.send(b"{}")
        assert wire.answer().status == 400

        wire.send(request("GET /healthz/live HTTP/1.1"))
        assert wire.answer().body == LIVE
