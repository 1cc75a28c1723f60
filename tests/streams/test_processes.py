"""Streams of real server processes, read as a browser reads them."""

import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.models import AITask
from ai_tasks.progress import Delta, announce_end, report
from notifications import services
from tests.ai_tasks.ledger_helpers import expire_lease
from tests.conftest import client_of
from tests.factories import AITaskFactory, UserFactory
from tests.openai_server import running_server
from tests.processes import POLITE_SECONDS, environment_of_this_test, running_worker, wait_until
from tests.streams.conftest import bearer_of, source_of
from tests.streams.event_source import EventSource
from utils.redis.client import RedisUnavailable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def running_task(alice):
    return AITaskFactory(user=alice, status="running", attempt=1)


def tell(task, offset: int, text: str) -> None:
    report([Delta(task.pk, user_id=task.user_id, attempt=1, offset=offset, text=text)])


def finish(task) -> None:
    AITask.objects.filter(pk=task.pk).update(status="succeeded", progress=100, finished_at=timezone.now())
    announce_end(task.pk, user_id=task.user_id, attempt=1, status="succeeded", message="Done")


def text_of(events) -> str:
    return "".join(event.data["text"] for event in events if event.event == "task.delta")


@pytest.mark.parametrize("kind", ["events", "web"])
def test_a_workers_answer_is_read_as_it_is_written(alice, start_server, tmp_path, kind):
    client = client_of(alice)
    with running_server() as provider:
        provider.state.default = "slow"
        environment = {"AI_BASE_URL": provider.base_url, "AI_MODEL": "test-model"}
        with start_server(kind) as server, running_worker(tmp_path / "worker.log", **environment):
            body = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}
            assert client.post("/api/ai/tasks/", body, format="json").status_code == 202
            task = AITask.objects.get()
            with source_of(alice, server.events_of(task)) as source:
                events = source.until("task.succeeded")
                assert list(source.events()) == []  # the server ends the stream

    assert source.response_headers["content-type"] == "text/event-stream"
    assert source.response_headers["x-accel-buffering"] == "no"
    assert text_of(events).strip() == provider.state.answer.strip()
    assert len([event for event in events if event.event == "task.delta"]) > 2
    percents = [event.data["progress"] for event in events if event.event == "task.progress"]
    assert percents == sorted(percents)
    assert len({event.id for event in events}) == len(events)
    assert (events[-1].id, events[-1].data) == ("1-end", client.get(f"/api/ai/tasks/{task.pk}/").json())


def test_an_event_source_with_a_ticket_misses_nothing_and_gets_nothing_twice(alice, running_task, start_server):
    ticket = client_of(alice).post("/api/auth/stream-ticket/").json()["ticket"]
    words = [f"word{n} " for n in range(40)]
    with start_server() as one, start_server("web") as other:
        source = EventSource(f"{one.events_of(running_task)}?ticket={ticket}")
        events = []
        for n, word in enumerate(words):
            tell(running_task, n, word)
            if n % 10 == 0:  # the connection breaks, and another process goes on
                server = (one, other)[n // 10 % 2]
                source.url = source.url._replace(netloc=server.url.removeprefix("http://"))
                source.reconnect()
            if n % 3 == 0:
                while text_of(events) != "".join(words[: n + 1]):
                    events.append(next(source.events()))
        finish(running_task)
        events += source.until("task.succeeded")
        source.connect()
        assert source.status == 204

    assert text_of(events) == "".join(words)
    assert len({event.id for event in events}) == len(events) == len(words) + 1


def test_a_restart_after_a_dead_worker_is_in_the_same_stream(alice, start_server, tmp_path):
    client = client_of(alice)
    with running_server() as provider, start_server() as server:
        provider.state.script.extend(["hang_midway"])
        environment = {"AI_BASE_URL": provider.base_url, "AI_MODEL": "test-model"}
        body = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}
        assert client.post("/api/ai/tasks/", body, format="json").status_code == 202
        with source_of(alice, server.events_of(AITask.objects.get())) as source:
            with running_worker(tmp_path / "first.log", **environment):
                first = source.until("task.delta")
            with running_worker(tmp_path / "second.log", **environment):
                expire_lease(AITask.objects.get())
                ledger.sweep()
                events = source.until("task.succeeded")

    assert {event.data["attempt"] for event in first} == {1}
    restarted = [event.event for event in events].index("task.restarted")
    assert {event.data["attempt"] for event in events[restarted:]} == {2}
    assert text_of(events[restarted:]).strip() == provider.state.answer.strip()
    assert events[-1].id == "2-end"


