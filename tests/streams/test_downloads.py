"""Exports of clients that do not read them."""

import http.client
import os
import socket
from contextlib import ExitStack, closing
from urllib.parse import urlsplit

import pytest
from django.db import connection as database
from django.http import HttpRequest

from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from tests.processes import wait_until
from tests.streams.conftest import bearer_of, reading
from utils.streaming import archives, slots
from utils.streaming.slots import set_send_timeout

EXPORT = "/api/users/me/export/"


@pytest.fixture
def ten_megabytes(alice) -> None:
    """More than the kernel takes from a server whose client does not read; it does not compress below a half."""
    chapter = ChapterFactory(note=NoteFactory(user=alice))
    for order in range(100):
        TopicFactory(chapter=chapter, order=order, explanation=os.urandom(50_000).hex())


@pytest.fixture(autouse=True)
def _no_download_keeps_its_slot():
    yield
    assert len(archives.limiter) == 0


def refused(response) -> tuple[int, str, str]:
    return response.status_code, response.json()["code"], response["Retry-After"]


def test_a_user_has_one_export_at_a_time(alice_client, charlie_client, settings):
    settings.EXPORTS_AT_ONCE = 2

    with reading(alice_client, EXPORT):
        assert refused(alice_client.get(EXPORT)) == (503, "too_many_exports", "30")
        with reading(charlie_client, EXPORT):
            pass
    with reading(alice_client, EXPORT):
        pass


def test_a_web_process_as_delivered_has_room_for_another_users_export(alice_client, charlie_client):
    with reading(alice_client, EXPORT):
        assert refused(alice_client.get(EXPORT)) == (503, "too_many_exports", "30")
        with reading(charlie_client, EXPORT):
            pass


def test_a_process_sends_a_few_exports_at_a_time(alice_client, charlie_client, settings):
    settings.EXPORTS_AT_ONCE = 1

    with reading(alice_client, EXPORT):
        assert refused(charlie_client.get(EXPORT)) == (503, "too_many_exports", "30")


@pytest.mark.django_db(transaction=True)
def test_no_database_connection_is_held_while_a_chunk_waits_to_be_read(alice_client, ten_megabytes):
    with reading(alice_client, EXPORT) as chunks:
        next(chunks)
        assert database.connection is None


@pytest.mark.django_db(transaction=True)
def test_clients_that_do_not_read_stop_nothing(alice, charlie, ten_megabytes, start_server):
    with start_server("web", WEB_THREADS="4", DB_POOL_MAX="1") as server:
        address = urlsplit(server.url).netloc
        headers = bearer_of(alice)
        connections = [http.client.HTTPConnection(address, timeout=60) for _ in range(4)]
        answers = []
        for connection in connections:
            connection.request("GET", EXPORT, headers=headers)
            answers.append(connection.getresponse())
        with closing(http.client.HTTPConnection(address, timeout=60)) as others:
            others.request("GET", "/healthz/live")
            health = others.getresponse()
            health.read()
            others.request("GET", "/api/notes/", headers=bearer_of(charlie))
            notes = others.getresponse()
            notes.read()
        for connection in connections:
            connection.close()

    assert [answer.status for answer in answers] == [200, 503, 503, 503]
    assert (health.status, notes.status) == (200, 200)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_client_that_does_not_read_loses_its_slot(alice, ten_megabytes, start_server):
    def ask(address: str) -> tuple[http.client.HTTPConnection, int]:
        connection = http.client.HTTPConnection(address, timeout=60)
        connection.request("GET", EXPORT, headers=bearer_of(alice))
        return connection, connection.getresponse().status

    def has_place(address: str) -> bool:
        connection, status = ask(address)
        connection.close()
        return status == 200

    with ExitStack() as stack:
        unlimited = {"THROTTLE_BURST": "none", "THROTTLE_SUSTAINED": "none"}
        servers = [
            stack.enter_context(start_server(kind, **unlimited)) for kind in ("web",)
        ]  # events serves no downloads
        addresses = [urlsplit(server.url).netloc for server in servers]
        for address in addresses:
            unread, status = ask(address)
            stack.enter_context(closing(unread))
            assert status == 200
            assert not has_place(address)
        for address in addresses:
            wait_until(lambda address=address: has_place(address), seconds=120)


@pytest.fixture
def connected():
    """Both ends of a connection: the server's, and the client's, which is not read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client, server:
            yield server, client


def request_on(server: socket.socket) -> HttpRequest:
    request = HttpRequest()
    request.META["gunicorn.socket"] = server
    return request


def test_a_write_ends_if_the_client_does_not_read(connected, monkeypatch):
    server, _ = connected
    monkeypatch.setattr(slots, "SEND_TIMEOUT_SECONDS", 1)

    set_send_timeout(request_on(server))
    with pytest.raises(TimeoutError):
        server.sendall(bytes(50_000_000))


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone knows it")
def test_data_in_the_kernels_buffer_is_dropped_after_the_timeout(connected):
    server, _ = connected

    set_send_timeout(request_on(server))

    assert server.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
