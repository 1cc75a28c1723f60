"""A column's type changes while the product runs: nothing that was prepared before it fails a request or an answer."""

from collections.abc import Callable, Iterator

import psycopg
import pytest
from django.db import OperationalError, connection, transaction

from ai_tasks import ledger
from ai_tasks.ledger.applying import ApplyOutcome
from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from notes.models import Note, Topic
from notifications.models import Notification
from tests.conftest import client_of
from tests.database_faults import refusing
from tests.factories import AITaskFactory, NoteFactory, TopicFactory
from tests.openai_behaviours import PROMPT_TOKENS
from tests.openai_server import ANSWER as MODELS_ANSWER
from tests.openai_server import running_server
from tests.processes import environment_of_this_test, running_worker, wait_until
from utils.postgresql.base import is_outdated_plan

pytestmark = pytest.mark.django_db(transaction=True)

OFTEN = 5
"""A connection that has run a statement so often runs it prepared."""


COLUMNS = {"notes_note": ("status", 10), "ai_tasks_aitask": ("message", 300), "notes_topic": ("code_language", 30)}


@pytest.fixture
def widen() -> Iterator[Callable[[str], None]]:
    """Change the type of a table's column, as a migration does."""
    changed: list[str] = []

    def alter(table: str, more: int) -> None:
        column, length = COLUMNS[table]
        with psycopg.connect(environment_of_this_test()["DATABASE_URL"], autocommit=True) as migration:
            migration.execute(f"ALTER TABLE {table} ALTER {column} TYPE varchar({length + more})")

    def change(table: str) -> None:
        changed.append(table)
        alter(table, 5)

    yield change
    for table in changed:
        alter(table, 0)


@pytest.fixture
def one_connection() -> Iterator[None]:
    """This thread keeps its connection, so that it runs what it has prepared."""
    connection.close()
    connection.ensure_connection()
    yield
    connection.close()


def test_a_statement_of_its_own_is_run_again(alice, widen, one_connection):
    NoteFactory(user=alice, title="Loops")
    for _ in range(OFTEN):
        list(Note.objects.all())
    widen("notes_note")

    assert [note.title for note in Note.objects.all()] == ["Loops"]
    assert [note.title for note in Note.objects.all()] == ["Loops"]


def test_a_read_of_a_borrowed_connection_is_run_again(alice, widen):
    task = AITaskFactory(user=alice)
    client = client_of(alice)
    connection.close()

    def poll() -> tuple[int, str]:
        connection.close()
        answer = client.get(f"/api/ai/tasks/{task.pk}/")
        return answer.status_code, answer.json()["status"]

    before = [poll() for _ in range(OFTEN * connection.pool.max_size)]
    widen("ai_tasks_aitask")

    assert {*before, *(poll() for _ in range(2 * connection.pool.max_size))} == {(200, "queued")}


def test_a_transaction_says_that_it_can_be_run_again(alice, widen, one_connection):
    NoteFactory(user=alice, title="Loops")

    def read() -> list[str]:
        with transaction.atomic():
            return [note.title for note in Note.objects.all()]

    for _ in range(OFTEN):
        read()
    widen("notes_note")

    with pytest.raises(OperationalError) as refused:
        read()
    assert is_outdated_plan(refused.value)
    assert read() == ["Loops"]


def test_an_edit_is_carried_out_or_asked_for_again(alice, widen, one_connection):
    note = NoteFactory(user=alice)
    client = client_of(alice)
    for number in range(OFTEN):
        assert client.patch(f"/api/notes/{note.pk}/", {"title": f"Before {number}"}, format="json").status_code == 200
    widen("notes_note")

    answers = [client.patch(f"/api/notes/{note.pk}/", {"title": f"After {n}"}, format="json") for n in range(3)]

    assert [answer.status_code for answer in answers] == [503, 200, 200]
    assert answers[0].headers["Retry-After"] == "5"
    assert answers[0].json()["code"] == "unavailable"
    assert Note.objects.get().title == "After 2"


