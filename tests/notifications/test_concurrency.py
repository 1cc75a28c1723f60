"""Many at once, on real engines: nothing is lost, nothing comes back."""

import pytest

from notifications import services
from notifications.models import Notification
from tests.factories import NotificationFactory
from tests.notifications.helpers import create, in_parallel, mark_read
from utils.http.json import loads_strictly

pytestmark = pytest.mark.django_db(transaction=True)


def pending(user) -> set[str]:
    return {loads_strictly(body)["id"] for body in services.pending(user_id=user.pk)}


def unread_rows(user) -> set[str]:
    return {str(pk) for pk in Notification.objects.filter(user=user, read_at=None).values_list("pk", flat=True)}


def test_of_80_created_at_once_none_is_lost(alice):
    services.pending(user_id=alice.pk)

    ids = set(in_parallel([lambda: create(alice)] * 80))

    assert len(ids) == 80
    assert pending(alice) == ids
    services.drain()
    assert unread_rows(alice) == ids


def test_reads_creates_lists_pushes_and_drains_at_once_agree_in_the_end(alice):
    to_read = [create(alice) for _ in range(20)]
    services.drain(limit=10)
    rows = NotificationFactory.create_batch(10, user=alice)

    answers = in_parallel(
        [lambda: create(alice)] * 20
        + [lambda id_=id_: mark_read(alice, id_) for id_ in to_read]
        + [lambda: pending(alice)] * 10
        + [services.drain] * 3
        + [services.push_unpushed] * 3
    )

    created = set(answers[:20])
    assert answers[20:40] == [1] * 20
    services.drain()
    services.push_unpushed()
    expected = created | {str(row.pk) for row in rows}
    assert pending(alice) == expected
    assert pending(alice) == expected
    assert unread_rows(alice) == expected


def test_one_notification_read_by_many_at_once_counts_once(alice):
    notification = create(alice)

    counts = in_parallel([lambda: mark_read(alice, notification)] * 10 + [services.drain] * 2)[:10]

    assert sum(counts) == 1
    assert pending(alice) == set()
    services.drain()
    assert unread_rows(alice) == set()


def test_all_read_by_many_at_once_counts_each_once(alice):
    for _ in range(20):
        create(alice)
    services.drain(limit=10)
    NotificationFactory.create_batch(10, user=alice)

    counts = in_parallel([lambda: services.mark_read(user_id=alice.pk)] * 6 + [services.push_unpushed, services.drain])[
        :6
    ]

    assert sum(counts) == 30
    assert pending(alice) == set()
    services.drain()
    assert unread_rows(alice) == set()
