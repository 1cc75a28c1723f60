"""Budgets of a user and of the site: no submission exceeds them, and the API shows what is left."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

import ai_tasks.diagnosis  # noqa: F401  # registers its checks
from ai_tasks import ledger
from ai_tasks.models import AITask, SpendingDay
from ai_tasks.worker import Worker
from NoteAssist_AI.ai_settings import Fallback
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import EXPLAIN
from tests.ai_tasks.spending import COST, SHORT, TASKS, different, run, site_today, submit, sum_of_tasks
from tests.conftest import client_of
from tests.factories import AITaskFactory, UserFactory
from tests.openai_behaviours import COMPLETION_TOKENS, MODEL, PROMPT_TOKENS
from tests.openai_server import running_server
from utils.async_optimization import process_ai_request

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("prices")]


@pytest.mark.parametrize(("setting", "scope"), [("AI_BUDGET_PER_USER_DAY", "user"), ("AI_BUDGET_DAY", "site")])
def test_beyond_a_budget_a_request_is_refused_until_midnight(alice, most, settings, setting, scope):
    setattr(settings, setting, 2 * most)
    client = client_of(alice)
    for number in range(2):
        assert client.post(TASKS, different(number), format="json").status_code == 202

    before = datetime.now(UTC)
    refused = client.post(TASKS, different(3), format="json")
    after = datetime.now(UTC)

    assert (refused.status_code, refused.json()["code"], refused.json()["scope"]) == (429, "ai_budget_reached", scope)
    midnight = before.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    seconds = int(refused["Retry-After"])
    assert (midnight - after).total_seconds() <= seconds <= (midnight - before).total_seconds() + 1
    assert AITask.objects.count() == 2
    assert site_today() == 2 * most
    # what was asked before costs nothing
    assert client.post(TASKS, different(0), format="json").status_code == 200


def test_a_users_budget_is_nobody_elses(alice, charlie, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    submit(alice)

    assert submit(charlie).status == "queued"
    with pytest.raises(ledger.AIBudgetReached):
        submit(alice, 1)


def test_a_settled_task_makes_room(alice, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = settings.AI_BUDGET_DAY = most + COST
    run(submit(alice))

    assert submit(alice, 1).status == "queued"
    with pytest.raises(ledger.AIBudgetReached):
        submit(alice, 2)


def test_a_new_day_has_a_budget_of_its_own(alice, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = settings.AI_BUDGET_DAY = most
    AITaskFactory(user=alice, reserved=most, created_at=timezone.now() - timedelta(days=1))

    assert submit(alice).status == "queued"
    assert sorted(SpendingDay.objects.values_list("amount", flat=True)) == [most, most]


def test_retries_and_the_guides_delay_keep_to_the_budget(alice, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    cancelled = submit(alice)
    ledger.cancel(task_id=cancelled.pk, user_id=alice.pk)
    ledger.retry(task_id=cancelled.pk, user_id=alice.pk)

    with pytest.raises(ledger.AIBudgetReached):
        ledger.retry(task_id=cancelled.pk, user_id=alice.pk)
    with pytest.raises(ledger.AIBudgetReached):
        process_ai_request.delay(uuid.uuid4(), alice.pk, SHORT["request_type"], SHORT["request_data"])
    assert AITask.objects.count() == 2


def test_a_recorded_request_is_accepted_again_whatever_the_budget(alice, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    request = {"task_id": uuid.uuid4(), "user_id": alice.pk, **SHORT}

    assert ledger.accept(**request) == ledger.accept(**request)


@pytest.mark.parametrize("way", ["submit", "delay"])
@pytest.mark.parametrize("setting", ["AI_BUDGET_PER_USER_DAY", "AI_BUDGET_DAY"])
def test_no_budget_is_exceeded_by_submissions_at_once(alice, most, settings, patient_pool, setting, way):
    setattr(settings, setting, 10 * most + most / 2)
    users = [alice] * 12 if setting == "AI_BUDGET_PER_USER_DAY" else UserFactory.create_batch(12)

    def ask(index: int) -> list[str]:
        outcomes = []
        for number in range(2):
            try:
                if way == "submit":
                    submit(users[index], index * 2 + number)
                else:
                    ledger.accept(task_id=uuid.uuid4(), user_id=users[index].pk, **different(index * 2 + number))
                outcomes.append("accepted")
            except ledger.AIBudgetReached:
                outcomes.append("refused")
        return outcomes

    outcomes = sorted(chain.from_iterable(in_threads(12, ask)))

    assert outcomes == ["accepted"] * 10 + ["refused"] * 14
    assert site_today() == sum_of_tasks() == 10 * most


def test_the_sites_day_is_the_sum_of_its_tasks_however_many_end_at_once(alice, most, openai_server):
    openai_server.state.script.extend(["stream", "no_usage", "400", "cut", "503", "stream", "empty", "refusal"])
    tasks = [submit(alice, number) for number in range(8)]

    in_threads(8, lambda index: Worker().execute(tasks[index].pk))

    assert site_today() == sum_of_tasks()


@pytest.mark.parametrize("budgets", [False, True])
def test_budgets_cost_a_submission_one_statement_each(alice, most, settings, budgets):
    submit(alice)
    if budgets:
        settings.AI_BUDGET_PER_USER_DAY = settings.AI_BUDGET_DAY = 100 * most

    counts = set()
    for number in (1, 2, 3):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            submit(alice, number)
        counts.add(len([query for query in queries if "ai_tasks" in query["sql"] or "accounts" in query["sql"]]))

    assert counts == {5 if budgets else 3}  # the lock, what was before, the row; and what is left of each budget


# --- Shown ------------------------------------------------------------------------------------------------------------


def money(amount: Decimal) -> dict[str, str]:
    return {"amount": f"{amount:.6f}", "currency": "USD"}


def test_usage_shows_money_by_feature_and_what_is_left(alice, charlie, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = Decimal(5)
    run(submit(alice))
    run(submit(alice, 1))
    ledger.submit(user_id=alice.pk, **EXPLAIN)
    submit(charlie)

    shown = client_of(alice).get("/api/ai/usage/").json()

    explained = AITask.objects.get(request_type="generate_explanation").reserved
    assert shown["budget"] == {"spent": money(2 * COST), "reserved": money(explained), "limit": money(Decimal(5))}
    assert shown["features"] == {
        "summarize": {
            "tasks": 2,
            "input_tokens": 2 * PROMPT_TOKENS,
            "output_tokens": 2 * COMPLETION_TOKENS,
            "cost": money(2 * COST),
        },
        "generate_explanation": {"tasks": 1, "input_tokens": 0, "output_tokens": 0, "cost": None},
    }


def test_request_types_name_their_models_and_these_are_asked(alice, openai_server, settings):
    settings.AI_MODELS = {"default": "m1", "generate_code": "m2"}

    shown = client_of(alice).get("/api/ai/request-types/").json()
    task = run(submit(alice))

    assert {each["request_type"]: each["model"] for each in shown} == {
        "generate_explanation": "m1", "improve_explanation": "m1", "summarize": "m1", "generate_code": "m2",
        "ask": "m1", "make_cards": "m1",
    }  # fmt: skip
    assert openai_server.state.requests[0]["body"]["model"] == task.model == "m1"


def test_another_model_for_a_type_is_another_request(alice, settings):
    run(ledger.submit(user_id=alice.pk, **SHORT).task)
    settings.AI_MODELS = {"generate_code": "m2"}
    assert ledger.submit(user_id=alice.pk, **SHORT).outcome == "cached"
    settings.AI_MODELS = {"summarize": "m2"}

    assert ledger.submit(user_id=alice.pk, **SHORT).outcome == "created"


def test_the_day_ends_at_midnight_utc(alice, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    with time_machine.travel(datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC), tick=False):
        submit(alice)
        with pytest.raises(ledger.AIBudgetReached) as refused:
            submit(alice, 1)
    assert refused.value.headers["Retry-After"] in ("30", "31")
    with time_machine.travel(datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC), tick=False):
        assert submit(alice, 1).status == "queued"


def test_no_more_than_one_provider_is_paid_for_an_attempt(alice, openai_server, most, settings):
    """Where the first one's call may have cost something, the next attempt asks again, and the next provider waits."""
    openai_server.state.default = "cut"
    with running_server() as second:
        settings.AI_FALLBACKS = [Fallback("b", second.base_url, "", MODEL)]
        task = run(submit(alice))
        assert (task.status, task.cost, second.state.requests) == ("waiting_provider", most, [])

        openai_server.state.default = "503"
        AITask.objects.update(next_attempt_at=timezone.now())
        run(task)

    assert (task.status, task.provider, task.cost, task.reserved) == ("succeeded", "b", most + COST, 0)