def test_a_retry_is_carried_out_or_asked_for_again(alice, widen, one_connection, no_limits):
    task = AITaskFactory(user=alice, status="failed")
    client = client_of(alice)
    for _ in range(OFTEN):
        assert client.post(f"/api/ai/tasks/{task.pk}/retry/").status_code == 202
    widen("ai_tasks_aitask")

    answers = [client.post(f"/api/ai/tasks/{task.pk}/retry/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503, 202, 202]


def test_no_answer_of_a_running_worker_is_lost_to_a_new_type(alice, widen, tmp_path, no_limits):
    client = client_of(alice)

    def submit(count: int, context: str) -> None:
        for number in range(count):
            topic = TopicFactory(chapter__note__user=alice, title=f"Loops {number}")
            body = {"request_type": "generate_explanation", "request_data": {"context": context},
                    "topic_id": topic.pk, "apply": True}  # fmt: skip
            answers = [client.post("/api/ai/tasks/", body, format="json").status_code]
            while answers[-1] == 503:  # asked to come again, by a transaction of this process
                answers.append(client.post("/api/ai/tasks/", body, format="json").status_code)
            assert answers[-1] == 202

    def succeeded() -> int:
        return AITask.objects.filter(status="succeeded").count()

    with running_server() as provider:
        environment = {"AI_BASE_URL": provider.base_url, "AI_MODEL": "test-model", "AI_WORKER_CONCURRENCY": "4"}
        with running_worker(tmp_path / "worker.log", **environment) as worker:
            submit(24, "its connections prepare what it runs")
            wait_until(lambda: succeeded() == 24, 60, lambda: worker.output)
            provider.state.default = "slow"
            submit(4, "asked before, answered after")
            wait_until(lambda: AITask.objects.filter(status="running").count() == 4, 30, lambda: worker.output)
            for table in COLUMNS:
                widen(table)
            submit(12, "claimed after")
            wait_until(lambda: succeeded() == 40, 60, lambda: worker.output)

    assert AITask.objects.filter(status="succeeded", attempt=1, applied_at__isnull=False).count() == 40
    assert Notification.objects.filter(type="success").count() == 40


# --- Recording --------------------------------------------------------------------------------------------------------


@pytest.fixture
def task(alice) -> AITask:
    topic = TopicFactory(chapter__note__user=alice, explanation="Mine.")
    body = {"request_type": "generate_explanation", "request_data": {}}
    return ledger.submit(user_id=alice.pk, topic_id=topic.pk, apply=True, **body).task


@pytest.fixture
def soon(monkeypatch) -> None:
    """What could not be recorded is tried again at once."""
    monkeypatch.setattr("ai_tasks.worker.RECORD_RETRY_SECONDS", 0.01)


ANSWER = MODELS_ANSWER.strip()


@pytest.mark.parametrize("sqlstate", ["57P03", "ended", "42P01"])
def test_an_answer_is_recorded_as_soon_as_the_database_takes_it(task, openai_server, soon, sqlstate):
    end = "NEW.status = 'succeeded'"
    with refusing("BEFORE UPDATE", "ai_tasks_aitask", sqlstate=sqlstate, when=end, times=2):
        Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.attempt, task.applied_at is not None) == ("succeeded", 1, True)
    assert Topic.objects.get().explanation == ANSWER
    assert len(openai_server.state.requests) == 1


@pytest.mark.parametrize("sqlstate", ["22001", "23514", "P0001", "57P03"])
def test_an_answer_that_cannot_be_applied_is_kept(task, openai_server, soon, settings, sqlstate):
    settings.AI_LEASE_SECONDS = 0.1

    with refusing("AFTER UPDATE", "notes_topic", sqlstate=sqlstate):
        Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.result["content"], task.applied_at) == ("succeeded", ANSWER, None)
    assert (task.message, task.input_tokens) == (ApplyOutcome.NOT_WRITABLE, PROMPT_TOKENS)
    assert Topic.objects.get().explanation == "Mine."
    assert [(row.type, row.message) for row in Notification.objects.all()] == [("success", ApplyOutcome.NOT_WRITABLE)]


@pytest.mark.parametrize(("behaviour", "status"), [("400", "failed"), ("429", "waiting_provider")])
def test_what_the_provider_says_is_recorded_as_soon_as_the_database_takes_it(
    task, openai_server, soon, behaviour, status
):
    openai_server.state.default = behaviour

    with refusing("BEFORE UPDATE", "ai_tasks_aitask", when=f"NEW.status = '{status}'", times=1):
        Worker().execute(task.pk)

    task.refresh_from_db()
    assert (task.status, task.attempt) == (status, 1)
    assert len(openai_server.state.requests) == 1
