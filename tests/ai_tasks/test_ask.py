"""Questions to one's own notes: what is found, what a model is told, and what becomes of its answer."""

import pytest

from ai_tasks.asking.finding import Haystack, Quote
from ai_tasks.asking.passages import PASSAGES_MAX, PASSAGES_MAX_BYTES, Scope, find_passages
from ai_tasks.handlers import HANDLERS
from ai_tasks.handlers.ask import NOT_IN_NOTES, OFFLINE, QUOTED_MAX
from ai_tasks.handlers.base import InvalidRequestData
from ai_tasks.models import AITask
from notes import services
from notes.blocks.stored import blocks_for_new
from notes.management.commands.seed_demo import read_demo_notes
from notes.models import Note, Topic
from tests.ai_tasks.asking import LIGHT, TASKS, ask, blocks_of, body_of, topic_of
from tests.factories import ChapterFactory, NoteFactory, TopicFactory


@pytest.fixture
def topic(transactional_db, alice) -> Topic:
    return topic_of(alice, "Light reactions", LIGHT, tags=["biology"])


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


def test_a_large_topic_hides_no_other_of_its_note_until_its_words_are_made(alice):
    topic = topic_of(alice, "Light", "Chlorophyll absorbs it.")
    data = {"title": "Large", "explanation": "Carotene. " * 7_000}

    services.create_topic(user_id=alice.pk, chapter_id=topic.chapter_id, data=data)

    assert found_in(alice, "What does chlorophyll do?") == ["Chlorophyll absorbs it."]


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
        TopicFactory(chapter=chapter, title="T", explanation=text, order=order, blocks=blocks_for_new(text))

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


LIST = """\
- The stop value of a range
  is excluded, so `range(5)` has
  five numbers.
- Other things are told in another item:
  - A nested item says that `enumerate` counts
    along with the items.
\t1) A numbered one
\tzips two iterables.

  A paragraph of its own about
  generators.
"""
QUOTE = """\
> [!note] What Turing asked
> Can machines think? He replaced the question
>   by a game of imitation,
> e.g. by letters. The judge sees
neither of the players.
>
> > An objection comes from
> > Lady Lovelace
"""


@pytest.mark.parametrize(
    ("text", "question", "said", "quoted"),
    [
        (
            LIST,
            "What does range exclude?",
            "The stop value of a range is excluded, so `range(5)` has five numbers.",
            "The stop value of a range\n  is excluded, so `range(5)` has\n  five numbers.",
        ),
        (
            LIST,
            "What does enumerate count along?",
            "A nested item says that `enumerate` counts along with the items.",
            "A nested item says that `enumerate` counts\n    along with the items.",
        ),
        (
            LIST,
            "What zips two iterables?",
            "A numbered one zips two iterables.",
            "A numbered one\n\tzips two iterables.",
        ),
        (
            LIST,
            "What about generators?",
            "A paragraph of its own about generators.",
            "A paragraph of its own about\n  generators.",
        ),
        (
            QUOTE,
            "What is the imitation game with letters?",
            "He replaced the question by a game of imitation, e.g. by letters.",
            "He replaced the question\n>   by a game of imitation,\n> e.g. by letters.",
        ),
        (
            QUOTE,
            "Which players does the judge see?",
            "The judge sees neither of the players.",
            "The judge sees\nneither of the players.",
        ),
        (
            QUOTE,
            "What is the objection of Lady Lovelace?",
            "An objection comes from Lady Lovelace",
            "An objection comes from\n> > Lady Lovelace",
        ),
    ],
)
def test_offline_a_sentence_or_item_over_several_lines_is_quoted_whole(alice, observer, text, question, said, quoted):
    topic = topic_of(alice, "Topic", text)
    handler = HANDLERS["ask"]

    data = handler.gather({"question": question}, user_id=alice.pk)
    result = handler.offline(data, user_id=alice.pk, observer=observer)["result"]

    [block] = blocks_of(topic, alice)
    [sentence] = result["sentences"]
    [quote] = sentence["quotes"]
    assert (sentence["text"], quote["text"]) == (said, quoted)
    assert block.text[quote["start"] : quote["end"]] == quoted
    found = Haystack(block.text, kind=block.kind).find(Quote(quoted))
    assert found == (quote["start"], quote["end"])


def test_offline_a_long_item_is_cut(alice, observer):
    topic_of(alice, "Topic", "- A range\n" + "  counts on and on and on\n" * 60)
    handler = HANDLERS["ask"]

    data = handler.gather({"question": "What does a range count?"}, user_id=alice.pk)
    [sentence] = handler.offline(data, user_id=alice.pk, observer=observer)["result"]["sentences"]

    assert len(sentence["quotes"][0]["text"]) == QUOTED_MAX


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
