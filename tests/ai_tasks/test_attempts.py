"""One worker's attempt at a task: how it ends, whatever the model, the database or the user does meanwhile."""

import itertools
import random
import threading
import time
import uuid
from collections.abc import Iterator
from queue import Queue

import orjson
import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger.waiting import MAX_PROVIDER_FAILURES
from ai_tasks.models import MESSAGE_MAX_LENGTH, AITask
from ai_tasks.progress import Delta, events_key, report
from ai_tasks.providers.base import MAX_ANSWER_BYTES
from ai_tasks.providers.openai_compatible.transport import POLL_SECONDS
from ai_tasks.worker import HEARTBEAT_SECONDS, PROGRESS_SECONDS, Worker
from notes.models import TITLE_MAX_LENGTH, NoteVersion, Topic
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import ANSWER
from tests.conftest import client_of
from tests.database_faults import barrier, in_background, locked, refusing
from tests.factories import AITaskFactory, TopicFactory
from tests.openai_behaviours import BEHAVIOURS, COMPLETION_TOKENS, MODEL, PROMPT_TOKENS, USAGE, envelope
from tests.openai_server import ANSWER as MODELS_ANSWER
from tests.processes import wait_until

pytestmark = pytest.mark.django_db(transaction=True)

UNSTORABLE = "22021"
"""What PostgreSQL says to a character that it cannot store."""


@pytest.fixture
def task(alice) -> AITask:
    return AITaskFactory(user=alice, request_data={"topic": "Python loops", "level": "beginner"})


