"""Bodies of any framing and any length, up to the limit of 2 MB."""

import json
import time

import pytest
from django.conf import settings

from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from tests.servers.test_http import bearer
from tests.servers.wire import Wire, answers, chunked, request
from utils.http.json import PUBLIC_MAX_BYTES

JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(name="this_test")
def _this_test(request):
    return request.node


@pytest.fixture
def topic(alice):
    return TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)), title="Before")


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_chunked_body_is_saved_as_one_with_a_length_is(server, alice, topic, size):
    body = json.dumps({"title": "After", "explanation": "x" * 30_000}).encode() if size > 7 else b'{"title": "After"}'
    parts = [body[at : at + size] for at in range(0, len(body), size)]

    line = f"PATCH /api/topics/{topic.pk}/ HTTP/1.1"
    found = answers(server.port, request(line, JSON, CHUNKED, bearer(alice), body=chunked(*parts)))

    assert [answer.status for answer in found] == [200]
    topic.refresh_from_db()
    assert topic.title == "After"
    assert topic.explanation == ("x" * 30_000 if size > 7 else "")


@pytest.mark.parametrize("trailer", ["", "X-Trailer: 1\r\n"])
def test_chunks_may_have_extensions_and_trailers(server, alice, topic, trailer, this_test):
    if trailer and server.kind == "granian":
        reason = "Granian tells a body with trailers no other than one that broke off; both are refused"
        this_test.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    body = b'8;name=value\r\n{"title"\r\nA;q="a;b"\r\n: "After"}\r\n0\r\n%s\r\n' % trailer.encode()

    line = f"PATCH /api/topics/{topic.pk}/ HTTP/1.1"
    found = answers(server.port, request(line, JSON, CHUNKED, bearer(alice), body=body))

    assert [answer.status for answer in found] == [200]
    topic.refresh_from_db()
    assert topic.title == "After"


def test_the_request_after_a_chunked_one_is_answered(server, alice, topic):
    patch = request(
        f"PATCH /api/topics/{topic.pk}/ HTTP/1.1", JSON, CHUNKED, bearer(alice), body=chunked(b'{"title": "After"}')
    )

    found = answers(server.port, patch + request("GET /healthz/live HTTP/1.1"), count=2)

    assert [answer.status for answer in found] == [200, 200]


def test_a_body_after_a_streamed_answer_is_no_head(server, alice, topic):
    """The thread that sent the stream may end its call when the next one has begun."""
    body, token = json.dumps({"title": "After", "explanation": "x" * 90_000}).encode(), bearer(alice)
    export = request(f"GET /api/notes/export/?ids={topic.chapter.note_id} HTTP/1.1", token)
    patch = request(f"PATCH /api/topics/{topic.pk}/ HTTP/1.1", JSON, token, f"Content-Length: {len(body)}")

    with Wire(server.port) as wire:
        wire.send(export + patch)
        assert wire.answer().header("Transfer-Encoding") == "chunked"
        time.sleep(0.2)  # until that call has ended
        for at in range(0, len(body), 10_000):
            wire.send(body[at : at + 10_000])
            time.sleep(0.01)
        assert wire.answer().status == 200


@pytest.mark.parametrize("header", [CHUNKED, "Content-Length: 0", None])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change_without_a_body_is_refused_and_changes_nothing(server, alice, topic, header, method):
    before = topic.chapter.note.version
    headers = [JSON, bearer(alice), *([header] if header else [])]

    data = request(f"{method} /api/topics/{topic.pk}/ HTTP/1.1", *headers, body=chunked() if header == CHUNKED else b"")
    found = answers(server.port, data)

    assert [answer.status for answer in found] in ([400], [405])
    topic.chapter.note.refresh_from_db()
    assert topic.chapter.note.version == before


