"""What the stream of one task says, read in this process."""

from contextlib import ExitStack
from uuid import uuid4

import pytest
from django.utils import timezone

from ai_tasks import ledger, progress
from ai_tasks.models import AITask
from ai_tasks.progress import Delta, Progress, announce_end, events_key, report
from ai_tasks.views import events
from tests.conftest import client_of
from tests.factories import AITaskFactory
from tests.streams.conftest import read_all, reading
from tests.streams.event_source import events_in
from utils.streaming import clients as sse_clients
from utils.streaming import sse

pytestmark = pytest.mark.django_db

RESULT = {"content": "A loop repeats.", "code": None, "code_language": None, "sources": [], "notice": None}


def path_of(task) -> str:
    return f"/api/ai/tasks/{task.pk}/events/"


def tell(task, *texts: str, attempt: int = 1) -> None:
    """What a worker tells about an attempt that writes these texts."""
    report([Progress(task.pk, task.user_id, attempt, 10, "Writing the answer")])
    written = 0
    for text in texts:
        report([Delta(task.pk, user_id=task.user_id, attempt=attempt, offset=written, text=text)])
        written += len(text)


def finish(task, *, announce: bool = True) -> None:
    ended = {"status": "succeeded", "attempt": 1, "progress": 100, "message": "Done", "result": RESULT}
    AITask.objects.filter(pk=task.pk).update(finished_at=timezone.now(), **ended)
    if announce:
        announce_end(task.pk, user_id=task.user_id, attempt=1, status="succeeded", message="Done")


@pytest.fixture
def running_task(alice):
    return AITaskFactory(user=alice, status="running", attempt=1)


@pytest.fixture
def finished_task(running_task):
    tell(running_task, "A loop", " repeats.")
    finish(running_task)
    return running_task


def test_a_finished_task_is_told_from_the_beginning_to_its_end(alice_client, finished_task):
    told = read_all(alice_client.get(path_of(finished_task)))

    assert [event.event for event in told] == ["task.progress", "task.delta", "task.delta", "task.succeeded"]
    assert told[0].data == {
        "id": str(finished_task.pk),
        "attempt": 1,
        "progress": 10,
        "message": "Writing the answer",
    }
    assert [(event.data["offset"], event.data["text"]) for event in told[1:3]] == [(0, "A loop"), (6, " repeats.")]
    assert told[3].id == "1-end"
    assert told[3].data == alice_client.get(f"/api/ai/tasks/{finished_task.pk}/").json()
    assert told[3].data["result"] == RESULT


def test_the_response_is_an_event_stream_without_buffering_or_caching(alice_client, finished_task):
    response = alice_client.get(path_of(finished_task), headers={"Accept": "text/event-stream"})

    assert response["Content-Type"] == "text/event-stream"
    assert (response["Cache-Control"], response["X-Accel-Buffering"]) == ("no-store", "no")
    assert b"".join(response.streaming_content).startswith(b"retry: ")


@pytest.mark.parametrize("way", ["header", "query", "header over query"])
def test_a_reader_goes_on_after_the_last_event_that_they_had(alice_client, finished_task, way):
    everything = read_all(alice_client.get(path_of(finished_task)))
    last, other = everything[1].id, everything[0].id
    query = {"header": "", "query": f"?last_event_id={last}", "header over query": f"?last_event_id={other}"}[way]
    headers = {} if way == "query" else {"Last-Event-ID": last}

    assert read_all(alice_client.get(path_of(finished_task) + query, headers=headers)) == everything[2:]


def test_who_has_had_the_end_is_told_not_to_come_back(alice_client, finished_task):
    response = alice_client.get(path_of(finished_task), headers={"Last-Event-ID": "1-end"})

    assert (response.status_code, response.content) == (204, b"")


def test_the_end_of_another_attempt_is_not_resumed_from(alice_client, finished_task):
    everything = read_all(alice_client.get(path_of(finished_task)))

    assert read_all(alice_client.get(path_of(finished_task), headers={"Last-Event-ID": "7-end"})) == everything