# --- Usage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("behaviour", "input_tokens", "output_tokens", "estimated"),
    [("stream", PROMPT_TOKENS, COMPLETION_TOKENS, False), ("no_usage", None, -(-len(MODELS_ANSWER) // 4), True)],
)
def test_usage_is_the_providers_own_or_a_guess_marked_as_one(
    alice, task, openai_server, behaviour, input_tokens, output_tokens, estimated
):
    openai_server.state.default = behaviour

    Worker().execute(task.pk)

    client = client_of(alice)
    usage = client.get(f"/api/ai/tasks/{task.pk}/").json()["usage"]
    messages = openai_server.state.requests[0]["body"]["messages"]
    guess = sum(-(-len(message["content"].encode()) // 4) for message in messages)
    assert usage.pop("cost") is None
    assert usage == {"input_tokens": input_tokens or guess, "output_tokens": output_tokens, "estimated": estimated}
    today = client.get("/api/ai/usage/").json()
    assert (today["input_tokens_today"], today["output_tokens_today"], today["estimated"]) == tuple(usage.values())


def too_long(handler, body) -> None:
    choice = {"index": 0, "message": {"content": "x" * (MAX_ANSWER_BYTES + 1)}, "finish_reason": "stop"}
    handler.send_json(200, envelope("chat.completion", MODEL, choices=[choice], usage=USAGE))


def counted_and_cut(handler, body) -> None:
    handler.start_stream()
    handler.send_event(envelope("chat.completion.chunk", MODEL, choices=[], usage=USAGE))
    handler.close_connection = True


@pytest.mark.parametrize(
    ("behaviour", "error_code"),
    [
        ("stream", "answer_without_code"),
        ("filtered", "answer_refused"),
        ("empty", "answer_empty"),
        (too_long, "answer_too_large"),
    ],
)
def test_an_answer_that_cannot_be_used_is_paid_for_all_the_same(
    alice, openai_server, monkeypatch, behaviour, error_code
):
    monkeypatch.setitem(BEHAVIOURS, "tested", BEHAVIOURS.get(behaviour, behaviour))
    openai_server.state.default, openai_server.state.answer = "tested", "I would rather not."
    task = AITaskFactory(
        user=alice, request_type="generate_code", request_data={"topic": "Python loops", "language": "Python"}
    )

    Worker().execute(task.pk)

    shown = client_of(alice).get(f"/api/ai/tasks/{task.pk}/").json()
    assert (shown["status"], shown["error"]["code"]) == ("failed", error_code)
    assert (shown["provider"], shown["model"]) == ("openai_compatible", MODEL)
    assert shown["usage"] == {
        "input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS, "estimated": False, "cost": None,
    }  # fmt: skip


@pytest.mark.parametrize(("failures", "status"), [(1, "succeeded"), (4, "succeeded"), (5, "failed")])
def test_usage_adds_up_what_all_attempts_took(task, openai_server, monkeypatch, failures, status):
    monkeypatch.setitem(BEHAVIOURS, "counted_and_cut", counted_and_cut)
    openai_server.state.script.extend(["counted_and_cut"] * failures)
    calls = min(failures + 1, MAX_PROVIDER_FAILURES)

    for _ in range(calls):
        Worker().execute(task.pk)
        AITask.objects.filter(status="waiting_provider").update(next_attempt_at=timezone.now())

    task.refresh_from_db()
    assert (task.status, task.model, task.usage_estimated) == (status, MODEL, False)
    assert (task.input_tokens, task.output_tokens) == (calls * PROMPT_TOKENS, calls * COMPLETION_TOKENS)


# --- Failures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["400", "401", "refusal", "garbage", "huge", "empty"])
def test_what_cannot_get_better_fails_at_once_with_a_notification(task, openai_server, behaviour):
    openai_server.state.default = behaviour

    Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.attempt, task.provider_failures) == ("failed", 1, 0)
    assert task.error_code.startswith(("provider_", "answer_"))
    assert [note.type for note in Notification.objects.all()] == ["error"]
    assert len(openai_server.state.requests) == 1


@pytest.mark.parametrize("behaviour", ["429", "408", "500", "cut", "drop"])
def test_a_temporary_failure_waits_in_the_row_without_a_notification(task, openai_server, behaviour):
    openai_server.state.default = behaviour

    Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.attempt, task.provider_failures) == ("waiting_provider", 1, 1)
    assert task.next_attempt_at is not None
    assert not Notification.objects.exists()


def test_an_answer_that_cannot_be_stored_is_not_paid_for_again(task, openai_server):
    with refusing("BEFORE UPDATE", "ai_tasks_aitask", sqlstate=UNSTORABLE, when="NEW.result IS NOT NULL"):
        Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.error_code, task.result) == ("failed", "internal_error", None)
    assert (task.input_tokens, task.output_tokens) == (PROMPT_TOKENS, COMPLETION_TOKENS)
    assert len(openai_server.state.requests) == 1
    assert [note.type for note in Notification.objects.all()] == ["error"]


def test_a_model_with_an_unstorable_name_is_no_reason_to_fail(task, openai_server, monkeypatch):
    def answer_as(handler, body):
        handler.stream({**body, "model": "gpt\ud83d\x00" + "x" * 200}, iter(["A loop repeats."]))

    monkeypatch.setitem(BEHAVIOURS, "bad_name", answer_as)
    openai_server.state.default = "bad_name"

    Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.model) == ("succeeded", "gpt?" + "x" * 96)


def test_a_task_whose_states_cannot_be_read_only_loses_its_lease(task, openai_server):
    with locked("ai_tasks_providerstate"), pytest.raises(OperationalError, match="lock timeout"):
        Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.attempt, openai_server.state.requests) == ("running", 1, [])
    assert not Notification.objects.exists()


def test_a_task_whose_answer_the_database_takes_never_only_loses_its_lease(task, openai_server, settings, monkeypatch):
    settings.AI_LEASE_SECONDS = 0.1
    monkeypatch.setattr("ai_tasks.worker.RECORD_RETRY_SECONDS", 0.01)

    with (
        refusing("BEFORE UPDATE", "ai_tasks_aitask", sqlstate="ended", when="NEW.status <> 'running'"),
        pytest.raises(OperationalError, match="terminating connection"),
    ):
        Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.attempt, len(openai_server.state.requests)) == ("running", 1, 1)
    assert not Notification.objects.exists()


# --- Cancelling -------------------------------------------------------------------------------------------------------


