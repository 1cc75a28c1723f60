"""Every error has one shape."""

import pytest

from tests.database_faults import refusing
from tests.factories import TopicFactory
from utils.http.status_titles import title_of


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


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("sqlstate", "status", "code", "retry_after"),
    [
        ("22012", 500, "internal_error", None),  # class 22, the data
        ("54000", 500, "internal_error", None),  # class 54, a limit of PostgreSQL's
        ("53100", 507, "storage_full", None),
        ("53300", 503, "unavailable", "5"),
    ],
)
def test_a_permanent_error_of_postgresql_is_not_answered_with_retry_after(
    alice, alice_client, sqlstate, status, code, retry_after
):
    topic = TopicFactory(chapter__note__user=alice)
    alice_client.raise_request_exception = False

    with refusing("BEFORE UPDATE", "notes_topic", sqlstate=sqlstate):
        response = alice_client.patch(f"/api/topics/{topic.pk}/", {"title": "x"}, format="json")

    assert (response.status_code, response.json()["code"], response.get("Retry-After")) == (status, code, retry_after)


@pytest.mark.parametrize(
    ("status", "title"),
    [
        (409, "Conflict"),
        (413, "Request Entity Too Large"),
        (414, "Request-URI Too Long"),
        (416, "Requested Range Not Satisfiable"),
        (422, "Unprocessable Entity"),
    ],
)
def test_a_status_has_the_same_title_on_every_python(status, title):
    assert title_of(status) == title
