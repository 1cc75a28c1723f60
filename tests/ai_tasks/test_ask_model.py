"""Questions to one's own notes with a model: what it is told, and what becomes of its answer."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.ask import CHECKED, NOT_IN_NOTES
from ai_tasks.models import AITask
from notes.models import Topic
from tests.ai_tasks.asking import LIGHT, TASKS, answer_of, ask, blocks_of, body_of, topic_of, verdicts
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

CODE = "Photosynthesis as code:\n\n```python\ndef Photosynthesis(light):\n    return light + 1\n```\n"


@pytest.fixture
def topic(transactional_db, alice) -> Topic:
    return topic_of(alice, "Light reactions", LIGHT, tags=["biology"])


def test_each_passage_stands_verbatim_after_its_blocks_id(alice, alice_client, topic, openai_server):
    openai_server.state.answer = answer_of()

    ask(alice_client, "Where do the light reactions take place?")

    (request,) = openai_server.state.requests
    system, user = request["body"]["messages"]
    first, second = blocks_of(topic, alice)
    mark = re.search(r"bear the mark ([0-9a-f]{24})\.", user["content"])[1]
    assert f"<<{mark} passage {first.id}>>\n{first.text}\n<</{mark} passage {first.id}>>" in user["content"]
    assert second.text.strip() in user["content"]
    assert "Where do the light reactions take place?" in user["content"]
    assert "thylakoid" not in system["content"]
    assert request["body"]["response_format"]["json_schema"]["name"] == "sentences"


def test_each_sentence_is_judged_by_its_quotes(alice, alice_client, topic, openai_server):
    first, second = blocks_of(topic, alice)
    openai_server.state.answer = answer_of(
        ("In the thylakoid membranes.", [(first.id, "IN THE  thylakoid\u00a0membranes")]),
        ("Water is split.", [(first.id, "They split water")]),  # under a wrong id
        ("It is magic.", [(first.id, "light reactions are magic")]),
        ("Oxygen, and magic.", [(second.id, "release oxygen."), (second.id, "release of magic")]),
        ("Everybody knows.", []),
        ("Too short.", [(first.id, "in the")]),
    )

    task = ask(alice_client, "Where do the light reactions take place?")

    note = topic.chapter.note_id
    start = first.text.index("in the thylakoid")
    assert task["status"] == "succeeded"
    assert task["result"] == {
        "content": "In the thylakoid membranes.\n\nWater is split.\n\nIt is magic.\n\nOxygen, and magic.\n\n"
        "Everybody knows.\n\nToo short.",
        "code": None,
        "code_language": None,
        "sources": [{"title": "Photosynthesis: Light reactions", "url": f"/api/topics/{topic.pk}/"}],
        "notice": f"4 of 6 sentences are not supported by quotes in the notes. {CHECKED}",
        "sentences": [
            {
                "text": "In the thylakoid membranes.",
                "verdict": "supported",
                "quotes": [
                    {
                        "note_id": note,
                        "topic_id": topic.pk,
                        "block_id": first.id,
                        "start": start,
                        "end": start + len("in the thylakoid membranes"),
                        "text": "in the thylakoid membranes",
                        "state": "current",
                    }
                ],
            },
            {
                "text": "Water is split.",
                "verdict": "supported",
                "quotes": [
                    {
                        "note_id": note,
                        "topic_id": topic.pk,
                        "block_id": second.id,
                        "start": 0,
                        "end": 16,
                        "text": "They split water",
                        "state": "current",
                    }
                ],
            },
            {"text": "It is magic.", "verdict": "misquoted", "quotes": []},
            {
                "text": "Oxygen, and magic.",
                "verdict": "misquoted",
                "quotes": [
                    {
                        "note_id": note,
                        "topic_id": topic.pk,
                        "block_id": second.id,
                        "start": 21,
                        "end": 36,
                        "text": "release oxygen.",
                        "state": "current",
                    }
                ],
            },
            {"text": "Everybody knows.", "verdict": "unsupported", "quotes": []},
            {"text": "Too short.", "verdict": "misquoted", "quotes": []},
        ],
    }


def test_a_quote_is_found_in_all_of_the_scope_and_nowhere_else(alice, charlie, alice_client, topic, openai_server):
    elsewhere = topic_of(alice, "Glaciers", "Glaciers carve deep valleys over time.", note="Ice", tags=["ice"])
    topic_of(charlie, "Secret", "Only Charlie knows this sentence of his.")
    quote = [("unknown", "carve deep valleys over"), ("unknown", "Glaciers carve deep valleys")]
    openai_server.state.answer = answer_of(
        ("Glaciers do.", quote), ("Charlie knows.", [("unknown", "Only Charlie knows this sentence")])
    )

    everywhere = ask(alice_client, "Where do the light reactions take place?")
    biology = ask(alice_client, "Where do the light reactions take place?", tags=["biology"])

    assert verdicts(everywhere) == ["supported", "misquoted"]
    assert {quote["topic_id"] for quote in everywhere["result"]["sentences"][0]["quotes"]} == {elsewhere.pk}
    assert verdicts(biology) == ["misquoted", "misquoted"]


def test_code_is_quoted_as_it_is(alice, alice_client, openai_server, transactional_db):
    topic = topic_of(alice, "Code", CODE)
    code = blocks_of(topic, alice)[1]
    openai_server.state.answer = answer_of(
        ("Right.", [(code.id, "def Photosynthesis(light):\n    return")]),
        ("Case.", [(code.id, "def photosynthesis(light):")]),
        ("Spaces.", [(code.id, "return  light + 1")]),
    )

    task = ask(alice_client, "How does photosynthesis code work?")

    assert verdicts(task) == ["supported", "misquoted", "misquoted"]


@pytest.mark.parametrize("answer", ['{"sentences": []}', '```json\n{"sentences": []}\n```'])
def test_an_answer_without_sentences_says_that_the_notes_do_not_say_it(alice_client, topic, openai_server, answer):
    openai_server.state.answer = answer

    task = ask(alice_client, "Where do the light reactions take place?")

    assert (task["status"], task["result"]["sentences"], task["result"]["content"]) == ("succeeded", [], "")
    assert task["result"]["notice"].startswith(NOT_IN_NOTES)


@pytest.mark.parametrize(
    "answer",
    [
        "The light reactions take place in the thylakoid.",
        '{"sentences": [{"text": "x", "quotes": "y"}]}',
        '{"sentences": [{"quotes": []}]}',
        '{"sentences": [{"text": "x", "quotes": [{"block_id": 1, "text": "y"}]}]}',
        '{"sentences": [{"text": "x", "quotes": [{"block_id": "a"}]}]}',
        '{"answer": []}',
    ],
)
def test_what_is_no_such_json_is_kept_and_fails(alice_client, topic, openai_server, answer):
    openai_server.state.answer = answer

    task = ask(alice_client, "Where do the light reactions take place?")

    assert (task["status"], task["error"]["code"], task["applicable"]) == ("failed", "answer_unreadable", False)
    assert (task["result"]["content"], task["result"]["sentences"]) == (answer, [])
    assert task["usage"]["output_tokens"] > 0


def test_unknown_keys_and_ids_that_are_missing_do_not_matter(alice_client, topic, openai_server):
    quote = {"text": "They split water", "page": 3}
    openai_server.state.answer = json.dumps({"sentences": [{"text": "x", "quotes": [quote], "mood": 1}], "id": 7})

    assert verdicts(ask(alice_client, "Where do the light reactions take place?")) == ["supported"]


def test_nothing_found_asks_no_model(alice_client, topic, openai_server):
    task = ask(alice_client, "Why do volcanoes erupt?")

    assert openai_server.state.requests == []
    assert (task["status"], task["provider"], task["model"]) == ("succeeded", "offline", None)
    assert task["result"]["sentences"] == []
    assert task["result"]["notice"].startswith(NOT_IN_NOTES)
    assert (task["applicable"], task["usage"]["input_tokens"]) == (False, 0)


def test_an_answer_is_never_given_again_and_an_unfinished_one_is_joined(alice, alice_client, topic, openai_server):
    openai_server.state.answer = answer_of()
    question = body_of("Where do the light reactions take place?", tags=["biology"])
    first = ask(alice_client, question["request_data"]["question"], tags=["biology"])

    second = alice_client.post(TASKS, question, format="json")
    third = alice_client.post(TASKS, question, format="json")
    other = alice_client.post(TASKS, body_of(question["request_data"]["question"]), format="json")

    assert (second.status_code, second.json()["cached"]) == (202, False)
    assert second.json()["id"] != first["id"]
    assert (third.status_code, third.json()["id"]) == (200, second.json()["id"])
    assert (other.status_code, other.json()["id"] == second.json()["id"]) == (202, False)
    assert AITask.objects.filter(billed=True).count() == 3


def test_a_submission_takes_no_more_statements_than_any_other(alice, alice_client, warm, no_limits):
    warm(alice_client)
    counts = []
    for body in (
        {"request_type": "summarize", "request_data": {"content": "x"}},
        body_of("x"),
        body_of("x", note_ids=[NoteFactory(user=alice).pk for _ in range(3)]),
    ):
        with CaptureQueriesContext(connection) as queries:
            assert alice_client.post(TASKS, body, format="json").status_code == 202
        counts.append(len(queries))

    assert counts == [counts[0], counts[0], counts[0] + 1]  # whose the notes are


def test_the_most_that_a_prompt_can_take_is_reserved(alice):
    title = "\U0001f600" * 300
    chapter = ChapterFactory(title=title, note=NoteFactory(user=alice, title=title))
    for order in range(25):
        TopicFactory(chapter=chapter, title=title, explanation=f"loop {order} " + "\U0001f600" * 2990, order=order)
    handler = HANDLERS["ask"]
    data = {"question": "loop"}

    def size(data) -> int:
        return sum(len(message["content"].encode()) for message in handler.messages(data))

    assert size(handler.gather(data, user_id=alice.pk)) - size(data) <= handler.gathered_bytes