def test_a_running_task_is_cancelled_between_two_chunks_and_the_model_is_left(alice, task, openai_server):
    openai_server.state.default = "slow"
    openai_server.state.answer = "A loop repeats. " * 2000  # two minutes
    worker = threading.Thread(target=in_threads, args=(1, lambda _: Worker().execute(task.pk)))
    worker.start()
    wait_until(lambda: bool(openai_server.state.requests))

    ledger.cancel(task_id=task.pk, user_id=alice.pk)

    wait_until(lambda: AITask.objects.get().status == "cancelled")  # no sweep runs, and the answer takes longer
    worker.join(60)
    assert not worker.is_alive()
    wait_until(lambda: openai_server.state.hung_up == 1)
    assert AITask.objects.get().result is None
    assert not Notification.objects.exists()


def test_a_cancel_is_confirmed_although_the_model_says_nothing(alice, task, openai_server, settings):
    """Within 2 s: a heartbeat is due after its interval, is noticed within the next, and the call looks as often."""
    openai_server.state.default = "hang"
    settings.AI_TIMEOUT_SECONDS = 3600  # which would end the call, too

    with in_background(lambda: Worker().execute(task.pk)):
        wait_until(lambda: bool(openai_server.state.requests))
        ledger.cancel(task_id=task.pk, user_id=alice.pk)
        wait_until(lambda: AITask.objects.get().status == "cancelled", 30)  # a silent call ends after a minute

    assert HEARTBEAT_SECONDS + PROGRESS_SECONDS + POLL_SECONDS <= 2


def test_a_cancel_that_comes_while_the_text_is_written_takes_it_back(alice):
    topic = TopicFactory(chapter__note__user=alice, explanation="Mine.")
    body = {"request_type": "generate_explanation", "request_data": {}}
    task = ledger.submit(user_id=alice.pk, topic_id=topic.pk, apply=True, **body).task
    attempt = ledger.claim(task.pk)

    with (
        barrier("AFTER UPDATE", "notes_topic") as written,
        in_background(lambda: ledger.succeed(attempt, ANSWER)) as ended,
    ):
        written.wait_for_one()
        ledger.cancel(task_id=task.pk, user_id=alice.pk)
        written.open()

    assert ended.result().status == AITask.objects.get().status == "cancelled"
    assert Topic.objects.get().explanation == "Mine."
    assert not NoteVersion.objects.exists()
    assert not Notification.objects.exists()


# --- Nothing to do ----------------------------------------------------------------------------------------------------


def test_a_duplicate_message_or_one_without_a_task_does_nothing(task, openai_server):
    for _ in range(3):
        Worker().execute(task.pk)
    Worker().execute(uuid.uuid4())

    assert len(openai_server.state.requests) == 1
    assert AITask.objects.get().attempt == 1
    assert Notification.objects.count() == 1


def test_while_a_model_is_asked_no_connection_is_held(task, openai_server, monkeypatch):
    pool = connection.pool

    def answer_once_all_are_back(handler, body) -> None:
        wait_until(lambda: pool.get_stats()["pool_available"] == pool.get_stats()["pool_size"])
        BEHAVIOURS["stream"](handler, body)

    monkeypatch.setitem(BEHAVIOURS, "waits", answer_once_all_are_back)
    openai_server.state.default = "waits"

    Worker().execute(task.pk)

    assert AITask.objects.get().status == "succeeded"


# --- The threads of a worker ------------------------------------------------------------------------------------------


def test_a_message_that_quotes_the_longest_title_is_cut_to_its_column(alice, offline):
    title = "Loops " + "x" * (TITLE_MAX_LENGTH - 6)
    TopicFactory(chapter__note__user=alice, title=title, explanation="A loop repeats.")
    topic = TopicFactory(chapter__note__user=alice, title="Loops")
    body = {"request_type": "generate_explanation", "request_data": {}}
    task = ledger.submit(user_id=alice.pk, topic_id=topic.pk, apply=True, **body).task

    with barrier("BEFORE UPDATE", "notes_topic") as written, in_background(lambda: Worker().execute(task.pk)):
        written.wait_for_one()  # the attempt goes on, and its progress is recorded
        cut = f"Quoting “{title}”"[:MESSAGE_MAX_LENGTH]
        wait_until(lambda: AITask.objects.get().message == cut, describe=lambda: AITask.objects.get().message)
        written.open()

    assert AITask.objects.get().status == "succeeded"


