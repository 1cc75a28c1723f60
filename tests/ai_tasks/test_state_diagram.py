"""The documented states are the code's, and what the ledger does is what its table of transitions says."""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.ledger import TRANSITIONS, Attempt
from ai_tasks.ledger.attempts import MAX_LOST_LEASES
from ai_tasks.ledger.waiting import MAX_PROVIDER_FAILURES
from ai_tasks.models import AITask
from tests.ai_tasks.ledger_helpers import ANSWER
from tests.factories import AITaskFactory


def test_the_diagram_in_the_docs_shows_the_transition_table():
    document = Path(settings.BASE_DIR, "docs/ledger.md").read_text()

    drawn = set(re.findall(r"^ +(\w+) --> (\w+)", document, flags=re.MULTILINE))
    ends = set(re.findall(r"^ +(\w+) --> \[\*\]", document, flags=re.MULTILINE))

    assert drawn == {(str(state), str(follower)) for state, after in TRANSITIONS.items() for follower in after}
    assert ends == {str(state) for state, after in TRANSITIONS.items() if not after} == set(map(str, AITask.TERMINAL))
    assert set(TRANSITIONS) == set(AITask.Status)


def attempt_of(task: AITask) -> Attempt:
    return Attempt(task.pk, task.attempt, task.user_id, task.request_type, task.request_data)


VERBS: dict[str, Callable[[AITask], object]] = {
    "claim": lambda task: ledger.claim(task.pk),
    "heartbeat": lambda task: ledger.heartbeat({(task.pk, task.attempt): ledger.Step(50, "Writing")}),
    "succeed": lambda task: ledger.succeed(attempt_of(task), ANSWER),
    "fail": lambda task: ledger.fail(attempt_of(task), code="x", detail="x"),
    "wait_for_provider": lambda task: ledger.wait_for_provider(
        attempt_of(task), code="x", detail="x", retry_after=None
    ),
    "wait_for_outage": lambda task: ledger.wait_for_outage(attempt_of(task), code="x", detail="x"),
    "release": lambda task: ledger.release([attempt_of(task)]),
    "stop_cancelled": lambda task: ledger.stop_cancelled(attempt_of(task)),
    "cancel": lambda task: ledger.cancel(task_id=task.pk, user_id=task.user_id),
    "retry": lambda task: ledger.retry(task_id=task.pk, user_id=task.user_id),
    "sweep": lambda task: ledger.sweep(),
}
PAST, FUTURE = timedelta(hours=-1), timedelta(hours=1)
CIRCUMSTANCES: list[dict[str, Any]] = [
    {"lease_expires_at": FUTURE, "next_attempt_at": FUTURE},
    {"lease_expires_at": PAST, "next_attempt_at": PAST},
    {"lease_expires_at": PAST, "lost_leases": MAX_LOST_LEASES - 1},
    {"lease_expires_at": FUTURE, "provider_failures": MAX_PROVIDER_FAILURES - 1},
    {"lease_expires_at": FUTURE, "waiting_since": timedelta(hours=-25)},
]


@pytest.mark.parametrize("state", AITask.Status)
def test_the_ledger_leads_from_each_state_to_those_of_its_table_and_no_others(alice, no_limits, state):
    reached = set()
    for verb in VERBS.values():
        for circumstances in CIRCUMSTANCES:
            now = timezone.now()
            fields = {name: now + it if isinstance(it, timedelta) else it for name, it in circumstances.items()}
            task = AITaskFactory(user=alice, status=state, attempt=1, **fields)
            with suppress(ledger.FenceLost, ledger.TaskFinished, ledger.TaskUnfinished):
                verb(task)
            after = AITask.objects.get(pk=task.pk)
            if (after.status, after.attempt) != (state, 1):
                reached.add(after.status)
            AITask.objects.all().delete()

    assert reached == TRANSITIONS[state]