def login_of(size: int) -> bytes:
    start = b'{"email": "alice@example.com", "password": "'
    return start + b"x" * (size - len(start) - 2) + b'"}'


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize(("excess", "expected"), [(0, (400, "invalid")), (1, (413, "body_too_large"))])
def test_a_public_route_reads_sixteen_kilobytes_and_no_more(server, is_chunked, excess, expected):
    body = login_of(PUBLIC_MAX_BYTES + excess)
    line = "POST /api/auth/login/ HTTP/1.1"
    data = request(line, JSON, CHUNKED, body=chunked(body[:100], body[100:])) if is_chunked else request(
        line, JSON, f"Content-Length: {len(body)}", body=body
    )  # fmt: skip

    found = answers(server.port, data)

    assert [(answer.status, json.loads(answer.body)["code"]) for answer in found] == [expected]


@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_body_of_the_limit_is_read(server, alice, topic, is_chunked):
    start = b'{"title": "'
    body = start + b"x" * (settings.MAX_BODY_BYTES - len(start) - 2) + b'"}'
    parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    line = f"PATCH /api/topics/{topic.pk}/ HTTP/1.1"
    data = request(line, JSON, bearer(alice), CHUNKED, body=chunked(*parts)) if is_chunked else request(
        line, JSON, bearer(alice), f"Content-Length: {len(body)}", body=body
    )  # fmt: skip

    found = answers(server.port, data)

    assert [(answer.status, json.loads(answer.body)["code"]) for answer in found] == [(400, "invalid")]


def test_a_chunked_body_over_the_limit_is_refused(server):
    with Wire(server.port) as wire:
        wire.send(request("POST /api/auth/login/ HTTP/1.1", JSON, CHUNKED))
        for _ in range(160):
            wire.send(b"%x\r\n%s\r\n" % (65536, b"x" * 65536))

        answer = wire.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
        assert wire.is_ended()


@pytest.mark.parametrize("path", ["/api/auth/login/", "/admin/login/", "/nothing/here/", "/healthz/live"])
@pytest.mark.parametrize("kind_of_body", ["application/json", "multipart/form-data; boundary=x"])
def test_a_length_over_the_limit_is_refused_without_reading_the_body(server, path, kind_of_body):
    length = settings.MAX_BODY_BYTES + 1
    with Wire(server.port) as wire:
        wire.send(request(f"POST {path} HTTP/1.1", f"Content-Type: {kind_of_body}", f"Content-Length: {length}"))

        answer = wire.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
        assert answer.header("Connection") == "close"
        assert wire.is_ended()


def test_a_client_that_leaves_in_the_middle_of_its_body_changes_nothing(server, alice, topic):
    body = b'{"title": "After"}'
    for headers, sent in (
        ((f"Content-Length: {len(body) + 10}",), body),
        ((CHUNKED,), b"%x\r\n%s\r\n" % (len(body), body)),
    ):
        with Wire(server.port) as wire:
            line = f"PATCH /api/topics/{topic.pk}/ HTTP/1.1"
            wire.send(request(line, JSON, bearer(alice), *headers, body=sent))
    with Wire(server.port) as wire:
        wire.send(request("GET /healthz/live HTTP/1.1"))
        assert wire.answer().status == 200
    topic.refresh_from_db()
    assert topic.title == "Before"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("path", ["/api/auth/login/", "/api/notes/", "/api/nothing/"])
def test_a_body_that_nobody_reads_ends_no_connection_that_was_to_be_kept(server, path, framing):
    """Too large for a public route, sent without a token, sent to nowhere."""
    body = b"[" * 300_000
    headers = [CHUNKED] if framing == "chunked" else [f"Content-Length: {len(body)}"]
    data = request(f"POST {path} HTTP/1.1", JSON, *headers, body=chunked(body) if framing == "chunked" else body)
    with Wire(server.port) as wire:
        for _ in range(3):
            wire.send(data)
            answer = wire.answer()
            assert answer.status in (401, 404, 413)
            assert answer.header("Connection") != "close"
