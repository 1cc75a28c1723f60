"""Answers without a model: from the text itself, or from the user's own notes, and plain about it."""

import pytest

from ai_tasks.handlers import HANDLERS
from ai_tasks.providers.offline.notes_search import find_topics
from tests.ai_tasks.conftest import Recorder, Stop
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

LOOPS = "A for loop visits the elements of a sequence. Loops end when the sequence is exhausted."
CODE = "for name in names:\n    print(name)\n"


@pytest.fixture
def loops(alice):
    """Alice's topic on loops."""
    chapter = ChapterFactory(title="Control flow", note=NoteFactory(title="Python basics", user=alice))
    return TopicFactory(title="For loops", chapter=chapter, explanation=LOOPS, code=CODE, code_language="python")


def offline(request_type: str, data: dict, user, observer: Recorder, *, topic_id: int | None = None):
    handler = HANDLERS[request_type]
    gathered = handler.gather(handler.validate(data), user_id=user.pk, topic_id=topic_id)
    return handler.offline(gathered, user_id=user.pk, observer=observer)


# --- Searching notes --------------------------------------------------------------------------------------------------


def test_topics_are_found_by_most_of_their_words_best_first(alice, loops):
    note = NoteFactory(user=alice)
    chapter = ChapterFactory(note=note)
    while_loop = TopicFactory(
        chapter=chapter, title="While", explanation="Loops on a condition in Python, another loop."
    )
    TopicFactory(chapter=chapter, title="Python packages", explanation="Modules in folders.")
    TopicFactory(chapter=chapter, title="Gardening", explanation="Plants need water.")

    found = find_topics(user_id=alice.pk, subject="Explain loops over a sequence", having="explanation", limit=5)

    assert [each.id for each in found] == [loops.pk, while_loop.pk]
    assert (found[0].note_title, found[0].chapter_title) == ("Python basics", "Control flow")


@pytest.mark.parametrize("topic_count", [1, 10, 100])
def test_a_search_is_one_query_and_bounded(alice, topic_count, django_assert_num_queries):
    chapter = ChapterFactory(note=NoteFactory(user=alice))
    for order in range(topic_count):
        TopicFactory(chapter=chapter, title="Loops", explanation="Loops.", order=order)

    with django_assert_num_queries(1):
        found = find_topics(user_id=alice.pk, subject="loops", having="explanation", limit=5)

    assert len(found) == min(topic_count, 5)


def test_a_strangers_topics_are_not_found(charlie, loops):
    assert find_topics(user_id=charlie.pk, subject="loops", having="explanation", limit=5) == []


def test_topics_in_the_trash_are_not_found(alice, loops):
    note = loops.chapter.note
    note.deleted_at = note.created_at
    note.save()

    assert find_topics(user_id=alice.pk, subject="loops", having="explanation", limit=5) == []


@pytest.mark.parametrize("subject", ["!!!", "the of and", "' OR 1=1 --", "a & | ! <-> :*", "x" * 300])
def test_no_subject_breaks_the_search(alice, subject):
    assert find_topics(user_id=alice.pk, subject=subject, having="code", limit=5) == []


# --- generate_explanation ---------------------------------------------------------------------------------------------


def test_an_explanation_quotes_the_users_notes_and_names_them(alice, loops, observer):
    draft = offline("generate_explanation", {"topic": "Loops"}, alice, observer)

    assert draft == {
        "result": {
            "content": "What your notes say about “Loops”:\n\n## For loops\n\n"
            "*From your note “Python basics”, chapter “Control flow”.*\n\n" + LOOPS,
            "code": None,
            "code_language": None,
            "sources": [{"title": "Python basics: For loops", "url": f"/api/topics/{loops.pk}/"}],
            "notice": "No AI model is configured: this is quoted from your own notes.",
        },
        "applicable": True,
    }
    assert "".join(observer.deltas) == draft["result"]["content"]
    assert observer.percents == [10, 40, 90]


def test_a_higher_level_quotes_more_and_the_code(alice, loops, observer):
    beginner, advanced = (
        offline("generate_explanation", {"topic": "Loops", "level": level}, alice, observer)["result"]["content"]
        for level in ("beginner", "advanced")
    )

    assert advanced == f"{beginner}\n\n```python\n{CODE}```"


def test_where_the_notes_say_nothing_the_answer_says_so_and_is_not_applied(charlie, loops, observer):
    draft = offline("generate_explanation", {"topic": "Loops"}, charlie, observer)

    assert draft["applicable"] is False
    assert draft["result"] == {
        "content": "Your notes say nothing about “Loops” yet, and there is no AI model that could explain it.",
        "code": None,
        "code_language": None,
        "sources": [],
        "notice": "No AI model is configured, and nothing in your notes matches.",
    }


