"""Creating a notification: no database, the user's live inbox, and a row that follows."""

import json

import pytest

from notifications import inbox, services
from notifications.models import Notification
from tests.notifications.helpers import create, pending_ids
from utils.streaming.user_events import EVENTS_KEPT, user_events_key, user_stream


def test_creating_makes_no_query(alice, django_assert_num_queries):
    with django_assert_num_queries(0):
        create(alice)


def test_the_users_event_stream_gets_it(alice, empty_redis):
    with empty_redis.pubsub(ignore_subscribe_messages=True) as listener:
        _, channel = user_stream(alice.pk)
        listener.subscribe(channel)
        listener.get_message(timeout=60)
        notification = create(alice, title="Told")
        message = listener.get_message(timeout=60)

    event = json.loads(message["data"])
    assert event["event"] == "notification"
    assert (event["data"]["id"], event["data"]["title"]) == (notification, "Told")
    ((_, stored),) = empty_redis.xrange(user_events_key(alice.pk))
    assert stored[b"event"] == b"notification"
    assert json.loads(stored[b"data"]) == event["data"]


def test_all_of_a_user_in_redis_is_bounded(alice, empty_redis):
    for _ in range(400):
        create(alice)

    assert empty_redis.zcard(inbox.order_key(alice.pk)) == 100
    assert empty_redis.hlen(inbox.entries_key(alice.pk)) == 101  # and the token
    assert EVENTS_KEPT <= empty_redis.xlen(user_events_key(alice.pk)) < 400  # Redis trims whole nodes of about 100
    assert 0 < empty_redis.ttl(inbox.order_key(alice.pk)) <= inbox.INBOX_SECONDS
    assert 0 < empty_redis.ttl(inbox.entries_key(alice.pk)) <= inbox.INBOX_SECONDS
    assert 0 < empty_redis.ttl(user_events_key(alice.pk)) <= 3600


def test_with_redis_dead_the_row_is_written_at_once(alice, alice_client, dead_redis):
    notification = create(alice, notification_type="warning", action_id="a-1")

    row = Notification.objects.get()
    assert (str(row.pk), row.user_id, row.type, row.action_id) == (notification, alice.pk, "warning", "a-1")
    assert (row.read_at, row.notified_at) == (None, None)
    assert pending_ids(alice_client) == [notification]


def test_with_redis_dead_nothing_is_written_for_a_user_who_does_not_exist(db, dead_redis):
    services.create(user_id=2**62, title="Lost", message="")

    assert Notification.objects.count() == 0


def test_past_the_outboxs_limit_rows_are_written_at_once(alice, monkeypatch, empty_redis):
    monkeypatch.setattr(inbox, "OUTBOX_LIMIT", 1)
    create(alice)

    second = create(alice)

    assert [str(row.pk) for row in Notification.objects.all()] == [second]
    assert empty_redis.xlen(inbox.OUTBOX_KEY) == 1


def test_text_is_made_to_fit_its_columns(alice, alice_client):
    services.create(user_id=alice.pk, title="t" * 300, message="m\x00" * 2000)
    services.drain()

    row = Notification.objects.get()
    assert row.title == "t" * 200
    assert row.message == "m" * 1000


@pytest.mark.parametrize("wrong", [{"notification_type": "shout"}, {"action_id": "x" * 65}])
def test_a_wrong_type_or_action_id_is_the_callers_bug(wrong):
    with pytest.raises(ValueError, match=r"shout|64"):
        services.create(user_id=1, title="", message="", **wrong)
