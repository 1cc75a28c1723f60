"""What a server refuses by itself is refused in the one shape of all errors, and told without what was sent."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.servers.conftest import Server
from tests.servers.wire import Answer, Wire, chunked
from tests.servers.wire import request as request_of

LOGIN = "POST /api/auth/login/ HTTP/1.1"
JSON = "Content-Type: application/json"
SECRET = "marker-of-a-token"

BY_THE_PARSER = [
    (request_of(f"GET /?token={SECRET} FTP/1.1"), 400, "bad_request"),
    (request_of(f"GET /?token={SECRET} \x00 HTTP/1.1"), 400, "bad_request"),
    (request_of(f"GET /?token={SECRET}{'a' * 9000} HTTP/1.1"), 414, "url_too_long"),
    (request_of("GET / HTTP/1.1", f"X-Long: {SECRET}{'a' * 9000}"), 431, "headers_too_large"),
    (request_of("GET / HTTP/1.1", *(f"X-{n}: {SECRET}" for n in range(150))), 431, "headers_too_large"),
    (request_of("GET / HTTP/1.1", f"Expect: {SECRET}"), 417, "expectation_failed"),
    (request_of(LOGIN, JSON, "Content-Length: 2", "Content-Length: 3", body=b"{}"), 400, "bad_request"),
    (request_of(LOGIN, JSON, "Transfer-Encoding: br", body=b"{}"), 501, "unknown_transfer_coding"),
]
"""A request, its status and its code with gunicorn."""


@pytest.fixture(scope="module")
def gunicorn(start) -> Iterator[Server]:
    with start("gunicorn") as it:
        yield it


@pytest.fixture(scope="module")
def granian(start) -> Iterator[Server]:
    with start("granian") as it:
        yield it


def is_problem(answer: Answer, status: int, code: str) -> bool:
    assert answer.header("Content-Type") == "application/problem+json"
    assert answer.header("Cache-Control") == "no-store"
    problem = json.loads(answer.body)
    assert set(problem) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert re.fullmatch("[0-9a-f]{24}", problem["request_id"])
    assert answer.header("X-Request-ID") == problem["request_id"]
    return (answer.status, problem["status"], problem["code"]) == (status, status, code)


def answer_to(server: Server, data: bytes) -> Answer:
    with Wire(server.port) as wire:
        wire.send(data)
        answer = wire.answer()
        assert wire.is_ended()
        return answer


@pytest.mark.parametrize(("data", "status", "code"), BY_THE_PARSER, ids=range(len(BY_THE_PARSER)))
@pytest.mark.parametrize("kind", ["gunicorn", "events"])
def test_gunicorn_refuses_what_is_no_request_in_the_one_shape(kind, data, status, code, request):
    server = request.getfixturevalue(kind)

    assert is_problem(answer_to(server, data), status, code)
    assert SECRET not in server.process.output
    assert "127.0.0.1:" not in server.process.output.partition("Booting worker")[2]
    assert "ip=" not in server.process.output


@pytest.mark.parametrize("before", [b"", request_of("GET /healthz/live HTTP/1.1")], ids=["first", "behind a request"])
def test_a_head_that_grows_without_end_is_refused_in_the_one_shape(gunicorn, before):
    """By its count of bytes: it has few fields."""
    with Wire(gunicorn.port) as wire:
        wire.send(before + b"GET / HTTP/1.1\r\n" + (b"X-Long: " + b"1" * 8000 + b"\r\n") * 10)
        if before:
            assert wire.answer().status == 200

        assert is_problem(wire.answer(), 431, "headers_too_large")


def test_half_a_head_times_out_in_the_one_shape(gunicorn):
    with Wire(gunicorn.port) as wire:
        wire.send(b"GET / HTTP/1.1\r\nHo")

        assert is_problem(wire.answer(), 408, "request_timeout")


def test_granians_parser_refuses_without_a_body(granian):
    """What docs/api/errors.md says of it: nothing of ours is asked there."""
    for data in (BY_THE_PARSER[0][0], BY_THE_PARSER[4][0], BY_THE_PARSER[6][0]):
        answer = answer_to(granian, data)
        assert (answer.status in (400, 431), answer.body) == (True, b"")


@pytest.mark.parametrize("kind", ["gunicorn", "granian"])
def test_a_broken_body_is_refused_in_the_one_shape(kind, request):
    server = request.getfixturevalue(kind)
    line = (LOGIN, JSON, "Transfer-Encoding: chunked")

    assert is_problem(answer_to(server, request_of(*line, body=b"zz\r\n")), 400, "bad_request")


def test_a_body_that_does_not_come_is_refused_in_the_one_shape(server):
    with Wire(server.port) as wire:
        wire.send(request_of(LOGIN, JSON, "Content-Length: 9", body=b"{"))

        assert is_problem(wire.answer(), 408, "request_timeout")


def test_an_upload_with_two_ends_is_refused_in_the_one_shape(server):
    data = request_of(
        "POST /api/notes/imports/ HTTP/1.1", JSON, "Transfer-Encoding: gzip, chunked", body=chunked(b"{}")
    )

    assert is_problem(answer_to(server, data), 400, "bad_request")
