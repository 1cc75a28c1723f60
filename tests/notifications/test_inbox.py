"""The protocol that keeps the live inbox and the table telling the same."""

import itertools

import pytest
from django.db import OperationalError
from django.utils import timezone

from notifications import inbox, services
from notifications.models import Notification
from tests.conftest import Interrupted
from tests.factories import NotificationFactory
from tests.notifications.helpers import PENDING, create, entry_of, mark_read, pending_ids, redis_away
from utils.redis.client import EPOCH_KEY


def merge(user, seen: inbox.Snapshot, *, unread, read_ids) -> bool:
    """Whether the inbox was as it had been seen, and is complete now."""
    return inbox.merge(user.pk, seen, unread=inbox.as_inbox_entries(unread), read_ids=read_ids)


def age_marker(redis, user, milliseconds: int) -> None:
    """Let time pass for the marker only."""
    expires, epoch = redis.hget(inbox.entries_key(user.pk), "@marker").split(b":", 1)
    redis.hset(inbox.entries_key(user.pk), "@marker", b"%d:%s" % (int(expires) - milliseconds, epoch))


def test_a_complete_inbox_believes_itself_for_three_minutes(alice, alice_client, empty_redis):
    pending_ids(alice_client)
    row = NotificationFactory(user=alice)  # nobody pushed it

    age_marker(empty_redis, alice, 2 * 60_000)
    assert pending_ids(alice_client) == []

    age_marker(empty_redis, alice, 60_000)
    assert pending_ids(alice_client) == [str(row.pk)]


def test_completing_removes_entries_that_the_table_has_as_read(alice, alice_client, empty_redis):
    notification = create(alice)
    services.drain()
    pending_ids(alice_client)
    Notification.objects.update(read_at=timezone.now())  # as by a process that died before it told the inbox

    age_marker(empty_redis, alice, inbox.MARKER_MILLISECONDS)
    assert pending_ids(alice_client) == []
    assert empty_redis.hexists(inbox.entries_key(alice.pk), notification) is False


def test_completing_keeps_entries_without_a_row(alice, alice_client, empty_redis):
    pending_ids(alice_client)
    notification = create(alice)

    age_marker(empty_redis, alice, inbox.MARKER_MILLISECONDS)
    assert pending_ids(alice_client) == [notification]


def test_completing_does_not_touch_a_strangers_rows(alice, charlie, alice_client, charlie_client):
    mine = NotificationFactory(user=alice)
    theirs = NotificationFactory(user=charlie)

    assert pending_ids(alice_client) == [str(mine.pk)]
    assert pending_ids(charlie_client) == [str(theirs.pk)]


def test_a_merge_is_refused_after_the_inbox_changed(alice):
    stale = entry_of(NotificationFactory(user=alice))
    services.pending(user_id=alice.pk)
    seen = inbox.read(alice.pk)
    mark_read(alice, str(stale.id))

    assert merge(alice, seen, unread=[stale], read_ids=[]) is False

    assert services.pending(user_id=alice.pk) == []


def test_a_merge_is_refused_after_reading_an_entry_that_was_not_in_the_inbox(alice):
    stale = entry_of(NotificationFactory(user=alice))
    seen = inbox.read(alice.pk)
    mark_read(alice, str(stale.id))

    assert merge(alice, seen, unread=[stale], read_ids=[]) is False


def test_a_merge_is_refused_while_there_is_a_reader_marker(alice):
    entry = entry_of(NotificationFactory(user=alice))
    with inbox.marking_as_read(alice.pk, None):
        assert merge(alice, inbox.read(alice.pk), unread=[entry], read_ids=[]) is False

    assert merge(alice, inbox.read(alice.pk), unread=[entry], read_ids=[]) is True


def test_two_who_complete_an_inbox_at_once_may_both_do_so(alice):
    entry = entry_of(NotificationFactory(user=alice))
    first, second = inbox.read(alice.pk), inbox.read(alice.pk)

    assert merge(alice, first, unread=[entry], read_ids=[]) is True
    assert merge(alice, second, unread=[entry], read_ids=[]) is True
    assert services.pending(user_id=alice.pk) == [entry.body()]


def test_a_new_epoch_makes_every_inbox_incomplete(alice, alice_client, empty_redis):
    pending_ids(alice_client)
    row = NotificationFactory(user=alice)

    empty_redis.set(EPOCH_KEY, "another")
    assert pending_ids(alice_client) == [str(row.pk)]


def test_an_epoch_that_began_after_the_table_was_read_does_not_complete_the_inbox(alice, empty_redis):
    seen = inbox.read(alice.pk)
    empty_redis.set(EPOCH_KEY, "another")

    merge(alice, seen, unread=[], read_ids=[])

    assert inbox.read(alice.pk).complete is False