def test_streams_outlive_a_restart_of_redis_that_loses_everything(alice, own_redis, running_task, start_server):
    with (
        start_server() as server,
        source_of(alice, server.events_of(running_task)) as task_events,
        source_of(alice, f"{server.url}/api/notifications/stream/") as user_events,
    ):
        tell(running_task, 0, "before ")
        assert text_of(task_events.until("task.delta")) == "before "

        own_redis.stop()
        own_redis.run()

        def told() -> bool:
            with suppress(RedisUnavailable):
                tell(running_task, 7, "after")
                return True
            return False

        wait_until(told)
        services.create(user_id=alice.pk, title="after", message="")
        assert [event.data["text"] for event in task_events.until("task.delta")] == ["after"]
        assert [event.data["title"] for event in user_events.until("notification")] == ["after"]
        finish(running_task)
        assert [event.id for event in task_events.until("task.succeeded")] == ["1-end"]


def test_the_end_of_a_task_comes_while_redis_is_gone(alice, own_redis, running_task, start_server):
    with start_server() as server, source_of(alice, server.events_of(running_task)) as source:
        tell(running_task, 0, "before")
        source.until("task.delta")
        own_redis.stop()
        finish(running_task)

        assert [event.id for event in source.until("task.succeeded")] == ["1-end"]
        with source_of(alice, server.events_of(running_task)) as late:
            assert [event.id for event in late.until("task.succeeded")] == ["1-end"]
        with source_of(alice, f"{server.url}/api/notifications/stream/") as refused:
            assert (refused.status, refused.body()["code"]) == (503, "unavailable")
        own_redis.run()


def connections_of(application: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [application])
        return cursor.fetchone()[0]


def test_any_number_of_streams_needs_at_most_four_database_connections(start_server):
    """All of them are opened at once, and told at once that their tasks have ended."""
    name = f"streams-{uuid4().hex}"  # servers of tests before may be leaving still
    database = environment_of_this_test()["DATABASE_URL"]
    named = f"{database}{'&' if '?' in database else '?'}application_name={name}"
    tasks = [AITaskFactory(user=user, status="running", attempt=1) for user in UserFactory.create_batch(15) * 8]
    with start_server(DATABASE_URL=named) as server:
        sources = [source_of(task.user, server.events_of(task)) for task in tasks]
        with ThreadPoolExecutor(len(sources)) as pool:
            list(pool.map(EventSource.connect, sources))
            assert {source.status for source in sources} == {200}
            for task in tasks:
                finish(task)
            ends = list(pool.map(lambda source: source.until("task.succeeded")[-1], sources))
        assert 1 <= connections_of(name) <= 4
        for source in sources:
            source.close()

    assert [event.data["id"] for event in ends] == [str(task.pk) for task in tasks]


def test_a_silent_stream_is_kept_open_and_a_reader_who_has_left_is_noticed(alice, running_task, start_server):
    environment = {"SSE_MAX_STREAMS": "1", "SSE_HEARTBEAT_SECONDS": "0.2"}
    with start_server("web", **environment) as server:
        url = server.events_of(running_task)
        source = source_of(alice, url)
        source.connect()
        parts = source.parts()
        assert next(parts).startswith("retry: ")
        assert [next(parts), next(parts)] == [":", ":"]
        with source_of(alice, url) as refused:
            assert (refused.status, refused.response_headers["retry-after"]) == (503, "30")
            assert refused.response_headers["content-type"] == "application/problem+json"
        source.close()

        def has_place() -> bool:
            with source_of(alice, url) as another:
                return another.status == 200

        wait_until(has_place, every=POLITE_SECONDS)


def test_a_client_that_leaves_a_silent_stream_releases_its_slot(alice, running_task, start_server):
    """Without a heartbeat there is nothing to send that could fail."""
    with start_server("web", SSE_MAX_STREAMS="1", SSE_HEARTBEAT_SECONDS="600") as server:
        url = server.events_of(running_task)
        with source_of(alice, url) as source:
            assert source.status == 200

        def has_place() -> bool:
            with source_of(alice, url) as another:
                return another.status == 200

        wait_until(has_place, every=POLITE_SECONDS)


@pytest.mark.parametrize("kind", ["events", "web"])
def test_a_server_that_is_told_to_stop_ends_its_streams(alice, running_task, start_server, kind):
    with start_server(kind) as server, source_of(alice, server.events_of(running_task)) as source:
        assert next(source.parts()).startswith("retry: ")
        server.process.send(signal.SIGTERM)

        assert list(source.events()) == []
        source.close()
        assert server.process.wait(60) == 0, server.process.output


def test_a_request_without_a_reader_to_come_is_no_stream(alice, running_task, start_server):
    """A HEAD request would be answered for ever."""
    with start_server() as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=60) as raw:
            lines = [f"HEAD /api/ai/tasks/{running_task.pk}/events/ HTTP/1.1", f"Host: {host}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in bearer_of(alice).items()]
            raw.sendall("\r\n".join([*lines, "", ""]).encode())
            assert raw.recv(1024).startswith(b"HTTP/1.1 405")
