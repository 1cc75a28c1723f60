"""``GET /api/notifications/``."""

from datetime import UTC, datetime

import pytest

from tests.factories import NotificationFactory

HISTORY = "/api/notifications/"


def test_history_shows_read_and_unread_newest_first(alice, alice_client):
    old = NotificationFactory(
        user=alice,
        type="error",
        title="Old",
        message="It failed.",
        action_id="a-1",
        created_at=datetime(2026, 11, 23, 10, tzinfo=UTC),
        read_at=datetime(2026, 11, 23, 11, 0, 0, 5, tzinfo=UTC),
    )
    new = NotificationFactory(user=alice, created_at=datetime(2026, 11, 24, tzinfo=UTC))

    body = alice_client.get(HISTORY).json()

    assert (body["next"], body["previous"]) == (None, None)
    assert [row["id"] for row in body["results"]] == [str(new.pk), str(old.pk)]
    assert body["results"][0]["read_at"] is None
    assert body["results"][1] == {
        "id": str(old.pk),
        "type": "error",
        "title": "Old",
        "message": "It failed.",
        "action_id": "a-1",
        "created_at": "2026-11-23T10:00:00.000000Z",
        "read_at": "2026-11-23T11:00:00.000005Z",
    }


def test_history_is_read_page_by_page(alice, alice_client):
    moment = datetime(2026, 11, 23, 10, tzinfo=UTC)
    rows = NotificationFactory.create_batch(5, user=alice, created_at=moment)

    seen, url = [], f"{HISTORY}?page_size=2"
    while url:
        body = alice_client.get(url).json()
        seen += [row["id"] for row in body["results"]]
        url = body["next"]

    assert seen == sorted((str(row.pk) for row in rows), reverse=True)


def test_a_stranger_has_another_history(alice, charlie_client):
    NotificationFactory(user=alice)

    assert charlie_client.get(HISTORY).json() == {"next": None, "previous": None, "results": []}


@pytest.mark.parametrize("row_count", [1, 10, 100])
def test_history_costs_the_same_for_any_number_of_rows(alice, alice_client, warm, row_count, django_assert_num_queries):
    NotificationFactory.create_batch(row_count, user=alice)
    warm(alice_client)

    with django_assert_num_queries(1):  # the page itself
        response = alice_client.get(f"{HISTORY}?page_size=100")

    assert len(response.json()["results"]) == row_count


def test_anonymous_clients_get_401(client, db):
    assert client.get(HISTORY).status_code == 401
