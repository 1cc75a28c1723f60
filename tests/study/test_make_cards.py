"""The request type ``make_cards``: proposed cards, tied to the passages that they are made of."""

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
from study.make_cards import NO_PASSAGES, NOT_KEPT, NOTHING_LEFT, OFFLINE, TOPIC_GONE
from study.making.passages import PASSAGES_MAX_BYTES, find_passages
from study.models import Card, Face
from tests.ai_tasks.answering import run
from tests.ai_tasks.conftest import Recorder
from tests.database_faults import barrier, in_background, refusing
from tests.processes import RUN_SECONDS, environment_of_this_test
from tests.study.conftest import CARDS, DUE
from tests.study.making import TASKS, answer_of, blocks_of, edit, make_cards, submitted, topic_with

TEXT = "# Stacks\n\nA stack is a list with one end.\n\nA queue is a list with two ends.\n"


@pytest.fixture
def topic_id(transactional_db, alice) -> int:
    return topic_with(alice, TEXT)


def problems(response) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


def rows() -> list[tuple[str, str | None, bool]]:
    return list(Card.objects.order_by("created_at").values_list("front", "block_id", "proposed"))


# --- What is asked ----------------------------------------------------------------------------------------------------

DATA = "/request_data"


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        ({"count": 0}, [(f"{DATA}/count", "min_value")]),
        ({"count": 51}, [(f"{DATA}/count", "max_value")]),
        ({"count": 2.0}, [(f"{DATA}/count", "invalid")]),
        ({"count": True}, [(f"{DATA}/count", "invalid")]),
        ({"count": "3"}, [(f"{DATA}/count", "invalid")]),
        ({"count": None}, [(f"{DATA}/count", "invalid")]),
        ({"kinds": []}, [(f"{DATA}/kinds", "empty")]),
        ({"kinds": "basic"}, [(f"{DATA}/kinds", "invalid")]),
        ({"kinds": ["basic", "basic"]}, [(f"{DATA}/kinds", "duplicate")]),
        ({"kinds": ["basic", "essay"]}, [(f"{DATA}/kinds/1", "invalid_choice")]),
        ({"topic": "x"}, [(f"{DATA}/topic", "unknown_field")]),
    ],
)
def test_each_mistake_is_pointed_at(alice_client, topic_id, data, errors):
    response = submitted(alice_client, topic_id, **data)

    assert (response.status_code, problems(response)) == (400, errors)


def test_it_needs_a_topic_with_a_text(alice, alice_client, transactional_db):
    none = submitted(alice_client, None)
    empty = submitted(alice_client, topic_with(alice, " \n"))

    assert (none.status_code, problems(none)) == (400, [("/topic_id", "required")])
    assert (empty.status_code, problems(empty)) == (400, [("/topic_id", "blank")])


def test_a_strangers_topic_is_like_none(charlie_client, topic_id):
    theirs, none = submitted(charlie_client, topic_id), submitted(charlie_client, topic_id + 1000)

    assert (theirs.status_code, none.status_code) == (404, 404)
    assert not AITask.objects.exists()


def test_cards_are_written_to_no_topic(alice_client, topic_id):
    body = {"request_type": "make_cards", "request_data": {}, "topic_id": topic_id, "apply": True}

    response = alice_client.post(TASKS, body, format="json")

    assert (response.status_code, problems(response)) == (400, [("/apply", "invalid")])


def test_an_equal_unfinished_request_is_joined_and_a_finished_one_never_reused(alice_client, topic_id, offline):
    first, second = (
        submitted(alice_client, topic_id),
        submitted(alice_client, topic_id, kinds=["reversed", "cloze", "basic"]),
    )
    assert first.json()["task_id"] == second.json()["task_id"]
    Worker().execute(uuid.UUID(first.json()["task_id"]))

    third = submitted(alice_client, topic_id)

    assert (third.status_code, third.json()["cached"]) == (202, False)
    assert third.json()["task_id"] != first.json()["task_id"]


# --- Without a model --------------------------------------------------------------------------------------------------


