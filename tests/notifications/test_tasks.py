"""Notifications of finished tasks: rows of the task's transaction, pushed afterwards."""

from uuid import UUID, uuid4

import pytest
from django.db import transaction

from notifications import services
from notifications.models import Notification
from tests.factories import NotificationFactory
from tests.notifications.helpers import in_parallel, mark_read, pending_ids, redis_away
from utils.streaming.user_events import user_events_key

TASK = UUID("6b6f0f0a-3c53-4c7e-8d8f-0c5c2f0d9d11")


def record(user, task_id=TASK, title="Done"):
    return services.record_for_task(user_id=user.pk, task_id=task_id, type="success", title=title, message="Ready.")


def test_a_task_has_one_row_however_often_it_is_recorded(alice):
    first, second = record(alice), record(alice, title="Again")

    row = Notification.objects.get()
    assert first.pk == second.pk == row.pk
    assert (row.user_id, row.type, row.title, row.message, row.action_id) == (
        alice.pk, "success", "Done", "Ready.", str(TASK),
    )  # fmt: skip
    assert (row.read_at, row.notified_at) == (None, None)


def test_the_row_goes_with_the_tasks_transaction(alice):
    with transaction.atomic():
        record(alice)
        transaction.set_rollback(True)

    assert Notification.objects.count() == 0


def test_a_pushed_row_is_pending_and_known_as_such(alice, alice_client, django_assert_num_queries):
    pending_ids(alice_client)
    notification = record(alice)
    services.push(notification)

    assert Notification.objects.get().notified_at is not None
    with django_assert_num_queries(0):
        assert pending_ids(alice_client) == [str(notification.pk)]


def test_pushing_twice_notifies_the_user_once(alice, empty_redis):
    notification = record(alice)

    services.push(notification)
    services.push(notification)

    assert empty_redis.xlen(user_events_key(alice.pk)) == 1


def test_a_death_between_redis_and_commit_notifies_the_user_once(alice, empty_redis):
    services.push(record(alice))
    Notification.objects.update(notified_at=None)

    assert services.push_unpushed() == 1
    assert empty_redis.xlen(user_events_key(alice.pk)) == 1


def test_pushing_does_not_restore_a_read_notification(alice, alice_client):
    notification = record(alice)
    mark_read(alice, str(notification.pk))
    assert pending_ids(alice_client) == []  # a complete inbox

    services.push(notification)

    assert services.push_unpushed() == 0
    assert pending_ids(alice_client) == []


def test_with_redis_away_the_sweep_pushes_later(alice, alice_client, settings):
    pending_ids(alice_client)
    with redis_away(settings):
        notification = record(alice)
        services.push(notification)
        assert services.push_unpushed() == 0
        assert Notification.objects.get().notified_at is None

    assert services.push_unpushed() == 1
    assert pending_ids(alice_client) == [str(notification.pk)]
    assert services.push_unpushed() == 0


def test_the_sweep_pushes_the_oldest_first_up_to_its_limit(alice):
    ids = [record(alice, task_id=uuid4()).pk for _ in range(3)]

    assert services.push_unpushed(limit=2) == 2
    assert list(Notification.objects.filter(notified_at=None).values_list("pk", flat=True)) == ids[2:]


@pytest.mark.parametrize("row_count", [1, 10, 100])
def test_the_sweep_costs_the_same_for_any_number_of_rows(alice, row_count, django_assert_num_queries):
    NotificationFactory.create_batch(row_count, user=alice)

    with django_assert_num_queries(4):  # a transaction's two, the rows, their moment
        assert services.push_unpushed() == row_count


@pytest.mark.django_db(transaction=True)
def test_sweeps_at_once_push_each_row_once(alice, empty_redis):
    NotificationFactory.create_batch(50, user=alice)

    pushed = in_parallel([services.push_unpushed] * 4)

    assert sum(pushed) == 50
    assert empty_redis.xlen(user_events_key(alice.pk)) == 50


@pytest.mark.django_db(transaction=True)
def test_a_row_that_another_process_is_pushing_is_skipped(alice):
    row = NotificationFactory(user=alice)
    other = NotificationFactory(user=alice)

    with transaction.atomic():
        Notification.objects.select_for_update().get(pk=row.pk)
        assert in_parallel([services.push_unpushed]) == [1]

    assert Notification.objects.get(notified_at=None) == row
    assert Notification.objects.exclude(notified_at=None).get() == other