# --- generate_code ----------------------------------------------------------------------------------------------------


def test_code_is_taken_from_the_users_notes_unchanged(alice, loops, observer):
    draft = offline("generate_code", {"topic": "Loops", "language": "Python"}, alice, observer)

    assert draft["applicable"] is True
    assert draft["result"]["code"] == CODE
    assert draft["result"]["code_language"] == "python"
    assert draft["result"]["sources"] == [{"title": "Python basics: For loops", "url": f"/api/topics/{loops.pk}/"}]
    assert f"```python\n{CODE}```" in draft["result"]["content"]
    assert draft["result"]["notice"] == "No AI model is configured: this code is taken from your own notes, unchanged."


def test_code_in_another_language_is_named_but_not_passed_off(alice, loops, observer):
    draft = offline("generate_code", {"topic": "Loops", "language": "Rust"}, alice, observer)

    assert draft["applicable"] is False
    assert draft["result"]["code"] is None
    assert draft["result"]["content"] == (
        "Your notes have no Rust code on “Loops”, and there is no AI model that could write it.\n\n"
        "In other languages: “For loops” (python)."
    )


def test_no_code_of_a_strangers_is_shown(charlie, loops, observer):
    draft = offline("generate_code", {"topic": "Loops", "language": "Python"}, charlie, observer)

    assert draft["applicable"] is False
    assert draft["result"]["sources"] == []
    assert "print" not in str(draft)


# --- summarize and improve_explanation --------------------------------------------------------------------------------

TEXT = " ".join(f"Plant number {number} turns light number {number} into energy." for number in range(40))


@pytest.mark.parametrize(("length", "sentences"), [("short", 3), ("medium", 7), ("long", 20)])
def test_a_summary_is_as_long_as_was_asked_for(alice, observer, length, sentences):
    text = " ".join(
        f"Word{number} alpha{number} beta{number} gamma{number} delta{number} ends." for number in range(40)
    )

    draft = offline("summarize", {"content": text, "length": length}, alice, observer)

    assert draft["result"]["content"].count("ends.") == sentences
    assert draft["result"]["notice"].startswith("No AI model is configured: these are sentences of the text itself")
    assert "".join(observer.deltas) == draft["result"]["content"]


def test_a_text_without_sentences_is_answered_by_saying_so(alice, observer):
    draft = offline("summarize", {"content": "```\ncode\n```"}, alice, observer)

    assert draft["result"]["content"] == "This text has no sentences to pick a summary from."


def test_an_improved_text_says_what_was_changed_and_what_needs_a_model(alice, observer):
    data = {"content": "##Loops\n\nthe the  end.", "instructions": "Rhyme"}

    draft = offline("improve_explanation", data, alice, observer)

    assert draft == {
        "result": {
            "content": "## Loops\n\nThe end.",
            "code": None,
            "code_language": None,
            "sources": [],
            "notice": "No AI model is configured: only the form was edited, by fixed rules. "
            "Changed: capitals (1), headings (1), repeated words (1), spacing (1). "
            "Your instructions were not followed: they need a model.",
        },
        "applicable": True,
    }


def test_a_text_without_faults_is_left_alone(alice, observer):
    draft = offline("improve_explanation", {"content": "A loop repeats."}, alice, observer)

    assert draft["result"]["content"] == "A loop repeats."
    assert draft["result"]["notice"].endswith("There was nothing to change.")


OFFLINE = {
    "generate_explanation": {"topic": "Loops"},
    "generate_code": {"topic": "Loops", "language": "Python"},
    "summarize": {"content": TEXT},
    "improve_explanation": {"content": TEXT},
    "make_cards": {"count": 5},
    "ask": {"question": "What is a loop?"},
}


def test_every_request_type_is_answered_offline():
    assert set(OFFLINE) == set(HANDLERS), "OFFLINE above: give the new request type data that can be answered offline."


@pytest.mark.parametrize(("request_type", "data"), OFFLINE.items(), ids=OFFLINE)
def test_offline_work_reports_its_progress_and_can_be_stopped(alice, loops, observer, request_type, data):
    offline(request_type, data, alice, observer, topic_id=loops.pk)

    assert len(observer.percents) >= 3
    assert observer.percents == sorted(observer.percents)
    assert 0 < observer.percents[0] < observer.percents[-1] == 90
    stopping = Recorder()
    stopping.stop_after_deltas = 0
    with pytest.raises(Stop):
        offline(request_type, data, alice, stopping, topic_id=loops.pk)
    assert stopping.steps == []
