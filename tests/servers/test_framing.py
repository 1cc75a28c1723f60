"""Where a request ends is never in doubt: what two servers could read in two ways is refused by each."""

import pytest

from tests.servers.wire import Answer, Wire, answers, chunked, request, status_of

LIVE = request("GET /healthz/live HTTP/1.1")
LOGIN = "POST /api/auth/login/ HTTP/1.1"
BODY = b'{"email": "alice@example.com", "password": "wrong"}'
LENGTH = f"Content-Length: {len(BODY)}"
JSON = "Content-Type: application/json"


def is_refusal(answer: Answer) -> bool:
    return 400 <= answer.status < 500 or answer.status == 501  # a transfer coding that is not implemented


@pytest.mark.parametrize(
    "headers",
    [
        (LENGTH, "Transfer-Encoding: chunked"),
        ("Transfer-Encoding: chunked", LENGTH),
        (LENGTH, "Content-Length: 5"),
        ("Content-Length: -1",),
        ("Content-Length: +5",),
        ("Content-Length: 0x5",),
        ("Content-Length: 5_0",),
        ("Content-Length: five",),
        (f"Content-Length: {len(BODY)}, 5",),
        ("Content-Length:",),
        ("Content-Length : 5",),
        ("Transfer-Encoding: identity", "Content-Length: 5"),
        ("Transfer-Encoding: chunked, identity",),
        ("Transfer-Encoding: xchunked",),
        ("Transfer-Encoding: chunked, chunked",),
        ("Transfer-Encoding : chunked",),
        ("Transfer-Encoding:\x0bchunked",),
        ("No colon in this line",),
        (": no name",),
        ("X-Null: a\x00b",),
        ("X-Return: a\rb",),
        ("X Name: a",),
        ("X-Folded: a", " b"),
    ],
    ids=repr,
)
def test_a_head_that_can_be_read_in_two_ways_is_refused_and_nothing_behind_it_is_a_request(server, headers):
    data = request(LOGIN, JSON, *headers, body=chunked(BODY) if "chunked" in headers[0] else BODY) + LIVE

    found = answers(server.port, data, count=2)

    assert [answer.status for answer in found if not is_refusal(answer)] == []
    assert len(found) <= 1


@pytest.mark.parametrize("before", [b"", LIVE], ids=["first", "behind a request"])
@pytest.mark.parametrize("length", ["99999999999999999999", "18446744073709551617", "9" * 5000])
def test_an_impossible_length_is_refused_at_once(server, length, before):
    with Wire(server.port) as wire:
        wire.send(before + request(LOGIN, JSON, f"Content-Length: {length}"))
        if before:
            assert wire.answer().status == 200

        assert wire.answer().status in (400, 413, 431)
        assert wire.is_ended()


@pytest.mark.parametrize(
    "body",
    [b"zz\r\nab\r\n0\r\n\r\n", b"-1\r\n\r\n0\r\n\r\n", b"+2\r\nab\r\n0\r\n\r\n", b"0x2\r\nab\r\n0\r\n\r\n",
     b"2\r\nabc\r\n0\r\n\r\n", b"\r\n\r\n", b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n"],
    ids=repr,
)  # fmt: skip
def test_a_bad_chunk_is_refused_and_nothing_behind_it_is_a_request(server, body):
    found = answers(server.port, request(LOGIN, JSON, "Transfer-Encoding: chunked", body=body) + LIVE, count=2)

    assert [answer.status for answer in found if not 400 <= answer.status < 500] == []
    assert len(found) <= 1


def test_a_body_that_looks_like_a_request_is_none(server):
    hidden = request("GET /healthz/ready HTTP/1.1")
    last = request("GET /healthz/live HTTP/1.1", "Connection: close")
    data = request("GET /healthz/live HTTP/1.1", f"Content-Length: {len(hidden)}", body=hidden) + last

    found = answers(server.port, data, count=3)

    assert [answer.body for answer in found] == [b'{"status": "ok"}'] * 2


@pytest.mark.parametrize(
    "data",
    [
        b"GET /healthz/live HTTP/1.1\nHost: 127.0.0.1\n\n",
        b"GET /healthz/live HTTP/1.1\r\nHost: 127.0.0.1\nX-Other: 1\r\n\r\n",
    ],
    ids=repr,
)
def test_a_line_that_ends_in_a_line_feed_alone_hides_nothing(server, data):
    """A server may read it as the end of a line (RFC 9112, 2.2) or refuse it, but not as a part of the line."""
    statuses = [answer.status for answer in answers(server.port, data)]

    assert statuses in ([], [200], [400], [408])


@pytest.mark.parametrize(
    "line",
    ["GET", "GET /", "GET / HTTP/9.9", "GET / HTTP/1", "GET / FTP/1.1", "G\x00T / HTTP/1.1", "GET /a b HTTP/1.1",
     "GET /\x00 HTTP/1.1", " GET / HTTP/1.1"],
)  # fmt: skip
def test_a_malformed_request_line_is_refused(server, line):
    status = status_of(server.port, request(line))

    assert status is None or 400 <= status < 500 or status == 505


def test_two_hosts_are_no_host(server):
    assert status_of(server.port, request("GET /api/notes/ HTTP/1.1", "Host: evil.example.com")) == 400


def test_a_request_behind_a_smuggled_prefix_is_not_answered(server):
    """CL.TE and TE.CL: a proxy that counts one way would take the rest for the next client's request."""
    rest = request("GET /api/notes/ HTTP/1.1")
    for headers, body in (
        (("Content-Length: 5", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + rest),
        (("Transfer-Encoding: chunked", "Content-Length: 4"), b"5c\r\n" + rest + b"\r\n0\r\n\r\n"),
        (("Transfer-Encoding: chunked", "Transfer-Encoding: identity"), b"0\r\n\r\n" + rest),
        (("Transfer-Encoding: \x0cchunked", f"Content-Length: {len(rest)}"), rest),
    ):
        found = answers(server.port, request("POST / HTTP/1.1", *headers, body=body), count=2)
        assert len(found) <= 1  # RFC 9112, 6.3: refused, or read by its chunks and the connection closed
