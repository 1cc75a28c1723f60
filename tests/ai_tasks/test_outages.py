"""A provider's outage: one state of all workers, in which tasks wait together, and further providers answer instead."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from django.utils import timezone

import ai_tasks.diagnosis  # noqa: F401  # registers its checks
from ai_tasks import ledger, outages, site_metrics
from ai_tasks.models import AITask, ProviderState
from ai_tasks.providers import OPENAI_COMPATIBLE
from ai_tasks.providers.errors import ProviderRefused, ProviderUnavailable
from ai_tasks.worker import Worker
from NoteAssist_AI.ai_settings import Fallback
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import EXPLAIN
from tests.conftest import client_of
from tests.factories import AITaskFactory
from tests.openai_server import OpenAIServer, running_server
from tests.processes import free_port
from utils.diagnosis import Options, examine

pytestmark = pytest.mark.django_db(transaction=True)

OVERLOADED = ProviderUnavailable("provider_overloaded", "The AI provider is overloaded.")
BROKEN = ProviderUnavailable("provider_failed", "The AI provider reported an internal error.")


@pytest.fixture
def fallback(openai_server, settings) -> Iterator[OpenAIServer]:
    """A second provider, asked after ``openai_server``."""
    with running_server() as server:
        settings.AI_FALLBACKS = [Fallback("b", server.base_url, "second-key", "second-model")]
        yield server


def run(task: AITask) -> AITask:
    """Let a worker take the task, if it may."""
    Worker().execute(task.pk)
    task.refresh_from_db()
    return task


def let_fail(count: int, error: Exception = OVERLOADED, *, name: str = OPENAI_COMPATIBLE) -> list[str]:
    return [outages.record_failure(name, uuid4(), error, was_probe=False) for _ in range(count)]


def is_due() -> None:
    ProviderState.objects.update(next_probe_at=timezone.now())


def out_now() -> list[str]:
    return [outage.name for outage in outages.providers_out()]


# --- Opening ----------------------------------------------------------------------------------------------------------


def test_the_third_failure_in_a_row_opens_an_outage(openai_server):
    assert let_fail(3) == ["well", "well", "gone out"]
    assert let_fail(1) == ["out"]
    assert out_now() == [OPENAI_COMPATIBLE]


def test_a_success_in_between_starts_the_count_anew(openai_server, alice):
    let_fail(2)
    assert run(AITaskFactory(user=alice)).status == "succeeded"

    assert let_fail(2) == ["well", "well"]


@pytest.mark.parametrize("behaviour", ["401", "403"])
def test_a_wrong_key_opens_it_at_once_and_the_task_that_found_it_says_so(openai_server, alice, behaviour):
    openai_server.state.default = behaviour

    found, waits = run(AITaskFactory(user=alice)), run(AITaskFactory(user=alice))

    assert (found.status, found.error_code) == ("failed", "provider_key_invalid")
    assert (waits.status, waits.provider_failures, waits.next_attempt_at) == ("waiting_provider", 0, None)
    assert waits.message.startswith("The AI provider does not accept the configured key.")
    assert len(openai_server.state.requests) == 1


def test_an_empty_account_opens_it_at_once(openai_server):
    assert let_fail(1, ProviderRefused("provider_quota_exhausted", "x")) == ["gone out"]


@pytest.mark.parametrize("behaviour", ["400", "413", "422", "refusal", "filtered", "empty", "429"])
def test_errors_of_requests_open_no_outage(openai_server, alice, behaviour):
    openai_server.state.default = behaviour

    for _ in range(5):
        run(AITaskFactory(user=alice))

    assert out_now() == []
    assert len(openai_server.state.requests) == 5


def test_one_task_that_breaks_the_provider_opens_no_outage(openai_server, alice):
    openai_server.state.default = "500"
    task = AITaskFactory(user=alice)
    for _ in range(5):
        run(task)
        AITask.objects.filter(status="waiting_provider").update(next_attempt_at=timezone.now())

    task.refresh_from_db()
    assert (task.status, task.error_code, out_now()) == ("failed", "provider_failed", [])


def test_one_task_alone_finds_that_nobody_is_there(alice, settings):
    settings.AI_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"
    task = AITaskFactory(user=alice)
    for _ in range(3):
        run(task)
        AITask.objects.filter(status="waiting_provider", waiting_since=None).update(next_attempt_at=timezone.now())

    task.refresh_from_db()
    assert (task.status, task.provider_failures, out_now()) == ("waiting_provider", 2, [OPENAI_COMPATIBLE])
    assert task.waiting_since is not None


def test_a_call_from_before_the_outage_neither_ends_nor_prolongs_it(openai_server):
    let_fail(3)
    due_at = ProviderState.objects.get().next_probe_at

    assert outages.record_success(OPENAI_COMPATIBLE, was_probe=False) is False
    let_fail(1, BROKEN)

    state = ProviderState.objects.get()
    assert (state.next_probe_at, state.error_code) == (due_at, "provider_overloaded")
    assert out_now() == [OPENAI_COMPATIBLE]


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_tasks_that_wait_make_no_call_and_use_up_no_failure(openai_server, alice):
    let_fail(3)

    tasks = [run(AITaskFactory(user=alice)) for _ in range(10)]

    assert {(task.status, task.provider_failures, task.next_attempt_at) for task in tasks} == {
        ("waiting_provider", 0, None)
    }
    assert openai_server.state.requests == []
    ledger.sweep()
    assert [run(task).attempt for task in tasks] == [1] * 10  # nothing is due


def test_one_probe_at_a_time_is_sent_and_its_failure_counts_for_nobody(openai_server, alice):
    openai_server.state.default = "503"
    let_fail(3)
    tasks = [run(AITaskFactory(user=alice)) for _ in range(5)]
    probers = set()

    for _ in range(7):
        is_due()
        assert ledger.wake() == 1
        (prober,) = AITask.objects.filter(status="waiting_provider", next_attempt_at__isnull=False)
        assert run(prober).provider_failures == 0
        probers.add(prober.pk)

    assert len(openai_server.state.requests) == 7
    assert probers == {task.pk for task in tasks}  # each in its turn, lest one that breaks the provider holds up all
    assert AITask.objects.filter(status="waiting_provider", provider_failures=0, next_attempt_at=None).count() == 5


def test_nobody_probes_while_somebody_does(openai_server, alice):
    let_fail(3)
    prober = AITaskFactory(
        user=alice, status="running", attempt=1, lease_expires_at=timezone.now() + timedelta(hours=1)
    )
    is_due()

    assert outages.take_probe(OPENAI_COMPATIBLE, prober.pk, 1) is True
    is_due()
    assert outages.take_probe(OPENAI_COMPATIBLE, uuid4(), 1) is False
    assert outages.may_probe([OPENAI_COMPATIBLE]) is False
    AITask.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))  # its worker was killed
    assert outages.take_probe(OPENAI_COMPATIBLE, uuid4(), 1) is True


def test_of_many_that_would_probe_at_once_one_does(openai_server):
    let_fail(3)
    is_due()

    taken = in_threads(12, lambda _: outages.take_probe(OPENAI_COMPATIBLE, uuid4(), 1))

    assert sorted(taken) == [False] * 11 + [True]


def test_the_pause_between_probes_doubles_up_to_half_a_minute(openai_server):
    let_fail(3)

    for seconds in (4, 8, 16, 30, 30, 30, 30):
        before = timezone.now()
        outages.record_failure(OPENAI_COMPATIBLE, uuid4(), OVERLOADED, was_probe=True)
        after = timezone.now()

        assert before <= ProviderState.objects.get().next_probe_at - timedelta(seconds=seconds) <= after


def test_the_providers_own_word_is_heeded(openai_server):
    before = timezone.now()
    let_fail(3, ProviderUnavailable("provider_overloaded", "x", retry_after=90.0))

    assert ProviderState.objects.get().next_probe_at >= before + timedelta(seconds=90)


def test_after_a_probe_that_is_answered_all_go_on(openai_server, alice, empty_redis):
    let_fail(3, ProviderUnavailable("provider_overloaded", "x", retry_after=90.0))
    tasks = [run(AITaskFactory(user=alice)) for _ in range(3)]
    others = AITask.objects.bulk_create(
        AITask(user=alice, request_type="summarize", request_data={}, status="waiting_provider",
               waiting_since=timezone.now())
        for _ in range(1200)
    )  # fmt: skip
    assert ledger.wake() == 0  # it is not time yet
    is_due()
    assert ledger.wake() == 1
    (prober,) = AITask.objects.filter(next_attempt_at__isnull=False)
    AITask.objects.filter(pk=prober.pk).update(request_data=tasks[0].request_data, request_type=tasks[0].request_type)

    assert run(prober).status == "succeeded"

    assert (out_now(), ProviderState.objects.get().failures) == ([], 0)
    assert ledger.wake() == len(tasks) + len(others) - 1
    assert empty_redis.llen("ai") == len(tasks) + len(others)
    assert AITask.objects.claimable().count() == len(tasks) + len(others) - 1
    assert ledger.wake() == 0


def test_any_number_of_wakes_at_once_send_each_task_once(openai_server, alice, empty_redis):
    AITask.objects.bulk_create(
        AITask(user=alice, **EXPLAIN, status="waiting_provider", waiting_since=timezone.now()) for _ in range(400)
    )

    assert sum(in_threads(8, lambda _: ledger.wake())) == 400
    assert empty_redis.llen("ai") == 400


def test_waiting_tasks_go_on_where_no_provider_is_configured_any_more(offline, alice, empty_redis):
    AITaskFactory(user=alice, status="waiting_provider", waiting_since=timezone.now())

    assert ledger.wake() == 1


def test_a_task_waits_no_longer_than_it_may(openai_server, alice, settings):
    settings.AI_OUTAGE_HOURS = 2
    let_fail(3)
    late, early = (
        AITaskFactory(user=alice, status="waiting_provider", waiting_since=timezone.now() - timedelta(minutes=minutes))
        for minutes in (121, 119)
    )

    ledger.sweep()

    late.refresh_from_db()
    early.refresh_from_db()
    assert (late.status, late.error_code, early.status) == ("failed", "provider_unavailable", "waiting_provider")
    assert [(row.type, row.action_id) for row in Notification.objects.all()] == [("error", str(late.pk))]


def test_a_waiting_task_can_be_cancelled(openai_server, alice):
    let_fail(3)
    task = run(AITaskFactory(user=alice))

    answer = client_of(alice).post(f"/api/ai/tasks/{task.pk}/cancel/")

    assert (answer.status_code, answer.json()["status"]) == (202, "cancelled")


def test_a_slow_provider_is_one_that_fails(openai_server, alice, settings):
    settings.AI_TIMEOUT_SECONDS = 0.3
    openai_server.state.default = "drip"

    tasks = [run(AITaskFactory(user=alice)) for _ in range(3)]

    assert [task.provider_failures for task in tasks] == [1, 1, 0]
    assert out_now() == [OPENAI_COMPATIBLE]


# --- Further providers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behaviour", ["503", "401", "400", "404", "429"])
def test_the_next_one_answers_where_one_fails_or_refuses(openai_server, fallback, alice, behaviour):
    openai_server.state.default = behaviour

    task = run(AITaskFactory(user=alice))

    assert (task.status, task.provider, task.model, task.attempt) == ("succeeded", "b", "second-model", 1)
    (request,) = fallback.state.requests
    assert request["headers"]["authorization"] == "Bearer second-key"
    assert request["body"]["model"] == "second-model"


def test_one_that_is_out_is_passed_over_but_for_a_probe(openai_server, fallback, alice):
    let_fail(3)

    assert run(AITaskFactory(user=alice)).provider == "b"
    assert openai_server.state.requests == []
    is_due()
    assert run(AITaskFactory(user=alice)).provider == OPENAI_COMPATIBLE
    assert out_now() == []


def test_tasks_wait_only_while_all_are_out(openai_server, fallback, alice, empty_redis):
    let_fail(3)
    let_fail(3, name="b")
    task = run(AITaskFactory(user=alice))
    assert task.status == "waiting_provider"

    outages.record_success("b", was_probe=True)

    assert ledger.wake() == 1
    assert run(task).provider == "b"


def test_a_content_that_was_refused_is_not_taken_elsewhere(openai_server, fallback, alice):
    openai_server.state.default = "filtered"

    task = run(AITaskFactory(user=alice))

    assert (task.status, task.error_code, task.provider) == ("failed", "answer_refused", OPENAI_COMPATIBLE)
    assert fallback.state.requests == []


def test_what_all_refuse_fails_as_the_first_one_said(openai_server, fallback, alice):
    openai_server.state.default, fallback.state.default = "400", "404"

    task = run(AITaskFactory(user=alice))

    assert (task.status, task.error_code) == ("failed", "provider_rejected")


def test_what_one_refuses_waits_for_another_that_is_out(openai_server, fallback, alice):
    let_fail(3)
    fallback.state.default = "400"

    task = run(AITaskFactory(user=alice))

    assert (task.status, task.provider_failures) == ("waiting_provider", 1)
    assert task.next_attempt_at is not None


def test_what_another_answered_is_not_given_again(openai_server, fallback, alice, no_limits):
    """It is no answer of the model that an equal request would ask."""
    client = client_of(alice)
    body = {"request_type": "summarize", "request_data": {"content": "A loop repeats."}}
    outcomes = []
    for behaviour in ("503", "stream", "stream"):
        openai_server.state.default = behaviour
        task = client.post("/api/ai/tasks/", body, format="json").json()
        Worker().execute(UUID(task["id"]))
        outcomes.append((task["cached"], AITask.objects.get(pk=task["id"]).provider))

    assert outcomes == [(False, "b"), (False, OPENAI_COMPATIBLE), (True, OPENAI_COMPATIBLE)]


# --- Being told -------------------------------------------------------------------------------------------------------


def test_readiness_metrics_and_doctor_tell_of_it(openai_server, fallback, client, alice):
    def seen() -> tuple:
        ready = client.get("/healthz/ready").json()
        (gauge,) = [metric for metric in site_metrics.read() if metric.name == "ai_provider_out"]
        told = {sample.labels["provider"]: sample.value for sample in gauge.samples}
        return ready["ai_providers"], told, [each.is_well for each in examine(Options()) if each.check == "ai outages"]

    assert seen() == ({OPENAI_COMPATIBLE: "ok", "b": "ok"}, {OPENAI_COMPATIBLE: 0, "b": 0}, [True])
    let_fail(3)
    assert seen() == ({OPENAI_COMPATIBLE: "out", "b": "ok"}, {OPENAI_COMPATIBLE: 1, "b": 0}, [False])


def test_readiness_is_degraded_only_where_all_are_out(openai_server, fallback):
    assert outages.is_one_well({OPENAI_COMPATIBLE: "out", "b": "ok"})
    assert not outages.is_one_well({OPENAI_COMPATIBLE: "out"})
    assert outages.is_one_well({})
