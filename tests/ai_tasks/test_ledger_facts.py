"""What the ledger tells besides a task's state: in the log, in a refusal, and to workers."""

import logging
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger.announcing import PROCESS_TASK
from ai_tasks.ledger.attempts import Attempt
from tests.ai_tasks.ledger_helpers import ANSWER, EXPLAIN
from tests.broker import messages
from tests.factories import AITaskFactory


def succeed(attempt: Attempt) -> None:
    ledger.succeed(attempt, ANSWER)


def fail(attempt: Attempt) -> None:
    ledger.fail(attempt, code="provider_failed", detail="The provider failed.")


@pytest.mark.parametrize(
    ("end", "facts"),
    [
        (succeed, {"error_code": None, "provider": "offline", "input_tokens": 3, "output_tokens": 5}),
        (fail, {"error_code": "provider_failed", "provider": None, "input_tokens": 0, "output_tokens": 0}),
    ],
)
def test_the_log_line_of_an_end_says_who_answered_what_it_took_and_why_it_failed(
    alice, caplog, django_capture_on_commit_callbacks, end, facts
):
    attempt = ledger.claim(AITaskFactory(user=alice).pk)

    with caplog.at_level(logging.INFO), django_capture_on_commit_callbacks(execute=True):
        end(attempt)

    [line] = [record.fields for record in caplog.records if record.getMessage() == "ai_task"]
    assert {name: line[name] for name in facts} == facts
    assert (line["request_type"], line["cached"]) == (attempt.request_type, False)


def test_who_waits_as_long_as_the_refusal_says_is_not_refused_again(alice, settings):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"ai_tools": "1/hour"}}
    now = timezone.now()
    AITaskFactory(user=alice, created_at=now - timedelta(minutes=50, seconds=0.25))

    with time_machine.travel(now, tick=False), pytest.raises(ledger.AILimitReached) as refusal:
        ledger.submit(user_id=alice.pk, **EXPLAIN)
    assert refusal.value.headers == {"Retry-After": "600"}

    with time_machine.travel(now + timedelta(seconds=600), tick=False):
        assert ledger.submit(user_id=alice.pk, **EXPLAIN).outcome == "created"


def test_a_request_under_an_id_of_the_callers_is_sent_to_the_workers_until_it_has_ended(
    alice, empty_redis, django_capture_on_commit_callbacks
):
    recorded = {"task_id": uuid.uuid4(), "user_id": alice.pk, **EXPLAIN}
    with django_capture_on_commit_callbacks(execute=True):
        task = ledger.accept(**recorded)
    assert messages(empty_redis) == [(PROCESS_TASK, str(task.pk))]

    fail(ledger.claim(task.pk))
    with django_capture_on_commit_callbacks(execute=True):
        ledger.accept(**recorded)
    assert len(messages(empty_redis)) == 1
