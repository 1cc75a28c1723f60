"""Money: what a task may cost is reserved at its submission and settled at its end, and no budget is ever exceeded."""

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
from ai_tasks.ledger.budgets import reservation_for
from ai_tasks.models import AITask, SpendingDay
from ai_tasks.prices import GO_ON_BYTES
from ai_tasks.providers.openai_compatible import GO_ON
from ai_tasks.worker import Worker
from NoteAssist_AI.ai_settings import Fallback, Price
from tests.ai_tasks.conftest import in_threads
from tests.ai_tasks.ledger_helpers import EXPLAIN, expire_lease
from tests.conftest import client_of
from tests.factories import AITaskFactory, UserFactory
from tests.openai_behaviours import BEHAVIOURS, COMPLETION_TOKENS, MODEL, PROMPT_TOKENS
from tests.openai_server import running_server
from utils.async_optimization import process_ai_request
from utils.diagnosis import Options, examine

pytestmark = pytest.mark.django_db(transaction=True)

TASKS = "/api/ai/tasks/"
SHORT = {"request_type": "summarize", "request_data": {"content": "A loop repeats.", "length": "medium"}}
PRICE = Price(input=Decimal("100"), output=Decimal("200"))
COST = (PROMPT_TOKENS * 100 + COMPLETION_TOKENS * 200) / Decimal(1_000_000)
"""Of one call of the model server."""


@pytest.fixture(autouse=True)
def prices(openai_server, settings, no_limits) -> None:
    settings.AI_PRICES = {MODEL: PRICE}
    settings.AI_MAX_TOKENS = 1000


@pytest.fixture
def most(openai_server, prices) -> Decimal:
    """What ``SHORT`` reserves."""
    return reservation_for(SHORT["request_type"], SHORT["request_data"])


def submit(user, number: int = 0) -> AITask:
    """One more of many requests that differ and reserve the same."""
    return ledger.submit(user_id=user.pk, may_coalesce=False, **different(number)).task


def different(number: int) -> dict:
    return {**SHORT, "request_data": {"content": f"A loop repeat{number:02}", "length": "medium"}}


def run(task: AITask) -> AITask:
    Worker().execute(task.pk)
    task.refresh_from_db()
    return task


def site_today() -> Decimal:
    return SpendingDay.objects.get(day=timezone.now().date()).amount


def sum_of_tasks() -> Decimal:
    return sum(((task.cost or 0) + task.reserved for task in AITask.objects.all()), Decimal(0))


# --- Reserving and settling -------------------------------------------------------------------------------------------


def test_a_submission_reserves_the_most_that_an_answer_and_its_continuation_can_cost(alice, published, most, settings):
    task = submit(alice)

    # the input twice, in bytes, and the first answer sent again; two answers of the longest
    tokens_out = 2 * settings.AI_MAX_TOKENS
    assert most > (settings.AI_MAX_TOKENS * PRICE.input + tokens_out * PRICE.output) / 1_000_000
    assert (task.reserved, task.cost) == (most, None)
    assert site_today() == most
    assert len(GO_ON) <= GO_ON_BYTES


def test_the_end_settles_what_the_provider_counted(alice, most, published):
    task = run(submit(alice))

    assert (task.status, task.cost, task.reserved) == ("succeeded", COST, 0)
    assert site_today() == COST
    assert client_of(alice).get(f"{TASKS}{task.pk}/").json()["usage"] == {
        "input_tokens": PROMPT_TOKENS,
        "output_tokens": COMPLETION_TOKENS,
        "estimated": False,
        "cost": {"amount": "0.011600", "currency": "USD"},
    }


def test_a_model_with_a_price_is_told_how_much_it_may_write(alice, published, openai_server, settings):
    run(submit(alice))
    settings.AI_PRICES = {}
    run(submit(alice, 1))

    bodies = [request["body"] for request in openai_server.state.requests]
    assert [body.get("max_tokens") for body in bodies] == [1000, None]


@pytest.mark.parametrize("behaviour", ["no_usage", "garbage"])
def test_a_call_whose_usage_never_came_counts_as_the_most(alice, published, openai_server, most, behaviour):
    openai_server.state.default = behaviour

    task = run(submit(alice))

    assert (task.cost, task.reserved) == (most, 0)
    assert site_today() == most


@pytest.mark.parametrize(("behaviour", "status"), [("400", "failed"), ("404", "failed"), ("503", "waiting_provider")])
def test_what_the_provider_turned_away_cost_nothing(alice, published, openai_server, most, behaviour, status):
    openai_server.state.default = behaviour

    task = run(submit(alice))

    reserved = most if status == "waiting_provider" else 0
    assert (task.status, task.cost, task.reserved) == (status, None, reserved)
    assert site_today() == reserved


