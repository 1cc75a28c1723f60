"""``POST /api/notifications/read/``."""

from dataclasses import replace
from uuid import uuid4

import pytest

from notifications import inbox, services
from notifications.models import Notification
from tests.factories import NotificationFactory
from tests.notifications.helpers import PENDING, READ, create, entry_of, pending_ids, redis_away


def post(client, body):
    return client.post(READ, body, format="json")


@pytest.mark.parametrize("has_row", [True, False])
def test_a_read_notification_is_not_pending_any_more(alice, alice_client, has_row):
    kept, read = create(alice), create(alice)
    if has_row:
        services.drain()

    response = post(alice_client, {"ids": [read]})

    assert (response.status_code, response.json()) == (200, {"count": 1})
    assert pending_ids(alice_client) == [kept]
    assert Notification.objects.get(pk=read).read_at is not None


def test_all_may_be_read_at_once(alice, alice_client):
    create(alice)
    services.drain()
    create(alice)
    NotificationFactory(user=alice)

    assert post(alice_client, {"all": True}).json() == {"count": 3}

    assert pending_ids(alice_client) == []
    services.drain()
    assert Notification.objects.filter(user=alice, read_at=None).count() == 0
    assert Notification.objects.filter(user=alice).count() == 3


def test_reading_again_counts_nothing_and_keeps_the_first_timestamp(alice, alice_client):
    notification = create(alice)
    post(alice_client, {"ids": [notification]})
    first = Notification.objects.get(pk=notification).read_at

    assert post(alice_client, {"ids": [notification]}).json() == {"count": 0}
    assert post(alice_client, {"all": True}).json() == {"count": 0}
    assert Notification.objects.get(pk=notification).read_at == first


def test_a_notification_read_before_it_has_a_row_stays_read(alice, alice_client):
    notification = create(alice, title="Early", action_id="a-1")
    post(alice_client, {"ids": [notification]})

    assert services.drain() == 1

    row = Notification.objects.get()
    assert (str(row.pk), row.user_id, row.title, row.action_id) == (notification, alice.pk, "Early", "a-1")
    assert row.read_at is not None
    assert row.notified_at is not None
    assert pending_ids(alice_client) == []


def test_unknown_ids_are_ignored(alice, alice_client):
    notification = create(alice)

    assert post(alice_client, {"ids": [str(uuid4()), notification, str(uuid4())]}).json() == {"count": 1}
    assert Notification.objects.count() == 1


@pytest.mark.parametrize("has_row", [True, False])
def test_a_stranger_cannot_read_it(alice, alice_client, charlie_client, has_row):
    notification = create(alice)
    if has_row:
        services.drain()

    assert post(charlie_client, {"ids": [notification]}).json() == {"count": 0}
    assert post(charlie_client, {"all": True}).json() == {"count": 0}

    assert pending_ids(alice_client) == [notification]
    services.drain()
    assert Notification.objects.get().read_at is None


def test_an_entry_with_the_id_of_a_strangers_row_reads_nothing(alice, charlie, charlie_client):
    row = NotificationFactory(user=alice)
    inbox.put(replace(entry_of(row), user_id=charlie.pk), has_row=False)

    assert post(charlie_client, {"all": True}).json() == {"count": 0}
    assert Notification.objects.get().read_at is None


def test_reading_some_keeps_the_inbox_warm(alice, alice_client, django_assert_num_queries):
    kept, read = create(alice), create(alice)
    alice_client.get(PENDING)
    post(alice_client, {"ids": [read]})

    with django_assert_num_queries(0):
        assert pending_ids(alice_client) == [kept]


def test_behind_a_full_inbox_older_ones_come_up(alice, alice_client):
    ids = [create(alice) for _ in range(102)]
    services.drain()
    assert pending_ids(alice_client) == ids[:1:-1]

    post(alice_client, {"ids": ids[-3:]})

    assert pending_ids(alice_client) == ids[98::-1]


def test_a_request_costs_the_same_for_any_number_of_ids(alice, alice_client, warm, django_assert_num_queries):
    ids = [create(alice) for _ in range(100)]
    warm(alice_client)

    for size in (1, 10, 89):
        batch, ids = ids[:size], ids[size:]
        with django_assert_num_queries(5):  # a transaction's two, the user's lock, those without a row, those with one
            assert post(alice_client, {"ids": batch}).json() == {"count": size}


def test_with_redis_away_rows_are_read_and_stay_read_when_it_is_back(alice, alice_client, settings):
    notification = create(alice)
    services.drain()
    assert pending_ids(alice_client) == [notification]

    with redis_away(settings):
        assert post(alice_client, {"ids": [notification]}).json() == {"count": 1}
        assert pending_ids(alice_client) == []

    assert pending_ids(alice_client) == []


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "invalid"),
        ({"ids": ["1f0e7f3e-1c39-4f4e-9d52-0d4b9d9f3a11"], "all": True}, "", "invalid"),
        ({"all": False}, "/all", "invalid"),
        ({"all": "true"}, "/all", "invalid"),
        ({"all": 1}, "/all", "invalid"),
        ({"ids": []}, "/ids", "empty"),
        ({"ids": None}, "/ids", "null"),
        ({"ids": "x"}, "/ids", "not_a_list"),
        ({"ids": ["1f0e7f3e-1c39-4f4e-9d52-0d4b9d9f3a11", "x"]}, "/ids/1", "invalid"),
        ({"ids": [5]}, "/ids/0", "invalid"),
        ({"ids": [str(uuid4()) for _ in range(101)]}, "/ids", "max_length"),
        ({"all": True, "other": 1}, "/other", "unknown_field"),
    ],
)
def test_a_wrong_body_gets_an_error_with_a_pointer(alice_client, body, pointer, code):
    response = post(alice_client, body)

    assert response.status_code == 400
    assert response.json()["code"] == "invalid"
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [(pointer, code)]


def test_anonymous_clients_get_401(client, db):
    assert post(client, {"all": True}).status_code == 401
