"""Cards are made once each, in the transaction that records their answer."""

import os
import subprocess
import sys
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from ai_tasks import ledger
from ai_tasks.answering import AIRequest
from ai_tasks.ledger.attempts import FenceLost, claim, succeed
from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from notes import services as notes
from study.make_cards import NOT_KEPT, OFFLINE, TOPIC_GONE
from study.making.passages import PASSAGES_MAX_BYTES, find_passages
from study.models import Card, Face
from tests.ai_tasks.answering import run
from tests.ai_tasks.conftest import Recorder
from tests.database_faults import barrier, in_background, refusing
from tests.processes import RUN_SECONDS, environment_of_this_test
from tests.study.making import TASKS, TEXT, edit, make_cards, submitted, topic_with

KILLED = """
import os, signal, sys, uuid
import django
django.setup()
from ai_tasks.ledger import attempts
from ai_tasks.worker import Worker
attempts.announce_end = lambda *args, **options: os.kill(os.getpid(), signal.SIGKILL)
Worker().execute(uuid.UUID(sys.argv[1]))
"""


def test_a_worker_that_is_killed_while_it_records_leaves_no_card_and_the_next_one_makes_each_once(
    alice_client, topic_id, offline
):
    task_id = uuid.UUID(submitted(alice_client, topic_id).json()["task_id"])
    environment = environment_of_this_test(DJANGO_SETTINGS_MODULE=os.environ["DJANGO_SETTINGS_MODULE"], AI_API_KEY="")

    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(task_id)], env=environment, timeout=RUN_SECONDS, check=False
    )

    assert killed.returncode == -9
    assert (AITask.objects.get().status, Card.objects.count(), Face.objects.count()) == ("running", 0, 0)
    AITask.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    ledger.sweep()
    Worker().execute(task_id)
    assert (AITask.objects.get().status, Card.objects.count()) == ("succeeded", 2)


def test_an_outdated_attempt_makes_no_cards(alice, alice_client, topic_id, offline):
    task_id = uuid.UUID(submitted(alice_client, topic_id).json()["task_id"])
    late = claim(task_id)
    answer = run(AIRequest(alice.pk, "make_cards", late.request_data, topic_id), Recorder())
    AITask.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    Worker().execute(task_id)

    with pytest.raises(FenceLost):
        succeed(late, answer)

    assert Card.objects.count() == 2


def test_a_cancelled_task_makes_no_cards(alice, alice_client, topic_id, offline):
    task_id = uuid.UUID(submitted(alice_client, topic_id).json()["task_id"])
    attempt = claim(task_id)
    answer = run(AIRequest(alice.pk, "make_cards", attempt.request_data, topic_id), Recorder())
    alice_client.post(f"{TASKS}{task_id}/cancel/")

    task = succeed(attempt, answer)

    assert (task.status, Card.objects.count()) == ("cancelled", 0)


def test_a_cancel_that_comes_while_cards_are_recorded_leaves_none(alice, alice_client, topic_id, offline):
    task_id = uuid.UUID(submitted(alice_client, topic_id).json()["task_id"])
    attempt = claim(task_id)
    answer = run(AIRequest(alice.pk, "make_cards", attempt.request_data, topic_id), Recorder())

    with barrier("AFTER INSERT", "study_card") as made, in_background(lambda: succeed(attempt, answer)) as ended:
        made.wait_for_one()
        alice_client.post(f"{TASKS}{task_id}/cancel/")
        made.open()

    assert (ended.result().status, Card.objects.count()) == ("cancelled", 0)


def test_if_cards_cannot_be_written_the_answer_is_kept_and_says_so(alice_client, topic_id, offline):
    with refusing("AFTER INSERT", "study_card", sqlstate="P0001"):
        task = make_cards(alice_client, topic_id)

    assert (task["status"], task["result"]["notice"], task["result"]["cards"]) == ("succeeded", NOT_KEPT, [])
    assert not Card.objects.exists()


def test_two_requests_at_once_make_each_card_once(alice, alice_client, topic_id, offline):
    answers = []
    for count in (10, 20):
        attempt = claim(uuid.UUID(submitted(alice_client, topic_id, count=count).json()["task_id"]))
        answers.append((attempt, run(AIRequest(alice.pk, "make_cards", attempt.request_data, topic_id), Recorder())))

    tasks = [succeed(attempt, answer) for attempt, answer in answers]

    assert [len(task.result["cards"]) for task in tasks] == [2, 0]
    assert Card.objects.count() == 2


def test_a_passage_that_changed_meanwhile_leaves_a_stale_card_and_a_removed_one_an_orphan(
    alice, alice_client, topic_id, offline
):
    attempt = claim(uuid.UUID(submitted(alice_client, topic_id).json()["task_id"]))
    answer = run(AIRequest(alice.pk, "make_cards", attempt.request_data, topic_id), Recorder())
    edit(alice, topic_id, "# Stacks\n\nA stack is a list with one open end.\n")

    succeed(attempt, answer)

    flags = list(Card.objects.order_by("created_at").values_list("front", "stale", "orphan"))
    assert flags == [("What is a stack?", True, False), ("What is a queue?", False, True)]
    edit(alice, topic_id, TEXT)  # says what the first card was made from
    assert Card.objects.filter(stale=True).count() == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_of_a_topic_that_is_gone_no_cards_are_made(alice, alice_client, topic_id, offline, when):
    attempt = claim(uuid.UUID(submitted(alice_client, topic_id).json()["task_id"]))
    if when == "before":
        notes.delete_topic(user_id=alice.pk, topic_id=topic_id)
    answer = run(AIRequest(alice.pk, "make_cards", attempt.request_data, topic_id), Recorder())
    if when == "after":
        notes.delete_topic(user_id=alice.pk, topic_id=topic_id)

    task = succeed(attempt, answer)

    assert (task.status, task.result["notice"], task.result["cards"]) == ("succeeded", TOPIC_GONE, [])
    assert not Card.objects.exists()


def test_a_long_topic_is_taken_in_parts(alice, alice_client, transactional_db, offline):
    text = "".join(f"Term{n} is a list with {'many ' * 400}ends.\n\n" for n in range(40))
    topic_id = topic_with(alice, text)

    found = find_passages(user_id=alice.pk, topic_id=topic_id, kinds=["basic"])
    first = make_cards(alice_client, topic_id, kinds=["basic"], count=50)
    second = make_cards(alice_client, topic_id, kinds=["basic"], count=50)

    assert sum(len(passage.block.text.encode()) for passage in found.passages) <= PASSAGES_MAX_BYTES
    assert first["result"]["notice"].endswith("ask again for cards from the rest of it.")
    assert second["result"]["notice"] == OFFLINE
    assert len(first["result"]["cards"]) + len(second["result"]["cards"]) == 40