def test_each_attempt_that_was_paid_for_counts_and_the_next_reserves_anew(alice, published, openai_server, most):
    openai_server.state.script.extend(["cut", "stream"])
    task = run(submit(alice))
    assert (task.status, task.cost, task.reserved) == ("waiting_provider", most, 0)
    AITask.objects.update(next_attempt_at=timezone.now())

    assert ledger.claim(task.pk) is not None
    task.refresh_from_db()
    assert (task.cost, task.reserved, site_today()) == (most, most, 2 * most)
    AITask.objects.update(status="queued")
    run(task)

    assert (task.status, task.cost, task.reserved, site_today()) == ("succeeded", most + COST, 0, most + COST)


def test_an_attempt_for_which_there_is_no_money_left_is_not_made(alice, published, openai_server, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most + most / 2
    openai_server.state.script.append("cut")
    task = run(submit(alice))
    AITask.objects.update(next_attempt_at=timezone.now())

    run(task)

    assert (task.status, task.error_code, task.cost, task.reserved) == ("failed", "ai_budget_reached", most, 0)
    assert len(openai_server.state.requests) == 1


def test_a_continuation_counts_both_calls_and_stays_within_the_reservation(alice, published, openai_server, most):
    calls = []

    def length_then_stop(handler, body) -> None:
        calls.append(body)
        handler.stream(body, iter(["A loop repeats. " * 40]), finish_reason="stop" if len(calls) > 1 else "length")

    BEHAVIOURS["continued"] = length_then_stop
    openai_server.state.default = "continued"

    task = run(submit(alice))
    del BEHAVIOURS["continued"]

    assert (task.status, len(calls), task.cost) == ("succeeded", 2, 2 * COST)
    assert [body["max_tokens"] for body in calls] == [1000, 1000]


@pytest.mark.parametrize("verb", ["cancel", "release", "lost", "deadline", "purge of a queued one"])
def test_what_nobody_knows_counts_as_the_most_and_what_never_ran_as_nothing(
    alice, published, openai_server, most, settings, verb
):
    task = submit(alice)
    if verb != "purge of a queued one":
        attempt = ledger.claim(task.pk)
    match verb:
        case "cancel":
            ledger.cancel(task_id=task.pk, user_id=alice.pk)
            ledger.stop_cancelled(attempt)
        case "release":
            ledger.release([attempt])
        case "lost":
            expire_lease(task)
            ledger.claim(task.pk)
        case "deadline":
            ledger.wait_for_provider(attempt, code="x", detail="x", retry_after=None, was_free=False)
        case _:
            ledger.cancel(task_id=task.pk, user_id=alice.pk)

    task.refresh_from_db()
    cost = None if verb == "purge of a queued one" else most
    assert (task.cost, task.reserved) == (cost, most if verb == "lost" else 0)
    assert site_today() == sum_of_tasks()


def test_cached_and_joined_answers_cost_nothing(alice, published, most):
    first = ledger.submit(user_id=alice.pk, **SHORT).task
    assert ledger.submit(user_id=alice.pk, **SHORT).task == first
    assert site_today() == most
    run(first)

    cached = ledger.submit(user_id=alice.pk, **SHORT)

    assert (cached.outcome, cached.task.cost, cached.task.reserved) == ("cached", 0, 0)
    assert site_today() == COST


def test_the_dearest_model_that_may_be_asked_is_reserved(alice, published, most, settings):
    settings.AI_FALLBACKS = [Fallback("b", "http://127.0.0.1:9/v1", "", "dear")]
    settings.AI_PRICES = {MODEL: PRICE, "dear": Price(PRICE.input * 2, PRICE.output * 2)}

    assert submit(alice).reserved == 2 * most


def test_a_model_without_a_price_counts_nothing(alice, published, settings):
    settings.AI_PRICES, settings.AI_BUDGET_DAY = {"another": PRICE}, Decimal(0)

    task = run(submit(alice))

    assert (task.status, task.cost, task.reserved) == ("succeeded", None, 0)
    assert not SpendingDay.objects.exists()


def test_the_doctor_says_which_models_have_no_price(settings):
    settings.AI_MODELS = {"generate_code": "m2", "summarize": "m3"}
    settings.AI_PRICES = {MODEL: PRICE, "m2": PRICE}
    settings.AI_BUDGET_DAY = Decimal("2.5")

    found = [(each.is_well, each.text) for each in examine(Options()) if each.check == "ai money"]

    assert found == [
        (False, "no price for m3 (AI_PRICES): what they cost counts 0"),
        (True, "AI money: 2.5 USD a day for all"),
    ]


# --- Budgets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("setting", "scope"), [("AI_BUDGET_PER_USER_DAY", "user"), ("AI_BUDGET_DAY", "site")])
def test_beyond_a_budget_a_request_is_refused_until_midnight(alice, published, most, settings, setting, scope):
    setattr(settings, setting, 2 * most)
    client = client_of(alice)
    for number in range(2):
        assert client.post(TASKS, different(number), format="json").status_code == 202

    refused = client.post(TASKS, different(3), format="json")

    assert (refused.status_code, refused.json()["code"], refused.json()["scope"]) == (429, "ai_budget_reached", scope)
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    assert abs(int(refused["Retry-After"]) - (midnight - now).total_seconds()) < 10
    assert AITask.objects.count() == 2
    assert site_today() == 2 * most
    # what was asked before costs nothing
    assert client.post(TASKS, different(0), format="json").status_code == 200


def test_a_users_budget_is_nobody_elses(alice, charlie, published, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    submit(alice)

    assert submit(charlie).status == "queued"
    with pytest.raises(ledger.AIBudgetReached):
        submit(alice, 1)


def test_a_settled_task_makes_room(alice, published, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = settings.AI_BUDGET_DAY = most + COST
    run(submit(alice))

    assert submit(alice, 1).status == "queued"
    with pytest.raises(ledger.AIBudgetReached):
        submit(alice, 2)


def test_a_new_day_has_a_budget_of_its_own(alice, published, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = settings.AI_BUDGET_DAY = most
    AITaskFactory(user=alice, reserved=most, created_at=timezone.now() - timedelta(days=1))

    assert submit(alice).status == "queued"
    assert sorted(SpendingDay.objects.values_list("amount", flat=True)) == [most, most]


def test_retries_and_the_guides_delay_keep_to_the_budget(alice, published, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    cancelled = submit(alice)
    ledger.cancel(task_id=cancelled.pk, user_id=alice.pk)
    ledger.retry(task_id=cancelled.pk, user_id=alice.pk)

    with pytest.raises(ledger.AIBudgetReached):
        ledger.retry(task_id=cancelled.pk, user_id=alice.pk)
    with pytest.raises(ledger.AIBudgetReached):
        process_ai_request.delay(uuid.uuid4(), alice.pk, SHORT["request_type"], SHORT["request_data"])
    assert AITask.objects.count() == 2


def test_a_recorded_request_is_accepted_again_whatever_the_budget(alice, published, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    request = {"task_id": uuid.uuid4(), "user_id": alice.pk, **SHORT}

    assert ledger.accept(**request) == ledger.accept(**request)


@pytest.mark.parametrize("way", ["submit", "delay"])
@pytest.mark.parametrize("setting", ["AI_BUDGET_PER_USER_DAY", "AI_BUDGET_DAY"])
def test_no_budget_is_exceeded_by_submissions_at_once(alice, published, most, settings, patient_pool, setting, way):
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


def test_the_sites_day_is_the_sum_of_its_tasks_however_many_end_at_once(alice, published, most, openai_server):
    openai_server.state.script.extend(["stream", "no_usage", "400", "cut", "503", "stream", "empty", "refusal"])
    tasks = [submit(alice, number) for number in range(8)]

    in_threads(8, lambda index: Worker().execute(tasks[index].pk))

    assert site_today() == sum_of_tasks()


@pytest.mark.parametrize("budgets", [False, True])
def test_budgets_cost_a_submission_one_statement_each(alice, published, most, settings, budgets):
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


def test_usage_shows_money_by_feature_and_what_is_left(alice, charlie, published, most, settings):
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


def test_request_types_name_their_models_and_these_are_asked(alice, published, openai_server, settings):
    settings.AI_MODELS = {"default": "m1", "generate_code": "m2"}

    shown = client_of(alice).get("/api/ai/request-types/").json()
    task = run(submit(alice))

    assert {each["request_type"]: each["model"] for each in shown} == {
        "generate_explanation": "m1", "improve_explanation": "m1", "summarize": "m1", "generate_code": "m2",
        "ask": "m1", "make_cards": "m1",
    }  # fmt: skip
    assert openai_server.state.requests[0]["body"]["model"] == task.model == "m1"


def test_another_model_for_a_type_is_another_request(alice, published, settings):
    run(ledger.submit(user_id=alice.pk, **SHORT).task)
    settings.AI_MODELS = {"generate_code": "m2"}
    assert ledger.submit(user_id=alice.pk, **SHORT).outcome == "cached"
    settings.AI_MODELS = {"summarize": "m2"}

    assert ledger.submit(user_id=alice.pk, **SHORT).outcome == "created"


def test_the_day_ends_at_midnight_utc(alice, published, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most
    with time_machine.travel(datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC), tick=False):
        submit(alice)
        with pytest.raises(ledger.AIBudgetReached) as refused:
            submit(alice, 1)
    assert refused.value.headers["Retry-After"] in ("30", "31")
    with time_machine.travel(datetime(2026, 11, 24, 0, 0, 1, tzinfo=UTC), tick=False):
        assert submit(alice, 1).status == "queued"


def test_no_more_than_one_provider_is_paid_for_an_attempt(alice, published, openai_server, most, settings):
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
