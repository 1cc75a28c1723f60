"""Questions to one's own notes: what is found, what a model is told, and what becomes of its answer."""

import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ai_tasks.asking.passages import PASSAGES_MAX, PASSAGES_MAX_BYTES, Scope, find_passages
from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.ask import CHECKED, NOT_IN_NOTES, OFFLINE
from ai_tasks.handlers.base import InvalidRequestData
from ai_tasks.models import AITask
from notes import services
from notes.management.commands.seed_demo import read_demo_notes
from notes.models import Note, Topic
from tests.ai_tasks.asking import TASKS, answer_of, ask, blocks_of, body_of
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

LIGHT = "The light reactions take place in the thylakoid membranes.\n\nThey split water and release oxygen.\n"
CODE = "Photosynthesis as code:\n\n```python\ndef Photosynthesis(light):\n    return light + 1\n```\n"


@pytest.fixture(autouse=True)
def nobody_else_works(monkeypatch):
    monkeypatch.setattr("ai_tasks.ledger.announcing.publish", lambda *args: True)


def topic_of(user, title, text, *, note="Photosynthesis", tags=(), **fields) -> Topic:
    chapter = ChapterFactory(title="Chapter", note=NoteFactory(user=user, title=note, tags=list(tags)))
    return TopicFactory(chapter=chapter, title=title, explanation=text, **fields)


@pytest.fixture
def topic(transactional_db, alice) -> Topic:
    return topic_of(alice, "Light reactions", LIGHT, tags=["biology"])


def verdicts(task) -> list[str]:
    return [sentence["verdict"] for sentence in task["result"]["sentences"]]


# --- What is asked ----------------------------------------------------------------------------------------------------

QUESTION = "/request_data/question"
NOTES, TAGS = "/request_data/scope/note_ids", "/request_data/scope/tags"


@pytest.mark.parametrize(
    ("data", "errors"),
    [
        ({}, [(QUESTION, "required")]),
        ({"question": "  "}, [(QUESTION, "blank")]),
        ({"question": "x" * 1001}, [(QUESTION, "max_length")]),
        ({"question": 1}, [(QUESTION, "invalid")]),
        ({"question": "x\ud800"}, [(QUESTION, "invalid_characters")]),
        ({"question": "x", "topic": "y"}, [("/request_data/topic", "unknown_field")]),
        ({"question": "x", "scope": None}, [("/request_data/scope", "invalid")]),
        ({"question": "x", "scope": []}, [("/request_data/scope", "invalid")]),
        ({"question": "x", "scope": {"notes": [1]}}, [("/request_data/scope/notes", "unknown_field")]),
        ({"question": "x", "scope": {"note_ids": []}}, [(NOTES, "empty")]),
        ({"question": "x", "scope": {"tags": []}}, [(TAGS, "empty")]),
        ({"question": "x", "scope": {"note_ids": list(range(1, 102))}}, [(NOTES, "too_many")]),
        ({"question": "x", "scope": {"tags": [f"t{n}" for n in range(21)]}}, [(TAGS, "too_many")]),
        ({"question": "x", "scope": {"note_ids": ["1"]}}, [(f"{NOTES}/0", "invalid")]),
        ({"question": "x", "scope": {"note_ids": [1, True]}}, [(f"{NOTES}/1", "invalid")]),
        ({"question": "x", "scope": {"note_ids": [1.0]}}, [(f"{NOTES}/0", "invalid")]),
        ({"question": "x", "scope": {"note_ids": [0]}}, [(f"{NOTES}/0", "min_value")]),
        ({"question": "x", "scope": {"note_ids": [2**63]}}, [(f"{NOTES}/0", "max_value")]),
        ({"question": "x", "scope": {"note_ids": None}}, [(NOTES, "invalid")]),
        ({"question": "x", "scope": {"tags": ["ok", " "]}}, [(f"{TAGS}/1", "blank")]),
        ({"question": "x", "scope": {"tags": ["a,b"]}}, [(f"{TAGS}/0", "invalid")]),
        ({"question": "x", "scope": {"tags": ["x" * 51]}}, [(f"{TAGS}/0", "max_length")]),
        ({"question": "x", "scope": {"tags": ["x\x00"]}}, [(f"{TAGS}/0", "invalid_characters")]),
        ({"question": "x", "scope": {"tags": [7]}}, [(f"{TAGS}/0", "invalid")]),
    ],
)
def test_each_mistake_is_pointed_at(data, errors):
    with pytest.raises(InvalidRequestData) as failure:
        HANDLERS["ask"].validate(data)

    assert [(error["pointer"], error["code"]) for error in failure.value.errors] == errors