def test_without_a_model_cards_are_made_of_the_topics_own_words(alice, alice_client, send, topic_id, offline):
    task = make_cards(alice_client, topic_id, kinds=["basic"])

    _, stack, queue = blocks_of(alice, topic_id)
    assert (task["status"], task["provider"], task["applicable"]) == ("succeeded", "offline", False)
    assert task["result"]["notice"] == OFFLINE
    assert [(card["kind"], card["front"], card["block_id"]) for card in task["result"]["cards"]] == [
        ("basic", "What is a stack?", stack.id),
        ("basic", "What is a queue?", queue.id),
    ]
    made = list(Card.objects.order_by("created_at"))
    assert [str(card.pk) for card in made] == [card["id"] for card in task["result"]["cards"]]
    assert [(card.topic_id, card.block_text, card.stale, card.proposed) for card in made] == [
        (topic_id, stack.text, False, True),
        (topic_id, queue.text, False, True),
    ]
    shown = [card["state"] for card in alice_client.get(CARDS).json()["results"]]
    assert (shown, alice_client.get(DUE).json()["results"]) == (["proposed"] * 2, [])

    send(alice_client, "post", f"{CARDS}decide/", {"accept": [task["result"]["cards"][0]["id"]]})

    assert [card["front"] for card in alice_client.get(DUE).json()["results"]] == ["What is a stack?"]


def test_what_has_cards_already_is_not_made_again_nor_asked(alice, alice_client, topic_id, offline):
    make_cards(alice_client, topic_id)
    edit(alice, topic_id, TEXT.replace("one end.", "**one** end") + "\nA deque is a list with two open ends.\n")

    more = make_cards(alice_client, topic_id, kinds=["basic"])
    again = make_cards(alice_client, topic_id, kinds=["basic"])

    assert [card["front"] for card in more["result"]["cards"]] == ["What is a deque?"]
    assert (again["result"]["cards"], again["result"]["notice"]) == ([], NOTHING_LEFT)
    assert Card.objects.count() == 3


def test_a_topic_of_headings_has_nothing_to_make_cards_of(alice, alice_client, transactional_db, offline):
    task = make_cards(alice_client, topic_with(alice, "# Stacks\n\n## Queues\n"))

    assert (task["status"], task["result"]["notice"], task["result"]["cards"]) == ("succeeded", NO_PASSAGES, [])


# --- With a model -----------------------------------------------------------------------------------------------------


def test_a_model_is_told_the_passages_and_makes_cards_of_them(alice, alice_client, topic_id, openai_server):
    _, stack, _ = blocks_of(alice, topic_id)
    openai_server.state.answer = answer_of(
        {"front": "How many ends has a stack?", "back": "One", "block_id": stack.id},
        {"kind": "cloze", "front": "A {{c1::stack}} has one end.", "block_id": stack.id},
    )

    task = make_cards(alice_client, topic_id, count=3)

    (asked,) = openai_server.state.requests
    told = asked["body"]["messages"][1]["content"]
    assert f"passage {stack.id}>>\nA stack is a list with one end." in told
    assert "count>>\n3\n" in told
    assert asked["body"]["response_format"]["json_schema"]["name"] == "cards"
    assert (task["status"], task["result"]["notice"]) == ("succeeded", None)
    assert rows() == [
        ("How many ends has a stack?", stack.id, True),
        ("A {{c1::stack}} has one end.", stack.id, True),
    ]
    assert task["result"]["content"] == "1. How many ends has a stack?\n\nOne\n\n2. A {{c1::stack}} has one end."


def test_a_card_that_a_model_writes_again_is_one(alice, alice_client, topic_id, openai_server):
    one, other = {"front": "Ends of a stack?", "back": "One"}, {"front": "Ends of a queue?", "back": "Two"}
    openai_server.state.answer = answer_of(one, one, {**one, "back": "Just one"}, other, one)

    task = make_cards(alice_client, topic_id, count=2)

    assert [card["front"] for card in task["result"]["cards"]] == ["Ends of a stack?", "Ends of a queue?"]
    assert task["result"]["notice"] is None


def test_a_model_that_makes_no_cards_is_told_of(alice_client, topic_id, openai_server):
    openai_server.state.answer = answer_of()

    task = make_cards(alice_client, topic_id)

    assert (task["status"], task["result"]["cards"]) == ("succeeded", [])
    assert task["result"]["notice"] == "The model found nothing to make cards from."


