"""Request ids, the one error shape, and the count of queries."""

import logging

import pytest

from tests.conftest import client_of
from tests.database_faults import locked, without_column
from tests.log_lines import RequestIdFilter
from utils.postgresql.base import statement_count


@pytest.mark.parametrize("offered", ["abc-123", "a" * 64])
def test_a_clients_request_id_is_echoed(client, offered):
    assert client.get("/healthz/live", headers={"X-Request-ID": offered})["X-Request-ID"] == offered


@pytest.mark.parametrize("offered", ["", "a" * 65, "a b", "a\u00e9", "<script>"])
def test_an_unsuitable_request_id_is_replaced(client, offered):
    made = client.get("/healthz/live", headers={"X-Request-ID": offered})["X-Request-ID"]

    assert made != offered
    assert len(made) == 24


SESSIONS = "/api/auth/sessions/"


@pytest.mark.django_db(transaction=True)
def test_log_lines_name_their_request(alice_client, warm, caplog):
    warm(alice_client)
    caplog.handler.addFilter(RequestIdFilter())

    with locked("accounts_session"):
        alice_client.get(SESSIONS, headers={"X-Request-ID": "find-me"})

    (record,) = caplog.records
    assert (record.name, record.request_id) == ("utils.http.errors", "find-me")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("debug", [True, False])
def test_an_unexpected_error_is_a_500_that_tells_nothing_but_its_id(alice_client, warm, settings, caplog, debug):
    warm(alice_client)
    settings.DEBUG = debug
    alice_client.raise_request_exception = False  # a server has nobody to raise it to

    with without_column("accounts_session", "user_agent"):
        response = alice_client.get(SESSIONS, headers={"X-Request-ID": "broken"})

    assert (response.status_code, response["Content-Type"]) == (500, "application/problem+json")
    assert (response.json()["code"], response.json()["request_id"]) == ("internal_error", "broken")
    assert b"user_agent" not in response.content
    assert any(record.exc_info and "user_agent" in str(record.exc_info[1]) for record in caplog.records)


@pytest.mark.django_db(transaction=True)
def test_the_line_of_an_unexpected_error_names_the_route_and_nothing_that_opens_a_page(client, caplog):
    client.raise_request_exception = False

    with without_column("study_exam", "title"):
        assert client.get(f"/api/study/calendars/{'a' * 43}.ics").status_code == 500

    (line,) = [record.getMessage() for record in caplog.records if record.name == "utils.http.errors"]
    assert line == "Unexpected error at GET /api/study/calendars/{token}.ics"


@pytest.mark.django_db(transaction=True)
def test_an_unavailable_database_is_a_503_with_retry_after(alice_client, warm):
    warm(alice_client)

    with locked("accounts_session"):
        response = alice_client.get(SESSIONS)

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response["Retry-After"] == "5"


@pytest.mark.parametrize("debug", [True, False])
def test_a_host_that_is_not_ours_is_refused_in_the_one_shape(client, settings, debug):
    settings.DEBUG = debug
    settings.ALLOWED_HOSTS = ["api.example.com"]

    response = client.get("/api/notes/", headers={"Host": "evil.example.com"})

    assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json")
    assert response.json()["code"] == "bad_request"


def test_a_method_that_a_route_does_not_know_is_a_405(alice):
    response = client_of(alice).delete("/api/notes/")

    assert (response.status_code, response.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in response["Allow"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"title": "x", "title": "y"}', 400, "invalid_json"),
        (b'{"title": "\\u0000"}', 400, "invalid_json"),
        (b'{"title": "\\ud800"}', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"title": ' + b'"x' + b"x" * 2 * 1024 * 1024 + b'"}', 413, "body_too_large"),
        (b"", 400, "parse_error"),
        (b"[]", 400, "invalid"),
        (b'{"title": "x", "color": "red"}', 400, "invalid"),
    ],
    ids=["duplicate key", "null character", "surrogate", "deep", "too large", "empty", "no object", "unknown field"],
)
def test_a_bad_body_is_refused_in_the_one_shape(alice, body, status, code):
    response = client_of(alice).post("/api/notes/", body, content_type="application/json")

    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["code"] == code


def test_another_kind_of_body_is_a_415(alice):
    response = client_of(alice).post("/api/notes/", b"title=x", content_type="application/x-www-form-urlencoded")

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")


def test_under_debug_the_number_of_queries_is_told(alice, settings):
    settings.DEBUG = True
    client = client_of(alice)
    client.get("/api/notes/")

    response = client.get("/api/tags/")
    assert (response["X-Query-Count"], response["X-Page-Cache"]) == ("1", "miss")
    assert client.get("/api/tags/")["X-Page-Cache"] == "hit"
    assert "X-Page-Cache" not in client.post("/api/notes/", {"title": "One"}, content_type="application/json")


def test_without_debug_nobody_counts(alice):
    assert {"X-Query-Count", "X-Page-Cache"} & client_of(alice).get("/api/tags/").headers.keys() == set()


@pytest.mark.parametrize("debug", [False, True])
def test_statements_are_counted_for_the_log_in_development_as_in_production(alice_client, warm, settings, debug):
    warm(alice_client)
    settings.DEBUG = debug
    before = statement_count.value

    alice_client.get("/api/tags/")
    alice_client.get("/api/notes/")

    assert statement_count.value - before == 2


def test_too_many_queries_are_worth_a_warning(alice, settings, caplog):
    settings.DEBUG = True
    settings.QUERY_COUNT_WARNING = 1

    with caplog.at_level(logging.WARNING, logger="utils.middleware"):
        client_of(alice).get("/api/notes/")  # reads the session's state, and the notes

    assert "GET /api/notes/ took 2 queries" in caplog.text
