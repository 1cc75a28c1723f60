"""A page that is cached is answered before its view is called, and still to nobody else and not without limit."""

import pytest

from accounts.services import sessions
from tests.conftest import client_of
from tests.factories import NoteFactory, SessionFactory

NOTES = "/api/notes/"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("handled_by")]


@pytest.fixture
def session(alice):
    return SessionFactory(user=alice)


@pytest.fixture
def reader(alice, session):
    """Alice's client, whose list is cached."""
    NoteFactory(user=alice, title="Hers")
    client = client_of(alice, session)
    client.get(NOTES)
    return client


def test_a_hit_costs_no_query_and_calls_no_view(reader, without_django, django_assert_num_queries):
    with django_assert_num_queries(0):
        response = reader.get(NOTES)

    assert [note["title"] for note in response.json()["results"]] == ["Hers"]
    assert response["Content-Type"] == "application/json"
    assert response["RateLimit-Remaining"] == "58"
    assert response["X-Frame-Options"] == "DENY"


def test_a_client_that_has_the_page_gets_a_304(reader, without_django, django_assert_num_queries):
    etag = reader.get(NOTES)["ETag"]

    with django_assert_num_queries(0):
        response = reader.get(NOTES, headers={"If-None-Match": f'W/{etag}, "other"'})

    assert (response.status_code, response.content, response["ETag"]) == (304, b"", etag)


def test_an_ended_session_gets_no_page(reader, session):
    sessions.revoke(session_id=session.pk, user_id=session.user_id)

    response = reader.get(NOTES)

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")


def test_anonymous_clients_get_no_page(reader, client):
    assert client.get(NOTES).status_code == 401


def test_a_stranger_gets_his_own_page(reader, charlie):
    assert client_of(charlie).get(NOTES).json()["results"] == []


def test_pages_count_against_the_limits(reader):
    answers = [reader.get(NOTES).status_code for _ in range(60)]

    assert answers == [200] * 59 + [429]


def test_the_order_of_the_querys_parameters_makes_no_other_page(reader, django_assert_num_queries):
    reader.get(f"{NOTES}?status=draft&page_size=5")

    with django_assert_num_queries(0):
        assert reader.get(f"{NOTES}?page_size=5&status=draft").status_code == 200


def test_after_a_write_the_page_is_made_anew(reader, alice):
    reader.post(NOTES, {"title": "Newer"}, format="json")

    assert [note["title"] for note in reader.get(NOTES).json()["results"]] == ["Newer", "Hers"]


def test_without_redis_the_database_answers(reader, dead_redis):
    assert [note["title"] for note in reader.get(NOTES).json()["results"]] == ["Hers"]