def test_a_scope_that_says_the_same_is_the_same():
    handler = HANDLERS["ask"]

    data = handler.validate({"question": " x ", "scope": {"note_ids": [3, 1, 3], "tags": [" B ", "a", "b"]}})

    assert handler.resolve(data, None) == {"question": "x", "scope": {"note_ids": [1, 3], "tags": ["a", "b"]}}
    assert handler.validate({"question": "x", "scope": {}}) == {"question": "x"}


def test_notes_of_others_and_of_nobody_are_the_same_404(alice_client, alice, charlie):
    mine, theirs = NoteFactory(user=alice), NoteFactory(user=charlie)

    answers = [
        alice_client.post(
            TASKS, body_of("x", note_ids=[pk, mine.pk, mine.pk]), format="json", headers={"X-Request-ID": "same"}
        )
        for pk in (theirs.pk, theirs.pk + 1000)
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json()["errors"] == [{"pointer": f"{NOTES}/0", "code": "not_found", "detail": "Not found."}]
    assert answers[0].content == answers[1].content
    assert not AITask.objects.exists()


def test_a_note_in_the_trash_is_a_404_until_it_is_restored(alice_client, alice):
    note, trashed = NoteFactory(user=alice), NoteFactory(user=alice)
    services.delete_note(user_id=alice.pk, note_id=trashed.pk)
    body = body_of("x", note_ids=[note.pk, trashed.pk])

    refused = alice_client.post(TASKS, body, format="json")
    services.restore_note(user_id=alice.pk, note_id=trashed.pk)
    accepted = alice_client.post(TASKS, body, format="json")

    assert (refused.status_code, accepted.status_code) == (404, 202)
    assert refused.json()["errors"] == [{"pointer": f"{NOTES}/1", "code": "not_found", "detail": "Not found."}]
    assert AITask.objects.count() == 1


def test_an_answer_is_written_to_no_topic(alice_client, alice):
    topic = TopicFactory(chapter__note__user=alice)

    response = alice_client.post(TASKS, {**body_of("x"), "topic_id": topic.pk, "apply": True}, format="json")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/apply")


# --- What is found ----------------------------------------------------------------------------------------------------


def found_in(user, question, **scope) -> list[str]:
    return [passage.text for passage in find_passages(question, Scope(user.pk, **scope)).passages]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Where do the LIGHT reactions happen?", "The light reaction happens in thylakoids."),
        ("What is photosynthesis?", "Plants make sugar from light."),  # the note's title says what it is about
        ("Was ist die Größe?", "Die groesse ist egal, die Größe zählt."),
        ("光合作用在哪里进行?", "光合作用发生在叶绿体中。"),
        ("What does C++ have?", "C++ has templates."),
        ("What is C?", "C is a language."),
        ("Explain `a == b`: why equality (==)?", "Equality is checked by ==."),
    ],
)
def test_what_a_question_is_about_is_found(alice, question, text):
    topic_of(alice, "Topic", text)
    topic_of(alice, "Other", "Nothing of the kind.", note="Cooking")

    assert found_in(alice, question) == [text]


@pytest.mark.parametrize("question", ["???", "What is it?", "", "the of and", "Why do volcanoes erupt?", "🙂"])
def test_what_the_notes_do_not_say_is_not_found(alice, question):
    topic_of(alice, "Light reactions", LIGHT)

    assert found_in(alice, question) == []


def test_the_scope_narrows_what_is_asked(alice, charlie):
    text = "Light is a wave."
    topics = [topic_of(alice, "T", f"{text} {tag}.", tags=[tag]) for tag in ("physics", "art", "x")]
    one, _, three = (topic.chapter.note_id for topic in topics)
    assert all(blocks_of(topic, alice) for topic in topics)  # one in the trash would get none
    topic_of(charlie, "T", f"{text} Charlie.", tags=["physics"])
    Note.objects.filter(pk=three).update(deleted_at="2026-01-01T00:00Z")

    assert sorted(found_in(alice, "What is light?")) == [f"{text} art.", f"{text} physics."]
    assert found_in(alice, "What is light?", note_ids=(one,)) == [f"{text} physics."]
    assert found_in(alice, "What is light?", tags=("art",)) == [f"{text} art."]
    assert len(found_in(alice, "What is light?", note_ids=(one,), tags=("art", "y"))) == 2
    assert found_in(alice, "What is light?", note_ids=(three,)) == []
    assert found_in(alice, "What is light?", tags=("x",)) == []


