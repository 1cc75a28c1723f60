"""What a header is called is what it is: none arrives under another's name."""

import json

import pytest

from accounts.models import Session
from accounts.tokens import issue_access
from tests.factories import SessionFactory
from tests.servers.wire import answers, request, status_of

JSON = "Content-Type: application/json"


def registered_from(port: int, *headers: str) -> str:
    """The address that a new account is registered from, as the service sees it."""
    body = json.dumps({"email": "new@example.com", "name": "New", "password": "a long phrase of mine"}).encode()
    data = request("POST /api/auth/register/ HTTP/1.1", JSON, f"Content-Length: {len(body)}", *headers, body=body)
    assert [answer.status for answer in answers(port, data)] == [201]
    return Session.objects.get().ip


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("name", ["X_Forwarded_For", "x_forwarded_for", "X-Forwarded_For", "X_Forwarded-For"])
@pytest.mark.parametrize("is_first", [True, False])
def test_an_address_with_underscores_never_replaces_the_proxys(server, name, is_first):
    true, spoofed = "X-Forwarded-For: 192.0.2.1", f"{name}: 203.0.113.9"

    address = registered_from(server.port, *((spoofed, true) if is_first else (true, spoofed)))

    assert address == "192.0.2.1"


@pytest.mark.django_db(transaction=True)
def test_an_address_with_underscores_alone_is_none(server):
    assert registered_from(server.port, "X_Forwarded_For: 203.0.113.9") == "127.0.0.1"


@pytest.mark.django_db(transaction=True)
def test_repeated_addresses_are_one_list(server):
    assert registered_from(server.port, "X-Forwarded-For: 203.0.113.9", "X-Forwarded-For: 192.0.2.1") == "192.0.2.1"


def test_a_request_id_with_underscores_is_none(server):
    data = request("GET /healthz/live HTTP/1.1", "X-Request-ID: mine", "X_Request_ID: spoofed")

    assert [answer.header("X-Request-ID") for answer in answers(server.port, data)] == ["mine"]


def test_a_token_with_underscores_is_none(server, alice):
    """`Authorization` has no hyphen; `Idempotency_Key` and the like are dropped in the same way."""
    session = SessionFactory(user=alice)
    token = issue_access(user_id=alice.pk, token_version=alice.token_version, session_id=session.pk)

    assert status_of(server.port, request("GET /api/notes/ HTTP/1.1", f"Authorization: Bearer {token}")) == 200
    assert status_of(server.port, request("GET /api/notes/ HTTP/1.1", f"HTTP_Authorization: Bearer {token}")) == 401


@pytest.mark.parametrize("header", ["Content_Length: 5", "Transfer_Encoding: chunked"])
def test_a_length_with_underscores_is_none(server, header):
    live = request("GET /healthz/live HTTP/1.1")

    found = answers(server.port, request("GET /healthz/live HTTP/1.1", header) + live, count=2)

    assert [answer.status for answer in found] == [200, 200]


@pytest.mark.parametrize("name", ["SCRIPT_NAME", "Script-Name", "PATH_INFO", "Path-Info", "REMOTE_USER", "Remote-Addr"])
def test_no_header_becomes_a_variable_of_the_server(server, name):
    assert status_of(server.port, request("GET /healthz/live HTTP/1.1", f"{name}: /elsewhere")) == 200


def test_a_huge_header_is_refused(server):
    status = status_of(server.port, request("GET /healthz/live HTTP/1.1", "X-Huge: " + "a" * 500_000))

    assert status in (400, 413, 431, None)


def test_too_many_headers_are_refused(server):
    headers = [f"X-Header-{n}: {n}" for n in range(200)]

    assert status_of(server.port, request("GET /healthz/live HTTP/1.1", *headers)) in (400, 413, 431)


def test_a_long_request_line_is_refused(server):
    assert status_of(server.port, request("GET /healthz/live?" + "a" * 100_000 + " HTTP/1.1")) in (400, 414, 431)
