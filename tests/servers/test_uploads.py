"""Files that are longer than what a server collects before a thread begins."""

import json
import os
import time
from contextlib import ExitStack, suppress

import pytest

from NoteAssist_AI.client_limits import CLOSING_SECONDS
from notes.models import Attachment
from tests.factories import NoteFactory
from tests.files.images import PDF
from tests.processes import POLITE_SECONDS, wait_until
from tests.servers.test_http import bearer
from tests.servers.wire import Ended, Wire, answers, request

GRACE_SECONDS = 2
CHUNKED = "Transfer-Encoding: chunked"
FORM = "Content-Type: multipart/form-data; boundary=boundary-of-this-test"
START = b'--boundary-of-this-test\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n'
END = b"\r\n--boundary-of-this-test--\r\n"


@pytest.fixture(scope="session")
def server(kind, start):
    """One as delivered: what a machine holds up for a moment comes in time."""
    with start(kind, WEB_THREADS="4") as it:
        yield it


@pytest.fixture(scope="session")
def hasty(kind, start):
    with start(kind, UPLOAD_GRACE_SECONDS=str(GRACE_SECONDS), WEB_THREADS="4") as it:
        yield it


@pytest.fixture
def line(alice, files) -> str:
    return f"POST /api/notes/{NoteFactory(user=alice).pk}/attachments/ HTTP/1.1"


def form_of(size: int) -> bytes:
    return START + PDF + os.urandom(size - len(PDF)) + END


def pieces(body: bytes, size: int = 65536) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


@pytest.mark.parametrize("is_chunked", [True, False])
@pytest.mark.parametrize("size", [1_000, 10 * 1024 * 1024])
def test_a_file_of_any_framing_is_stored(server, alice, line, files, is_chunked, size):
    body = form_of(size)
    framing = CHUNKED if is_chunked else f"Content-Length: {len(body)}"
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, framing, bearer(alice)))
        for piece in pieces(body):
            wire.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            wire.send(b"0\r\n\r\n")
        answer = wire.answer()

    assert (answer.status, json.loads(answer.body)["size"]) == (201, size)
    assert (files / Attachment.objects.get().file).read_bytes() == body[len(START) : -len(END)]


def test_a_chunked_file_over_the_limit_is_refused_by_count(server, alice, line):
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, CHUNKED, bearer(alice)))
        with suppress(ConnectionError):
            for piece in pieces(form_of(11 * 1024 * 1024)):
                wire.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        answer = wire.answer()

    assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
    assert not Attachment.objects.exists()


@pytest.mark.parametrize("framing", [CHUNKED, "Content-Length: 5000000"])
def test_who_may_not_is_told_before_the_body_is_sent(server, line, framing):
    """Not even ``100 Continue`` is sent, so a client that waits for it sends nothing."""
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, framing, "Expect: 100-continue"))

        answer = wire.answer()
        assert (answer.status, answer.header("Connection")) == (401, "close")
        assert wire.is_ended()


def test_who_may_is_told_to_continue(server, alice, line):
    body = form_of(3_000_000)
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, f"Content-Length: {len(body)}", bearer(alice), "Expect: 100-continue"))
        assert wire.answer().status == 100
        wire.send(body)
        assert wire.answer().status == 201


def test_a_length_over_the_limit_is_refused_without_reading(server, alice, line):
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, "Content-Length: 20000000", bearer(alice)))

        answer = wire.answer()
        assert (answer.status, json.loads(answer.body)["code"]) == (413, "body_too_large")
        assert wire.is_ended()


@pytest.mark.parametrize("expectation", [[], ["Expect: 100-continue"]], ids=["", "without waiting as it may"])
@pytest.mark.parametrize("is_chunked", [True, False])
def test_a_client_that_sends_all_before_it_reads_is_told_why_it_was_refused(server, line, is_chunked, expectation):
    """So do proxies. A connection that is closed while bytes arrive is reset, and its response is lost."""
    body = form_of(10 * 1024 * 1024)
    framing = CHUNKED if is_chunked else f"Content-Length: {len(body)}"
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, framing, *expectation))
        for piece in pieces(body):
            wire.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        if is_chunked:
            wire.send(b"0\r\n\r\n")
        answer = wire.answer()
        if answer.status == 100:  # needless, but a server that a machine holds up may say it
            answer = wire.answer()
        assert wire.is_ended()

    assert (answer.status, json.loads(answer.body)["code"]) == (401, "not_authenticated")


@pytest.mark.slow
def test_a_client_that_still_sends_for_longer_than_it_may_pause_is_told_why_it_was_refused(server, line):
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, f"Content-Length: {10 * 1024 * 1024}"))
        until = time.monotonic() + CLOSING_SECONDS + 1
        while time.monotonic() < until:
            wire.send(b"x" * 1000)
            time.sleep(0.1)
        answer = wire.answer()

    assert (answer.status, json.loads(answer.body)["code"]) == (401, "not_authenticated")


def test_slow_uploads_hold_no_more_threads_than_they_may(server, alice, line):
    """One of this server's four threads receives files."""
    body = form_of(1000)
    second = request(line, FORM, f"Content-Length: {len(body)}", bearer(alice), body=body)
    with ExitStack() as slow:

        def is_refused() -> bool:
            """The first request is given up soon, so on a slow machine there is another."""
            first = slow.enter_context(Wire(server.port))
            first.send(request(line, FORM, "Content-Length: 5000000", bearer(alice), body=START))
            [found] = answers(server.port, second)
            return (found.status, json.loads(found.body).get("code")) == (503, "too_many_uploads")

        wait_until(is_refused, every=POLITE_SECONDS)
        with Wire(server.port) as wire:
            wire.send(request("GET /healthz/live HTTP/1.1"))
            assert wire.answer().status == 200


@pytest.mark.parametrize("rest", [[], [b"x"] * 20], ids=["nothing more", "a byte now and then"])
def test_a_file_that_comes_too_slowly_is_given_up(hasty, alice, line, rest):
    with Wire(hasty.port) as wire:
        wire.send(request(line, FORM, "Content-Length: 5000000", bearer(alice), body=START + PDF))
        with suppress(ConnectionError):
            for byte in rest:
                time.sleep(GRACE_SECONDS / 10)
                wire.send(byte)
        answer = wire.answer()

    assert (answer.status, json.loads(answer.body)["code"]) == (408, "upload_too_slow")
    assert not Attachment.objects.exists()


@pytest.mark.parametrize("framing", [CHUNKED, "Content-Length: 5000000"])
def test_a_client_that_leaves_in_the_middle_attaches_nothing(server, alice, line, files, framing):
    body = START + PDF
    sent = b"%x\r\n%s\r\n" % (len(body), body) if framing == CHUNKED else body
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, framing, bearer(alice), body=sent))
    whole = form_of(1000)

    def accepts_another() -> bool:
        data = request(line, FORM, f"Content-Length: {len(whole)}", bearer(alice), body=whole)
        return [answer.status for answer in answers(server.port, data)] == [201]

    wait_until(accepts_another, every=POLITE_SECONDS)

    assert Attachment.objects.count() == 1
    assert len([path for path in files.rglob("*") if path.is_file()]) == 1


def test_the_request_after_an_upload_goes_to_a_new_connection(server, alice, line):
    """What an upload leaves unread is never read as a request."""
    smuggled = request("GET /healthz/live HTTP/1.1")
    with Wire(server.port) as wire:
        wire.send(request(line, FORM, f"Content-Length: {len(smuggled)}", body=smuggled))
        with suppress(Ended):
            statuses = [wire.answer().status]
            statuses.append(wire.answer().status)

    assert statuses == [401]