@pytest.mark.parametrize("count", [1, 10, 100])
def test_finding_is_two_queries_and_bounded(alice, count, django_assert_num_queries):
    chapter = ChapterFactory(note=NoteFactory(user=alice))
    text = "\n\n".join(f"Loop {n} " + "repeats again " * 40 for n in range(3))
    services.get_blocks(user_id=alice.pk, topic_id=TopicFactory(chapter=chapter, explanation="x").pk)
    for order in range(1, count + 1):
        TopicFactory(
            chapter=chapter, title="T", explanation=text, order=order, blocks=services.blocks.blocks_for_new(text)
        )

    with django_assert_num_queries(2):  # what the index names, and the best of these
        passages = find_passages("What is a loop?", Scope(alice.pk)).passages

    assert len(passages) == min(3 * count, PASSAGES_MAX)
    assert sum(len(passage.text.encode()) for passage in passages) <= PASSAGES_MAX_BYTES


def test_of_a_long_block_the_part_around_the_words_is_told_as_it_stands(alice):
    block = "filler words " * 2000 + "Mitochondria make energy. " + "more of it " * 2000
    topic_of(alice, "Cells", block)

    (passage,) = found_in(alice, "What do mitochondria make?")

    assert "Mitochondria make energy." in passage
    assert passage in block
    assert len(passage) == 3000


def test_topics_without_blocks_get_them(alice):
    topic = topic_of(alice, "Light", LIGHT)
    assert topic.blocks is None

    (first, *_) = find_passages("light reactions thylakoid", Scope(alice.pk)).passages

    assert first.place.block == blocks_of(topic, alice)[0]
    assert Topic.objects.get(pk=topic.pk).blocks is not None


# --- With a model -----------------------------------------------------------------------------------------------------


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
        "notice": f"4 of 6 sentences are not supported by quotes that stand. {CHECKED}",
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

    assert counts[1] <= counts[0]
    assert counts[2] == counts[1] + 1  # whose the notes are


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


# --- Without a model --------------------------------------------------------------------------------------------------


def test_offline_an_answer_is_made_of_quotes_alone(alice, alice_client, topic, offline):
    task = ask(alice_client, "Where do the light reactions take place?")

    first, _ = blocks_of(topic, alice)
    (sentence, *_) = task["result"]["sentences"]
    (quote,) = sentence["quotes"]
    assert (task["status"], task["provider"], task["result"]["notice"]) == ("succeeded", "offline", OFFLINE)
    assert sentence["verdict"] == "supported"
    assert sentence["text"] == quote["text"] == "The light reactions take place in the thylakoid membranes."
    assert (quote["block_id"], quote["start"], quote["end"]) == (first.id, 0, len(quote["text"]))
    assert first.text[quote["start"] : quote["end"]] == quote["text"]


def test_offline_nothing_is_said_that_the_notes_do_not_say(alice_client, topic, offline):
    task = ask(alice_client, "Why do volcanoes erupt?")

    assert (task["result"]["sentences"], task["status"]) == ([], "succeeded")
    assert task["result"]["notice"].startswith(NOT_IN_NOTES)


QUESTIONS = {
    "What does an unescaped dot match?": "Regular expressions",
    "What is the difference between mitosis and meiosis?": "Mitosis and meiosis",
    "How does a hash table handle collisions?": "Hash tables",
    "What is Bayes' theorem?": "Bayes' theorem",
    "When was the Bastille stormed?": "The French Revolution",
    "What does a left join return?": "SQL joins",
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_offline_the_demo_notes_answer_from_the_right_note(alice, question, observer):
    services.import_notes(user_id=alice.pk, notes=read_demo_notes())
    handler = HANDLERS["ask"]
    data = handler.gather({"question": question}, user_id=alice.pk)

    result = handler.offline(data, user_id=alice.pk, observer=observer)["result"]

    notes = {note.pk: note.title for note in Note.objects.all()}
    blocks = {place.block.id: place.block.text for place in data["found"].places}
    quotes = [quote for sentence in result["sentences"] for quote in sentence["quotes"]]
    assert QUESTIONS[question] in notes[quotes[0]["note_id"]]
    assert all(blocks[quote["block_id"]][quote["start"] : quote["end"]] == quote["text"] for quote in quotes)