@pytest.fixture
def piecemeal(openai_server, monkeypatch) -> Iterator[Queue[str | None]]:
    """The model writes what is put into the queue, and ends its answer at None."""
    pieces: Queue[str | None] = Queue()
    monkeypatch.setitem(BEHAVIOURS, "piecemeal", lambda handler, body: handler.stream(body, iter(pieces.get, None)))
    openai_server.state.default = "piecemeal"
    yield pieces
    pieces.put(None)


def test_a_heartbeat_that_fails_is_not_the_last(task, piecemeal, caplog):
    beats = {"when": "OLD.status = 'running' AND NEW.status = 'running'", "times": 1}
    with (
        refusing("BEFORE UPDATE", "ai_tasks_aitask", sqlstate=UNSTORABLE, **beats),
        in_background(lambda: Worker().execute(task.pk)),
    ):
        wait_until(lambda: "A step of the thread lease-heartbeat failed" in caplog.messages)
        wait_until(lambda: AITask.objects.get().progress > 0)
        piecemeal.put("A loop repeats.")
        piecemeal.put(None)

    assert AITask.objects.get().status == "succeeded"


def test_a_text_that_cannot_be_published_is_not_the_last(task, piecemeal, empty_redis, caplog):
    key = events_key(task.pk)

    def texts() -> list[str]:
        return [piece["text"] for piece in published_deltas(empty_redis, task)]

    with in_background(lambda: Worker().execute(task.pk)):
        piecemeal.put("A loop " * 100)
        wait_until(lambda: texts() == ["A loop " * 100])
        empty_redis.rename(key, "kept")
        empty_redis.set(key, "no stream")
        piecemeal.put("A")  # too little for progress, which the attempt's own thread publishes
        wait_until(lambda: "A step of the thread text-publisher failed" in caplog.messages)
        empty_redis.rename("kept", key)
        piecemeal.put("B")
        wait_until(lambda: texts()[1:] == ["B"])
        piecemeal.put(None)

    assert AITask.objects.get().status == "succeeded"


# --- What watchers are told -------------------------------------------------------------------------------------------


def published_deltas(redis_connection, task) -> list[dict]:
    events = redis_connection.xrange(events_key(task.pk))
    return [orjson.loads(fields[b"data"]) for _, fields in events if fields[b"event"] == b"task.delta"]


def test_text_is_published_whole_and_in_order_although_two_threads_publish_it(
    alice, openai_server, monkeypatch, empty_redis, redis_proxy
):
    """One thread tells what all attempts write, and each attempt tells what is left before its progress and its end."""
    tasks = AITaskFactory.create_batch(3, user=alice, request_data={"topic": "Python loops"})
    monkeypatch.setattr("ai_tasks.worker.DELTA_SECONDS", 0.001)
    dice = random.Random(1)

    def send_late(data: bytes) -> bytes:
        time.sleep(dice.uniform(0, 0.01))
        return data

    redis_proxy.send = send_late
    numbers = [f"{number} " for number in range(300)]

    def count(handler, body) -> None:
        handler.stream(body, (time.sleep(0.005) or number for number in numbers))

    monkeypatch.setitem(BEHAVIOURS, "counts", count)
    openai_server.state.default = "counts"
    worker = Worker()

    in_threads(len(tasks), lambda number: worker.execute(tasks[number].pk))

    for task in tasks:
        told = published_deltas(empty_redis, task)
        assert "".join(piece["text"] for piece in told) == "".join(numbers)
        lengths = [0, *itertools.accumulate(len(piece["text"]) for piece in told)]
        assert [piece["offset"] for piece in told] == lengths[:-1]


def test_texts_of_many_answers_are_published_in_one_round_trip(alice, empty_redis, redis_proxy):
    deltas = [Delta(uuid.uuid4(), alice.pk, 1, 0, f"text {n}") for n in range(50)]
    report(deltas[:1])  # now the server knows the script
    sent = bytearray()

    def send_all_at_once(data: bytes) -> bytes:
        """Nothing is answered before all has come."""
        sent.extend(data)
        return bytes(sent) if sent.count(b"EVALSHA") == 49 else b""

    redis_proxy.send = send_all_at_once

    report(deltas[1:])

    assert all(empty_redis.xlen(events_key(delta.task_id)) == 1 for delta in deltas)
