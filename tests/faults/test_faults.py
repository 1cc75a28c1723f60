"""The short form of the faults, and that their checks would notice."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.models import AITask
from tests.factories import AITaskFactory
from tests.faults.checks import was_away
from tests.faults.history import MAY_FOLLOW, Answer, regressions
from tests.faults.operators import Fault
from tests.faults.plan import SHORT
from tests.faults.run import LAST_END, LOST, run


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_taken_back_whatever_is_killed():
    report = run(SHORT)

    print(report.text())  # noqa: T201  # pytest shows it with a failure
    assert report.problems == []


def test_the_checks_know_the_ledgers_transitions():
    assert {str(status): set(map(str, after)) for status, after in ledger.TRANSITIONS.items()} == MAY_FOLLOW


def test_only_what_a_fault_took_away_counts_as_lost(alice):
    """Without beat nothing that the provider put off moves, whether or not anything was killed."""
    now, hour = timezone.now(), timedelta(hours=1)
    for status in AITask.Status:
        AITaskFactory(user=alice, status=status, lease_expires_at=now + hour, next_attempt_at=now - hour)
        AITaskFactory(user=alice, status=status, lease_expires_at=now - hour, next_attempt_at=now - hour)

    with connection.cursor() as cursor:
        cursor.execute(LOST)
        assert cursor.fetchone() == (3,)  # both that are queued, and the running one whose lease has expired


@pytest.mark.parametrize(
    ("tasks", "seconds"),
    [
        ([(-60, -10)], 0),  # over before the last fault
        ([(-60, 70), (-5, 20)], 70),
        ([(50, 70), (-5, 20)], 20),  # 50 s after the last fault came what took 20 s
        ([(50, 90), (-5, 20)], 40),
    ],
)
def test_the_last_end_is_counted_from_the_last_fault_or_the_tasks_acceptance(alice, tasks, seconds):
    fault = timezone.now()
    for created, finished in tasks:
        AITaskFactory(
            user=alice,
            status="succeeded",
            created_at=fault + timedelta(seconds=created),
            finished_at=fault + timedelta(seconds=finished),
        )

    with connection.cursor() as cursor:
        cursor.execute(LAST_END, [fault.timestamp(), fault.timestamp()])
        assert cursor.fetchone() == (seconds,)


@pytest.mark.parametrize(
    ("connected", "began", "code", "excused"),
    [
        (5, 15, 0, True),  # the connection broke at 10 and nobody noticed
        (15, 15, 0, False),  # a new one
        (11, 15, 0, True),  # made while the server came back
        (5, 15, 503, False),  # it stood
        (5, 11, 503, True),
        (20, 21, 0, False),
        (5, 9, 0, False),  # over before
    ],
)
def test_a_dead_server_excuses_what_was_sent_to_it_or_over_a_connection_from_before(connected, began, code, excused):
    fault = Fault("web", "SIGKILL", 10, 11)
    answer = Answer(connected, began, began + 0.1, 0, "poll", code)

    assert was_away([fault], "web", answer, 2) is excused


def told(began: float, status: str, attempt: int = 1, progress: int = 0, *, seconds: float = 0.5) -> Answer:
    return Answer(began, began, began + seconds, 0, "poll", 200, "a task", status, attempt, progress)


@pytest.mark.parametrize(
    "answers",
    [
        [told(1, "succeeded"), told(2, "running")],
        [told(1, "cancelled"), told(2, "succeeded")],
        [told(1, "running"), told(2, "queued", attempt=0)],
        [told(1, "running", progress=40), told(2, "running", progress=39)],
        [told(1, "running", progress=40), told(2, "queued", progress=39)],
        [told(1, "cancelling"), told(2, "running", attempt=2)],
        [told(1, "waiting_provider"), told(2, "running")],
        [told(1, "succeeded"), told(2, "succeeded", attempt=2)],
    ],
)
def test_answers_that_take_something_back_are_found(answers):
    assert regressions(answers) == [tuple(answers)]


@pytest.mark.parametrize(
    "answers",
    [
        [
            told(1, "queued", attempt=0),
            told(2, "running"),
            told(3, "running", progress=40),
            told(4, "succeeded", progress=100),
        ],
        [told(1, "running", progress=40), told(2, "running", attempt=2), told(3, "waiting_provider", attempt=2)],
        [told(1, "running"), told(2, "queued"), told(3, "cancelled")],
        [told(1, "succeeded", seconds=3), told(2, "running")],  # they overlapped
    ],
)
def test_answers_that_may_follow_each_other_are_no_regression(answers):
    assert regressions(answers) == []
