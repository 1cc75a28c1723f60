"""Every error has one shape."""

import pytest
from django.db import connection

from tests.factories import TopicFactory


@pytest.mark.parametrize("path", ["/api/nothing/", "/nothing", "/api/notes/x/"])
@pytest.mark.parametrize("debug", [True, False])
def test_an_unknown_url_is_a_problem_document(client, settings, path, debug, db):
    settings.DEBUG = debug

    response = client.get(path)

    assert response.status_code == 404
    assert response["Content-Type"] == "application/problem+json"
    assert response.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Not found.",
        "code": "not_found",
        "request_id": response["X-Request-ID"],
        "errors": [],
    }


@pytest.mark.parametrize(
    ("statement", "status", "code", "retry_after"),
    [
        ("SELECT 1 / 0", 500, "internal_error", None),  # class 22, the data
        ("SELECT repeat('x', 1100000000)", 500, "internal_error", None),  # class 54, a limit of PostgreSQL's
        ("DO $$ BEGIN RAISE 'full' USING ERRCODE = '53100'; END $$", 507, "storage_full", None),
        ("DO $$ BEGIN RAISE 'many' USING ERRCODE = '53300'; END $$", 503, "unavailable", "5"),
    ],
)
def test_a_permanent_error_of_postgresql_is_not_answered_with_retry_after(
    alice, alice_client, monkeypatch, statement, status, code, retry_after
):
    topic = TopicFactory(chapter__note__user=alice)

    def fail(**_) -> None:
        with connection.cursor() as cursor:
            cursor.execute(statement)

    monkeypatch.setattr("notes.services.update_topic", fail)
    alice_client.raise_request_exception = False

    response = alice_client.patch(f"/api/topics/{topic.pk}/", {"title": "x"}, format="json")

    assert (response.status_code, response.json()["code"], response.get("Retry-After")) == (status, code, retry_after)
