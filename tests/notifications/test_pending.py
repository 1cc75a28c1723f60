"""``GET /api/notifications/pending/``."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from notifications import inbox, services
from notifications.models import Notification
from tests.factories import NotificationFactory
from tests.notifications.helpers import PENDING, create, pending_ids, redis_away


def test_a_new_notification_is_pending(alice, alice_client):
    before = datetime.now(UTC)
    notification_id = services.create(
        user_id=alice.pk, title="✓ Done", message="Your text is ready.", notification_type="success", action_id="a-1"
    )

    response = alice_client.get(PENDING)

    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    created_at = response.json()["results"][0].pop("created_at")
    assert response.json()["count"] == 1
    assert {**response.json()["results"][0], "created_at": None} == {
        "id": str(notification_id),
        "type": "success",
        "title": "✓ Done",
        "message": "Your text is ready.",
        "action_id": "a-1",
        "created_at": None,
    }
    assert len(created_at) == len("2026-11-23T10:00:00.123456Z")
    assert before <= datetime.fromisoformat(created_at) <= datetime.now(UTC)


def test_nothing_is_pending_at_first(alice_client):
    assert alice_client.get(PENDING).json() == {"count": 0, "results": []}


def test_the_newest_comes_first_wherever_it_comes_from(alice, alice_client):
    old, new = (
        str(NotificationFactory(user=alice, created_at=timezone.now() + timedelta(hours=hours)).pk) for hours in (-1, 1)
    )
    middle = create(alice)

    assert pending_ids(alice_client) == [new, middle, old]
    assert pending_ids(alice_client) == [new, middle, old]


def test_notifications_of_one_timestamp_have_one_order_in_redis_and_in_the_table(alice, alice_client, settings):
    NotificationFactory.create_batch(5, user=alice, created_at=timezone.now())
    cold, warm = pending_ids(alice_client), pending_ids(alice_client)

    with redis_away(settings):
        assert cold == warm == pending_ids(alice_client)


def test_a_stranger_sees_nothing_of_it(alice, charlie_client):
    create(alice)
    NotificationFactory(user=alice)

    assert charlie_client.get(PENDING).json() == {"count": 0, "results": []}


def test_anonymous_clients_get_401(client, db):
    assert client.get(PENDING).status_code == 401


def test_read_ones_are_not_pending(alice, alice_client):
    NotificationFactory(user=alice, read_at=timezone.now())

    assert pending_ids(alice_client) == []


@pytest.mark.parametrize("source", ["created", "rows"])
def test_at_most_100_are_shown_and_they_are_the_newest(alice, alice_client, source):
    if source == "created":
        ids = [create(alice) for _ in range(103)]
    else:
        rows = Notification.objects.bulk_create(NotificationFactory.build(user=alice) for _ in range(103))
        for minutes, row in enumerate(rows):
            row.created_at = timezone.now() + timedelta(minutes=minutes)
        Notification.objects.bulk_update(rows, ["created_at"])
        ids = [str(row.pk) for row in rows]

    for _cold_then_warm in range(2):
        body = alice_client.get(PENDING).json()
        assert body["count"] == 100
        assert [entry["id"] for entry in body["results"]] == ids[:2:-1]


def test_an_unchanged_list_is_304(alice, alice_client):
    create(alice)
    etag = alice_client.get(PENDING)["ETag"]

    again = alice_client.get(PENDING, headers={"If-None-Match": etag})
    weakened = alice_client.get(PENDING, headers={"If-None-Match": f"W/{etag}"})

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert weakened.status_code == 304

    create(alice)
    changed = alice_client.get(PENDING, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed["ETag"] != etag


@pytest.mark.parametrize("row_count", [1, 10, 100])
def test_a_warm_inbox_answers_without_the_database(alice, alice_client, row_count, django_assert_num_queries):
    NotificationFactory.create_batch(row_count, user=alice)
    alice_client.get(PENDING)

    with django_assert_num_queries(0):
        assert alice_client.get(PENDING).json()["count"] == row_count


def test_an_empty_inbox_is_warm_too(alice_client, django_assert_num_queries):
    alice_client.get(PENDING)

    with django_assert_num_queries(0):
        alice_client.get(PENDING)


@pytest.mark.parametrize("row_count", [1, 10, 100])
def test_a_cold_inbox_costs_the_same_for_any_number_of_rows(
    alice, alice_client, row_count, django_assert_num_queries, warm, empty_redis
):
    NotificationFactory.create_batch(row_count, user=alice)
    warm(alice_client)
    empty_redis.hdel(inbox.entries_key(alice.pk), "@marker")

    with django_assert_num_queries(2):  # what is unread, and what of the inbox is read
        assert alice_client.get(PENDING).json()["count"] == row_count


def test_an_inbox_is_read_in_one_round_trip(alice, alice_client, warm, empty_redis):
    create(alice)
    warm(alice_client)
    database = empty_redis.connection_pool.connection_kwargs["db"]

    with empty_redis.monitor() as monitor:
        alice_client.get(PENDING)
        empty_redis.echo("the end")
        commands = []
        for command in monitor.listen():
            if command["command"] == "ECHO the end":
                break
            # Other test processes use other databases of the same server; what scripts call is no round trip.
            if command["db"] == database and command["client_type"] != "lua":
                commands.append(command["command"].split()[0])

    commands.remove("SELECT")  # of the test's own second connection

    assert commands == ["EVALSHA", "EVALSHA"]  # the admission of the request, and the inbox


def test_polling_has_a_limit_of_its_own(alice_client):
    assert alice_client.get(PENDING)["RateLimit-Limit"] == "120"


def test_with_redis_away_the_table_answers_the_same_bytes(alice, alice_client, settings):
    NotificationFactory.create_batch(3, user=alice, created_at=datetime(2026, 11, 23, 10, tzinfo=UTC))
    alice_client.get(PENDING)
    warm_answer = alice_client.get(PENDING)

    with redis_away(settings):
        answer = alice_client.get(PENDING)

    assert answer.status_code == 200
    assert answer.content == warm_answer.content
    assert answer["ETag"] == warm_answer["ETag"]
