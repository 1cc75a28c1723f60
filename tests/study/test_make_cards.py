"""The request type ``make_cards``: proposed cards, tied to the passages that they are made of."""

import uuid

import pytest

from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from study.make_cards import NO_PASSAGES, NOTHING_LEFT, OFFLINE
from study.models import Card
from tests.study.conftest import CARDS, DUE
from tests.study.making import TASKS, TEXT, answer_of, blocks_of, edit, make_cards, rows, submitted, topic_with


def problems(response) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


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