@pytest.mark.parametrize("last_event_id", ["x", "1", "1-", "-1", "1-x", "1-1 ", "9" * 30 + "-0", "1-1\u0661", "(1-1"])
def test_an_event_id_that_is_none_of_ours_is_refused(alice_client, finished_task, last_event_id):
    response = alice_client.get(path_of(finished_task), {"last_event_id": last_event_id})

    assert (response.status_code, response.json()["code"]) == (400, "invalid_last_event_id")


def test_the_end_of_a_task_whose_stream_was_evicted_comes_from_its_row(alice_client, finished_task, empty_redis):
    *_, live_end = read_all(alice_client.get(path_of(finished_task)))
    empty_redis.delete(events_key(finished_task.pk))

    assert read_all(alice_client.get(path_of(finished_task))) == [live_end]


def test_the_end_comes_while_redis_is_dead(alice_client, finished_task, dead_redis):
    assert [event.id for event in read_all(alice_client.get(path_of(finished_task)))] == ["1-end"]


def test_an_end_that_redis_was_never_told_is_found_in_the_row(alice_client, running_task, monkeypatch):
    monkeypatch.setattr(events.ended_tasks, "seconds", 0.1)
    tell(running_task, "A loop")

    with reading(alice_client, path_of(running_task)) as chunks:
        next(chunks)
        assert [event.event for event in events_in(next(chunks))] == ["task.progress", "task.delta"]
        finish(running_task, announce=False)
        assert [event.id for event in events_in(b"".join(chunks))] == ["1-end"]


def test_an_end_is_found_while_redis_is_dead(alice_client, running_task, monkeypatch, dead_redis):
    monkeypatch.setattr(events.ended_tasks, "seconds", 0.1)
    monkeypatch.setattr(sse, "POLL_SECONDS", (0.05, 0.1))

    with reading(alice_client, path_of(running_task)) as chunks:
        next(chunks)
        finish(running_task, announce=False)
        assert [event.id for event in events_in(b"".join(chunks))] == ["1-end"]


def test_the_stream_of_a_task_that_is_gone_ends(alice_client, running_task, monkeypatch):
    monkeypatch.setattr(events.ended_tasks, "seconds", 0.1)

    with reading(alice_client, path_of(running_task)) as chunks:
        next(chunks)
        AITask.objects.all().delete()
        assert b"".join(chunks) == b""


def test_rows_are_looked_up_for_all_streams_together(alice, no_limits, monkeypatch, django_assert_num_queries):
    tasks = [AITaskFactory(user=alice, status="running", attempt=1) for _ in range(50)]
    monkeypatch.setattr(events.ended_tasks, "seconds", 0)
    for task in tasks:
        events.ended_tasks.watch(task.pk)
    finish(tasks[7])
    monkeypatch.setattr(events.ended_tasks, "seconds", 60)

    with django_assert_num_queries(1):
        ended = [task for task in tasks if events.ended_tasks.has_ended(task.pk)]

    assert ended == [tasks[7]]
    for task in tasks:
        events.ended_tasks.unwatch(task.pk)


def test_a_new_attempt_says_that_the_text_begins_anew(alice_client, running_task):
    tell(running_task, "A lo")
    tell(running_task, "A loop repeats.", attempt=2)
    tell(running_task, "late words of the first attempt")
    finish(running_task)

    told = read_all(alice_client.get(path_of(running_task)))

    assert [(event.event, event.data["attempt"]) for event in told[:-1]] == [
        ("task.progress", 1),
        ("task.delta", 1),
        ("task.restarted", 2),
        ("task.progress", 2),
        ("task.delta", 2),
    ]


def test_a_second_attempt_is_a_restart_even_if_redis_lost_the_first(alice_client, running_task, empty_redis):
    tell(running_task, "A lo")
    empty_redis.flushdb()
    tell(running_task, "A loop repeats.", attempt=2)
    finish(running_task)

    told = read_all(alice_client.get(path_of(running_task)))

    assert [event.event for event in told] == ["task.restarted", "task.progress", "task.delta", "task.succeeded"]


def test_more_events_than_one_read_takes_come_once_and_in_order(alice_client, running_task, monkeypatch):
    monkeypatch.setattr(sse, "ENTRIES_PER_READ", 10)
    tell(running_task, *map(str, range(35)))
    finish(running_task)

    told = read_all(alice_client.get(path_of(running_task)))

    assert [event.data["text"] for event in told if event.event == "task.delta"] == list(map(str, range(35)))