@pytest.mark.parametrize("lost", [inbox.entries_key, inbox.order_key])
def test_an_inbox_of_which_half_was_evicted_begins_anew(alice, alice_client, empty_redis, lost):
    NotificationFactory.create_batch(3, user=alice)
    ids = pending_ids(alice_client)

    empty_redis.delete(lost(alice.pk))
    assert pending_ids(alice_client) == ids
    assert pending_ids(alice_client) == ids


def test_a_death_after_commit_hides_no_read(alice, alice_client, redis_proxy, interrupt):
    """The process ends between COMMIT and telling the inbox."""
    kept, read, known = create(alice), create(alice), create(alice)
    mark_read(alice, known)  # so that Redis knows the scripts
    assert pending_ids(alice_client) == [read, kept]
    commands = itertools.count()

    def end_at_the_second(data: bytes) -> bytes:
        if next(commands):
            interrupt()
            return b""
        return data

    redis_proxy.send = end_at_the_second
    with pytest.raises(Interrupted):
        mark_read(alice, read)
    del redis_proxy.send

    assert pending_ids(alice_client) == [kept]


def test_a_failed_transaction_leaves_everything_unread(alice, alice_client):
    notification = create(alice)
    pending_ids(alice_client)

    with pytest.raises(ZeroDivisionError), inbox.marking_as_read(alice.pk, None):
        _ = 1 / 0

    assert pending_ids(alice_client) == [notification]


def test_an_inbox_changed_by_others_while_it_was_read_is_completed_again(alice, alice_client):
    create(alice)
    pending_ids(alice_client)
    with inbox.marking_as_read(alice.pk, None):
        late = create(alice)

    assert inbox.read(alice.pk).complete is False
    assert pending_ids(alice_client) == [late]


def test_a_request_that_ends_while_another_marks_as_read_leaves_the_inbox_incomplete(alice):
    services.pending(user_id=alice.pk)
    first, second = inbox.marking_as_read(alice.pk, None), inbox.marking_as_read(alice.pk, None)
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)

    assert inbox.read(alice.pk).complete is False


def test_a_commit_of_unknown_outcome_without_redis_hides_no_read(alice, alice_client, settings):
    row = NotificationFactory(user=alice)
    assert pending_ids(alice_client) == [str(row.pk)]

    with redis_away(settings), pytest.raises(OperationalError), inbox.marking_as_read(alice.pk, [row.pk]):  # noqa: PT012
        Notification.objects.update(read_at=timezone.now())
        raise OperationalError("The connection broke during COMMIT.")

    assert pending_ids(alice_client) == []


def test_an_inbox_completed_between_two_outages_of_one_read_hides_no_read(alice, alice_client, settings):
    row = NotificationFactory(user=alice)
    reading = inbox.marking_as_read(alice.pk, [row.pk])
    with redis_away(settings):
        reading.__enter__()
    assert pending_ids(alice_client) == [str(row.pk)]
    Notification.objects.update(read_at=timezone.now())
    with redis_away(settings):
        reading.__exit__(None, None, None)

    assert pending_ids(alice_client) == []


def test_completing_a_crowded_inbox_keeps_the_newest_100(alice, alice_client):
    rows = NotificationFactory.create_batch(90, user=alice)
    newest = [create(alice) for _ in range(20)][::-1]

    for _cold_then_warm in range(2):
        ids = pending_ids(alice_client)
        assert len(ids) == 100
        assert ids[:20] == newest
        assert set(ids[20:]) < {str(row.pk) for row in rows}


def test_redis_failing_before_an_inbox_is_completed_changes_no_response(alice, redis_proxy):
    row = NotificationFactory(user=alice)
    assert inbox.read(alice.pk).complete is False
    commands = itertools.count()

    def cut_the_second(data: bytes) -> bytes:
        if next(commands):
            raise ConnectionError
        return data

    redis_proxy.send = cut_the_second

    assert services.pending(user_id=alice.pk) == [entry_of(row).body()]


def test_after_redis_is_wiped_notifications_with_rows_are_listed_again(alice, alice_client, empty_redis):
    drained, read = create(alice), create(alice)
    mark_read(alice, read)
    services.drain()
    empty_redis.flushdb()

    assert pending_ids(alice_client) == [drained]


def test_an_outage_in_between_loses_nothing_that_has_a_row(alice, alice_client, settings):
    before = create(alice)
    with redis_away(settings):
        during = create(alice)
        assert alice_client.get(PENDING).json()["count"] == 1  # the other one has no row yet
    services.push_unpushed()
    after = create(alice)

    assert pending_ids(alice_client) == [after, during, before]
