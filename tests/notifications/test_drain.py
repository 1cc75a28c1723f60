"""The write-behind: from Redis into the table, once."""

import logging
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from django.db import transaction

from notifications import inbox, quarantine, services
from notifications.models import Notification
from tests.notifications.helpers import (
    PENDING,
    create,
    in_parallel,
    pending_ids,
    wait_until_a_statement_waits_for_a_lock,
)
from utils.http.json import dumps


def test_entries_become_rows_as_they_were_created(alice):
    notification = services.create(
        user_id=alice.pk, title="✓ Done", message="Ready.", notification_type="success", action_id="a-1"
    )

    assert services.drain() == 1

    row = Notification.objects.get()
    assert (row.pk, row.user_id, row.type, row.title, row.message, row.action_id) == (
        notification, alice.pk, "success", "✓ Done", "Ready.", "a-1",
    )  # fmt: skip
    assert row.read_at is None
    assert row.notified_at is not None


def test_the_row_shows_what_the_inbox_showed(alice, alice_client, empty_redis):
    create(alice)
    live = alice_client.get(PENDING).content
    services.drain()
    empty_redis.flushdb()

    assert alice_client.get(PENDING).content == live


def test_a_drained_outbox_is_empty(alice, empty_redis):
    create(alice)

    assert (services.drain(), services.drain()) == (1, 0)
    assert empty_redis.xlen(inbox.OUTBOX_KEY) == 0


def test_entries_that_come_twice_become_one_row(alice, empty_redis):
    create(alice)
    ((_, fields),) = empty_redis.xrange(inbox.OUTBOX_KEY)
    empty_redis.xadd(inbox.OUTBOX_KEY, fields)  # in the same batch
    assert services.drain() == 2
    empty_redis.xadd(inbox.OUTBOX_KEY, fields)  # as after a death between COMMIT and taking it off
    assert services.drain() == 1

    assert Notification.objects.count() == 1


def test_a_drain_takes_no_more_than_its_limit(alice):
    first, second, third = create(alice), create(alice), create(alice)

    assert services.drain(limit=2) == 2
    assert {str(row.pk) for row in Notification.objects.all()} == {first, second}
    assert services.drain(limit=2) == 1
    assert {str(row.pk) for row in Notification.objects.all()} == {first, second, third}


def test_entries_of_users_who_are_gone_are_dropped(alice, empty_redis):
    services.create(user_id=2**62, title="To nobody", message="")
    mine = create(alice)

    assert services.drain() == 2
    assert [str(row.pk) for row in Notification.objects.all()] == [mine]
    assert empty_redis.exists(quarantine.QUARANTINE_KEY) == 0


def item(user_id: int, **changed: str) -> dict[str, object]:
    fields = {"id": str(uuid4()), "type": "info", "title": "", "message": "", "action_id": ""}
    fields["created_at"] = "2026-11-23T10:00:00.000000Z"
    return {"user_id": user_id, "body": dumps({**fields, **changed})}


@pytest.mark.parametrize(
    "bad",
    [
        {"x": "y"},
        {"user_id": "alice", "body": b"{}"},
        {"user_id": 1, "body": b"{"},
        {"user_id": 1, "body": b"[]"},
        {"user_id": 1, "body": b"{}"},
        item(1, id="x"),
        item(1, type="shout"),
        item(1, created_at="yesterday"),
        item(1, title="x" * 201),
        item(1, title="\x00"),
        item(2**63),
    ],
)
def test_an_entry_that_cannot_be_stored_is_quarantined_and_delays_no_other(alice, empty_redis, caplog, bad):
    before = create(alice)
    bad = {**bad, "user_id": alice.pk} if bad.get("user_id") == 1 else bad
    stream_id = empty_redis.xadd(inbox.OUTBOX_KEY, bad).decode()
    after = create(alice)

    with caplog.at_level(logging.ERROR, logger="notifications.services"):
        assert services.drain() == 3

    assert {str(row.pk) for row in Notification.objects.all()} == {before, after}
    assert empty_redis.xlen(inbox.OUTBOX_KEY) == 0
    ((_, kept),) = empty_redis.xrange(quarantine.QUARANTINE_KEY)
    assert {name.decode() for name in kept} == {"reason", *bad}
    assert kept[b"reason"]
    assert empty_redis.ttl(quarantine.QUARANTINE_KEY) == quarantine.TTL_SECONDS
    assert [record.args[0] for record in caplog.records] == [stream_id]


@pytest.mark.django_db(transaction=True)
def test_drains_at_once_write_each_row_once(alice, empty_redis):
    ids = {create(alice) for _ in range(90)}
    empty_redis.xadd(inbox.OUTBOX_KEY, {"x": "y"})

    taken = in_parallel([services.drain] * 6)

    assert sum(taken) == 91
    assert {str(row.pk) for row in Notification.objects.all()} == ids
    assert empty_redis.xlen(inbox.OUTBOX_KEY) == 0
    assert empty_redis.xlen(quarantine.QUARANTINE_KEY) == 1


def test_an_item_is_quarantined_once(empty_redis):
    empty_redis.xadd(inbox.OUTBOX_KEY, {"x": "y"})
    (seen,) = inbox.outbox(10)

    assert [quarantine.put(seen, "bad"), quarantine.put(seen, "bad")] == [True, False]
    assert empty_redis.xlen(quarantine.QUARANTINE_KEY) == 1


@pytest.mark.django_db(transaction=True)
def test_a_user_who_is_being_deleted_holds_up_no_others(alice, charlie):
    create(alice)
    kept = create(charlie)

    with ThreadPoolExecutor(1) as thread:
        with transaction.atomic():
            alice.delete()
            draining = thread.submit(in_parallel, [services.drain])
            wait_until_a_statement_waits_for_a_lock()
        assert draining.result() == [2]

    assert [str(row.pk) for row in Notification.objects.all()] == [kept]


def test_with_redis_dead_nothing_is_drained(db, dead_redis):
    assert services.drain() == 0


@pytest.mark.parametrize("lost", [inbox.entries_key, inbox.order_key])
def test_an_entry_that_was_evicted_before_it_had_a_row_is_pending_again(alice, alice_client, empty_redis, lost):
    notification = create(alice)
    empty_redis.delete(lost(alice.pk))
    assert pending_ids(alice_client) == []  # neither in the inbox nor in the table: held to be complete

    services.drain()

    assert pending_ids(alice_client) == [notification]


def test_draining_what_is_in_the_inbox_leaves_it_warm(alice, alice_client, warm, django_assert_num_queries):
    warm(alice_client)
    notification = create(alice)
    services.drain()

    with django_assert_num_queries(0):
        assert pending_ids(alice_client) == [notification]
