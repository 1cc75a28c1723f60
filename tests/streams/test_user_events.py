"""What the stream of one user says."""

import threading
from contextlib import contextmanager

import pytest
from django.db import connection

from ai_tasks import progress
from ai_tasks.progress import Delta, Progress, announce_end, report
from notifications import inbox, services
from tests.conftest import client_of
from tests.factories import AITaskFactory
from tests.processes import wait_until
from tests.streams.conftest import reading
from tests.streams.event_source import Event, events_in
from utils.redis.pubsub import Listener
from utils.streaming import sse
from utils.streaming.clients import limiter
from utils.streaming.user_events import user_events_key

pytestmark = pytest.mark.django_db

STREAM = "/api/notifications/stream/"


@contextmanager
def listening(client, last_event_id: str = ""):
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    with reading(client, STREAM, **headers) as chunks:
        assert next(chunks).startswith(b"retry: ")
        yield chunks


def take(chunks, count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += events_in(next(chunks))
    return found


def notify(user, title: str = "Hello"):
    return services.create(user_id=user.pk, title=title, message="")


def test_a_notification_comes_as_pending_shows_it(alice, alice_client):
    with listening(alice_client) as chunks:
        notify(alice)
        (event,) = take(chunks, 1)

    assert event.event == "notification"
    assert event.data == alice_client.get("/api/notifications/pending/").json()["results"][0]


def test_tasks_come_without_their_text(alice, alice_client):
    task = AITaskFactory(user=alice, status="running", attempt=1)
    about = {"user_id": alice.pk, "attempt": 1}

    with listening(alice_client) as chunks:
        report([Progress(task.pk, percent=10, message="Writing", **about)])
        report([Delta(task.pk, offset=0, text="A loop", **about)])
        announce_end(task.pk, status="succeeded", message="Done", **about)
        told = take(chunks, 2)

    assert [(event.event, event.data) for event in told] == [
        ("task.progress", {"id": str(task.pk), "attempt": 1, "progress": 10, "message": "Writing"}),
        ("task.succeeded", {"id": str(task.pk), "attempt": 1, "status": "succeeded", "message": "Done"}),
    ]


def test_a_new_stream_gets_the_events_from_now_on(alice, alice_client):
    notify(alice, "old")

    with listening(alice_client) as chunks:
        notify(alice, "new")
        assert [event.data["title"] for event in take(chunks, 1)] == ["new"]


def test_a_reader_goes_on_after_the_last_event_that_they_had(alice, alice_client):
    for title in "abc":
        notify(alice, title)

    with listening(alice_client, "0-0") as chunks:
        told = take(chunks, 3)
    with listening(alice_client, told[0].id) as chunks:
        assert take(chunks, 2) == told[1:]
    assert [event.data["title"] for event in told] == ["a", "b", "c"]


def test_users_get_only_their_own_events(alice, alice_client, charlie):
    with listening(alice_client) as chunks, listening(client_of(charlie)) as strangers:
        notify(alice, "for Alice")
        notify(charlie, "for Charlie")
        assert [event.data["title"] for event in take(chunks, 1)] == ["for Alice"]
        assert [event.data["title"] for event in take(strangers, 1)] == ["for Charlie"]


def test_without_redis_clients_are_told_to_poll(alice_client, dead_redis):
    response = alice_client.get(STREAM)

    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert response["Retry-After"] == "30"


def test_an_open_stream_ends_when_redis_stays_unavailable(alice_client, monkeypatch, settings, request):
    monkeypatch.setattr(sse, "POLL_SECONDS", (0.01, 0.02))
    monkeypatch.setattr(sse, "WITHOUT_REDIS_SECONDS", 0.2)
    settings.SSE_HEARTBEAT_SECONDS = 60

    with listening(alice_client) as chunks:
        request.getfixturevalue("dead_redis")
        assert list(chunks) == []


def test_listening_costs_no_query_once_the_session_is_known(alice, warm, django_assert_num_queries):
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(0), listening(client):
        pass


@pytest.mark.django_db(transaction=True)
def test_a_stream_holds_no_database_connection(alice_client, warm):
    warm(alice_client)

    with listening(alice_client):
        assert connection.connection is None


def test_a_stream_wakes_for_an_event_between_reading_and_waiting(alice, alice_client, monkeypatch):
    """The gap is real: something is published whenever the reader has just read, which is wrapped to know when."""
    read, published = sse.read_entries, iter("abc")

    def read_and_be_overtaken(key, after):
        entries = read(key, after)
        if title := next(published, None):
            notify(alice, title)
        return entries

    monkeypatch.setattr(sse, "read_entries", read_and_be_overtaken)
    with listening(alice_client) as chunks:
        assert [event.data["title"] for event in take(chunks, 3)] == ["a", "b", "c"]


def listening_connections(redis) -> list[dict]:
    """Other test processes use the same server, each its own database."""
    database = str(redis.connection_pool.connection_kwargs["db"])
    return [client for client in redis.client_list(_type="pubsub") if client["db"] == database]


def test_one_connection_serves_all_subscriptions_and_closes_with_the_last(empty_redis):
    wait_until(lambda: not listening_connections(empty_redis))
    listener = Listener()
    subscriptions = [listener.subscribe(f"test:{n % 50}") for n in range(100)]
    for subscription in subscriptions:
        assert subscription.wait(60)  # confirmed
    assert [client["sub"] for client in listening_connections(empty_redis)] == ["50"]

    for subscription in (*subscriptions, *subscriptions):
        subscription.close()
    wait_until(lambda: not listening_connections(empty_redis))

    again = listener.subscribe("test:again")
    assert again.wait(60)
    again.close()


def test_whoever_joins_a_channel_that_is_confirmed_is_woken_at_once(empty_redis):
    listener = Listener()
    first = listener.subscribe("test:joined")
    assert first.wait(60)

    second = listener.subscribe("test:joined")

    assert second.wait(0)
    assert not first.wait(0)
    first.close()
    second.close()


def test_a_listener_that_lost_its_connection_wakes_everybody_when_it_is_back(empty_redis):
    listener = Listener()
    subscription = listener.subscribe("test:lost")
    assert subscription.wait(60)

    for client in listening_connections(empty_redis):
        empty_redis.client_kill_filter(_id=client["id"])

    assert subscription.wait(60)
    empty_redis.publish("test:lost", "")
    assert subscription.wait(60)
    subscription.close()


def test_streams_closed_by_many_threads_leave_nothing_behind(alice):
    listener = Listener()

    def come_and_go() -> None:
        for n in range(50):
            subscription = listener.subscribe(f"test:{n % 3}")
            subscription.wait(0.001)
            subscription.close()

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(listener) == 0


def test_both_writers_of_a_users_stream_mean_the_same_one(alice):
    assert progress.user_stream(alice.pk) == inbox.user_stream(alice.pk)


def test_a_task_whose_events_are_kept_a_minute_leaves_its_users_stream_an_hour(alice, empty_redis, monkeypatch):
    monkeypatch.setattr(progress, "TTL_SECONDS", 60)
    notify(alice, "Kept for an hour")
    task = AITaskFactory(user=alice, status="running", attempt=1)

    report([Progress(task.pk, alice.pk, 1, 10, "Writing")])

    assert 0 < empty_redis.ttl(progress.events_key(task.pk)) <= 60
    assert empty_redis.ttl(user_events_key(alice.pk)) > 60


@pytest.mark.parametrize("last_event_id", ["x", "1", "1-end", "99-end"])
def test_an_event_id_that_is_not_of_a_users_stream_is_refused(alice_client, last_event_id):
    for answer in (
        alice_client.get(STREAM, {"last_event_id": last_event_id}),
        alice_client.get(STREAM, headers={"Last-Event-ID": last_event_id}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_last_event_id")


def test_a_stream_that_is_never_read_releases_its_slot(alice_client):
    with reading(alice_client, STREAM):
        assert len(limiter) == 1

    assert len(limiter) == 0