def test_a_passage_is_not_sent_twice(alice, alice_client, topic_id, openai_server):
    _, stack, queue = blocks_of(alice, topic_id)
    openai_server.state.answer = answer_of({"front": "Ends of a stack?", "back": "One", "block_id": stack.id})
    make_cards(alice_client, topic_id, kinds=["basic"])
    openai_server.state.answer = answer_of({"front": "Ends of a queue?", "back": "Two", "block_id": queue.id})

    make_cards(alice_client, topic_id, kinds=["basic"])
    make_cards(alice_client, topic_id, kinds=["basic"])

    first, second = (request["body"]["messages"][1]["content"] for request in openai_server.state.requests)
    assert (stack.text in first, queue.text in first) == (True, True)
    assert (stack.text in second, queue.text in second) == (False, True)


def test_an_unknown_block_is_replaced_by_the_one_that_has_the_answer_or_by_none(
    alice, alice_client, charlie, topic_id, openai_server
):
    _, stack, _ = blocks_of(alice, topic_id)
    (foreign,) = blocks_of(charlie, topic_with(charlie, "Charlie's passage is about the heart.\n"))
    openai_server.state.answer = answer_of(
        {"front": "Stack?", "back": "a list  with ONE end", "block_id": "invented"},
        {"front": "Heart?", "back": "Charlie's passage is about the heart.", "block_id": foreign.id},
        {"front": "List?", "back": "is a list with", "block_id": foreign.id},  # in both passages
        {"front": "Nothing?", "back": "short"},
    )

    make_cards(alice_client, topic_id)

    assert rows() == [("Stack?", stack.id, True), ("Heart?", "", True), ("List?", "", True), ("Nothing?", "", True)]
    assert set(Card.objects.values_list("topic_id", "user_id")) == {(topic_id, alice.pk)}
    assert set(Card.objects.filter(block_id="").values_list("block_text", flat=True)) == {""}


def test_what_cannot_be_asked_is_left_out_and_told(alice_client, topic_id, openai_server):
    openai_server.state.answer = answer_of(
        {"front": "Good?", "back": "Yes"},
        {"front": "No answer?", "back": " "},
        {"front": "", "back": "No question"},
        {"kind": "cloze", "front": "Nothing is left out"},
        {"kind": "essay", "front": "Write", "back": "much"},
        {"kind": "reversed", "front": "Not", "back": "wanted"},
        {"front": "Long?", "back": "x" * 20_001},
    )

    task = make_cards(alice_client, topic_id, kinds=["basic", "cloze"])

    assert [front for front, _, _ in rows()] == ["Good?"]
    assert task["result"]["notice"] == "6 of the model's cards cannot be asked, and were left out."


def test_no_more_cards_are_made_than_asked_for(alice_client, topic_id, openai_server):
    openai_server.state.answer = answer_of(*({"front": f"{n}?", "back": "x"} for n in range(5)))

    make_cards(alice_client, topic_id, count=2)

    assert [front for front, _, _ in rows()] == ["0?", "1?"]


@pytest.mark.parametrize(
    "answer",
    [
        "Here are your cards: none.",
        '{"cards": {}}',
        '{"cards": ["x"]}',
        '{"cards": [{"kind": "basic"}]}',
        '{"flashcards": []}',
    ],
)
def test_what_is_no_such_document_is_unreadable(alice_client, topic_id, openai_server, answer):
    openai_server.state.answer = answer

    task = make_cards(alice_client, topic_id)

    assert (task["status"], task["error"]["code"]) == ("failed", "answer_unreadable")
    assert (task["result"]["content"], task["result"]["cards"]) == (answer, [])
    assert not Card.objects.exists()


def test_a_retry_makes_the_cards_that_the_first_try_did_not(alice, alice_client, topic_id, openai_server):
    openai_server.state.answer = "no document"
    failed = make_cards(alice_client, topic_id)
    openai_server.state.answer = answer_of({"front": "Good?", "back": "Yes"})

    retried = alice_client.post(f"{TASKS}{failed['id']}/retry/")
    Worker().execute(uuid.UUID(retried.json()["task_id"]))

    assert retried.status_code == 202
    assert [front for front, _, _ in rows()] == ["Good?"]


# --- Once, and with the answer ----------------------------------------------------------------------------------------

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