def test_a_task_cancelled_before_it_ran_ends_with_attempt_0(alice_client, alice):
    task = AITaskFactory(user=alice)
    ledger.cancel(task_id=task.pk, user_id=alice.pk)

    assert [(event.id, event.event) for event in read_all(alice_client.get(path_of(task)))] == [
        ("0-end", "task.cancelled")
    ]


def test_a_stranger_gets_the_404_of_a_task_that_does_not_exist(charlie_client, finished_task):
    request_id = {"X-Request-ID": "same"}
    foreign = charlie_client.get(path_of(finished_task), headers=request_id)
    missing = charlie_client.get(f"/api/ai/tasks/{uuid4()}/events/", headers=request_id)

    assert foreign.status_code == missing.status_code == 404
    assert foreign.content == missing.content
    of_each_request = {name: foreign[name] for name in ("RateLimit", "RateLimit-Remaining")}
    assert {**foreign.headers} == {**missing.headers, **of_each_request}


def test_reading_needs_authentication(client, finished_task):
    response = client.get(path_of(finished_task))

    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")


@pytest.mark.parametrize("method", ["head", "post", "delete"])
def test_a_stream_can_only_be_read(alice_client, finished_task, method):
    assert getattr(alice_client, method)(path_of(finished_task)).status_code == 405


def test_opening_a_stream_costs_one_query_and_its_end_another(alice, finished_task, warm, django_assert_num_queries):
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(1):  # whose task it is
        response = client.get(path_of(finished_task))
    with django_assert_num_queries(1):  # the end
        read_all(response)


def test_a_silent_stream_is_kept_open_by_comments(alice_client, running_task, settings):
    settings.SSE_HEARTBEAT_SECONDS = 0.1

    with reading(alice_client, path_of(running_task)) as chunks:
        assert next(chunks).startswith(b"retry: ")
        assert [next(chunks), next(chunks)] == [b":\n\n", b":\n\n"]


def test_streams_past_the_cap_are_told_to_come_back_later(alice_client, charlie, running_task, settings):
    settings.SSE_MAX_STREAMS = 1
    other = AITaskFactory(user=charlie, status="running", attempt=1)
    charlie_client = client_of(charlie)

    with reading(alice_client, path_of(running_task)):
        refused = charlie_client.get(path_of(other))
        assert (refused.status_code, refused["Content-Type"]) == (503, "application/problem+json")
        assert (refused.json()["code"], refused["Retry-After"]) == ("too_many_streams", "30")
    with reading(charlie_client, path_of(other)):
        assert len(sse_clients.limiter) == 1
    assert len(sse_clients.limiter) == 0


@pytest.mark.parametrize(("slots", "share"), [(2, 1), (3, 1), (8, 4), (100, 10)])
def test_no_user_gets_all_slots(alice_client, charlie, running_task, settings, slots, share):
    settings.SSE_MAX_STREAMS = slots
    other = AITaskFactory(user=charlie, status="running", attempt=1)

    with ExitStack() as open_streams:
        for _ in range(share):
            open_streams.enter_context(reading(alice_client, path_of(running_task)))
        assert alice_client.get(path_of(running_task)).status_code == 503
        with reading(client_of(charlie), path_of(other)):
            assert len(sse_clients.limiter) == share + 1


def test_events_are_json_in_one_line(alice_client, running_task):
    tell(running_task, "two\nlines\r\nand \u2028 more")
    finish(running_task)

    told = read_all(alice_client.get(path_of(running_task)))

    assert told[1].data["text"] == "two\nlines\r\nand \u2028 more"


def test_lines_of_data_are_separate_fields():
    event = sse.format_event(id="1-0", event="note", data=b'{\n"a": 1}')

    assert event == b'id: 1-0\nevent: note\ndata: {\ndata: "a": 1}\n\n'
    assert events_in(event)[0].data == {"a": 1}


def test_the_names_of_the_ends_are_those_of_the_terminal_states():
    assert {f"task.{status}" for status in AITask.TERMINAL} == progress.END_EVENTS
