"""Money: what a task may cost is reserved at its submission and settled at its end."""

from decimal import Decimal

import pytest
from django.utils import timezone

import ai_tasks.diagnosis  # noqa: F401  # registers its checks
from ai_tasks import ledger
from ai_tasks.models import AITask, SpendingDay
from ai_tasks.prices import GO_ON_BYTES
from ai_tasks.providers.openai_compatible import GO_ON
from NoteAssist_AI.ai_settings import Fallback, Price
from tests.ai_tasks.ledger_helpers import expire_lease
from tests.ai_tasks.spending import COST, PRICE, SHORT, TASKS, run, site_today, submit, sum_of_tasks
from tests.conftest import client_of
from tests.openai_behaviours import BEHAVIOURS, COMPLETION_TOKENS, MODEL, PROMPT_TOKENS
from utils.diagnosis import Options, examine

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("prices")]


# --- Reserving and settling -------------------------------------------------------------------------------------------


def test_a_submission_reserves_the_most_that_an_answer_and_its_continuation_can_cost(alice, most, settings):
    task = submit(alice)

    # the input twice, in bytes, and the first answer sent again; two answers of the longest
    tokens_out = 2 * settings.AI_MAX_TOKENS
    assert most > (settings.AI_MAX_TOKENS * PRICE.input + tokens_out * PRICE.output) / 1_000_000
    assert (task.reserved, task.cost) == (most, None)
    assert site_today() == most
    assert len(GO_ON) <= GO_ON_BYTES


def test_the_end_settles_what_the_provider_counted(alice, most):
    task = run(submit(alice))

    assert (task.status, task.cost, task.reserved) == ("succeeded", COST, 0)
    assert site_today() == COST
    assert client_of(alice).get(f"{TASKS}{task.pk}/").json()["usage"] == {
        "input_tokens": PROMPT_TOKENS,
        "output_tokens": COMPLETION_TOKENS,
        "estimated": False,
        "cost": {"amount": "0.011600", "currency": "USD"},
    }


def test_a_model_with_a_price_is_told_how_much_it_may_write(alice, openai_server, settings):
    run(submit(alice))
    settings.AI_PRICES = {}
    run(submit(alice, 1))

    bodies = [request["body"] for request in openai_server.state.requests]
    assert [body.get("max_tokens") for body in bodies] == [1000, None]


@pytest.mark.parametrize("behaviour", ["no_usage", "garbage"])
def test_a_call_whose_usage_never_came_counts_as_the_most(alice, openai_server, most, behaviour):
    openai_server.state.default = behaviour

    task = run(submit(alice))

    assert (task.cost, task.reserved) == (most, 0)
    assert site_today() == most


@pytest.mark.parametrize(("behaviour", "status"), [("400", "failed"), ("404", "failed"), ("503", "waiting_provider")])
def test_what_the_provider_turned_away_cost_nothing(alice, openai_server, most, behaviour, status):
    openai_server.state.default = behaviour

    task = run(submit(alice))

    reserved = most if status == "waiting_provider" else 0
    assert (task.status, task.cost, task.reserved) == (status, None, reserved)
    assert site_today() == reserved


def test_each_attempt_that_was_paid_for_counts_and_the_next_reserves_anew(alice, openai_server, most):
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


def test_an_attempt_for_which_there_is_no_money_left_is_not_made(alice, openai_server, most, settings):
    settings.AI_BUDGET_PER_USER_DAY = most + most / 2
    openai_server.state.script.append("cut")
    task = run(submit(alice))
    AITask.objects.update(next_attempt_at=timezone.now())

    run(task)

    assert (task.status, task.error_code, task.cost, task.reserved) == ("failed", "ai_budget_reached", most, 0)
    assert len(openai_server.state.requests) == 1


def test_a_continuation_counts_both_calls_and_stays_within_the_reservation(alice, openai_server, most):
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
def test_what_nobody_knows_counts_as_the_most_and_what_never_ran_as_nothing(alice, openai_server, most, settings, verb):
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


def test_cached_and_joined_answers_cost_nothing(alice, most):
    first = ledger.submit(user_id=alice.pk, **SHORT).task
    assert ledger.submit(user_id=alice.pk, **SHORT).task == first
    assert site_today() == most
    run(first)

    cached = ledger.submit(user_id=alice.pk, **SHORT)

    assert (cached.outcome, cached.task.cost, cached.task.reserved) == ("cached", 0, 0)
    assert site_today() == COST


def test_the_most_expensive_model_that_may_be_asked_is_reserved(alice, most, settings):
    settings.AI_FALLBACKS = [Fallback("b", "http://127.0.0.1:9/v1", "", "dear")]
    settings.AI_PRICES = {MODEL: PRICE, "dear": Price(PRICE.input * 2, PRICE.output * 2)}

    assert submit(alice).reserved == 2 * most


def test_a_model_without_a_price_counts_nothing(alice, settings):
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
