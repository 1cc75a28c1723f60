"""Search: the list's filter, where every word must be somewhere in the note, and the ranked results."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes import reads
from notes.search import SearchTerms, to_html
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from utils.query_optimization import QueryOptimizer


@pytest.fixture
def note(alice):
    """A note with a different word in each place that is searched."""
    note = NoteFactory(user=alice, title="Titles running", tags=["c++", "machine learning", "loops"])
    chapter = ChapterFactory(note=note, title="Recursion")
    TopicFactory(
        chapter=chapter,
        title="Closures",
        explanation="The librarian's bookshelf. List<Integer> <script> hidden words",
        code="def fibonacci(n):\n    return n",
    )
    return note


def found(client, text):
    response = client.get("/api/notes/", {"search": text})
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["results"]]


@pytest.mark.parametrize(
    "text",
    [
        "titles",
        "title",
        "runs",
        "recursion",
        "closure",
        "librarians",
        "fibonacci",
        "integer",
        "hidden",
        "c++",
        "C++",
        "loops",
        "machine learning",
        "Machine  Learning",
        "loops,recursion",
        "running fibonacci bookshelf recursion c++",
        "the recursion of a closure",
        "recursion machine learning closures",
        "",
        "   ",
    ],
)
def test_every_word_is_found_wherever_it_is(alice_client, note, text):
    assert found(alice_client, text) == [note.pk]


@pytest.mark.parametrize(
    "text",
    ["absent", "recursion absent", "c++ absent", "learning", "learning machine", "the", "!!!", "fibo", "<b>", "-- ;"],
)
def test_a_word_that_is_nowhere_finds_nothing(alice_client, note, text):
    assert found(alice_client, text) == []


def test_a_stop_word_is_found_as_a_tag(alice, alice_client, note):
    tagged = NoteFactory(user=alice, tags=["it", "the"])

    assert found(alice_client, "it") == [tagged.pk]
    assert found(alice_client, "recursion it") == [note.pk]


def test_words_of_two_notes_do_not_add_up(alice, alice_client):
    NoteFactory(user=alice, title="alpha")
    NoteFactory(user=alice, title="beta")

    assert found(alice_client, "alpha beta") == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40))
def test_no_text_is_an_error_of_postgres_and_each_finds_what_its_querysets_find(alice, note, text):
    terms = SearchTerms.of(text.split()[:10])
    columns = ("id", "title", "rank", "headline")

    listed = list(QueryOptimizer.get_notes_for_list(alice, {"search": terms}))
    notes, topics = reads.search(terms, user_id=alice.pk)

    assert listed == ([note] if listed else [])
    if not terms.words:
        assert (listed, notes, topics) == ([note], [], [])
        return
    assert notes == list(QueryOptimizer.search_notes(alice, terms).values(*columns))
    assert topics == list(QueryOptimizer.search_topics(alice, terms).values(*columns, "chapter_id", "note_id"))


@pytest.mark.parametrize("text", ["'", "\\", "a:*", "a & | !b", "<->", "((", "%", "_", '"', "🙂", "a" * 200])
def test_no_character_is_an_operator(alice_client, note, text):
    assert alice_client.get("/api/notes/", {"search": text}).status_code == 200
    assert alice_client.get("/api/search/", {"q": text}).status_code == 200


def results(client, text):
    response = client.get("/api/search/", {"q": text})
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_results_name_their_place_and_mark_the_words(alice_client, note):
    topic = note.chapters.get().topics.get()

    (result,) = results(alice_client, "fibonacci")

    assert result.pop("rank") > 0
    snippet = result.pop("snippet")
    assert "def <mark>fibonacci</mark>(n)" in snippet
    assert "librarian&#x27;s" in snippet
    assert "List&lt;Integer&gt; &lt;script&gt; hidden" in snippet
    assert result == {
        "type": "topic",
        "note_id": note.pk,
        "chapter_id": topic.chapter_id,
        "topic_id": topic.pk,
        "title": "Closures",
    }


def test_a_note_is_a_result_by_its_own_titles_and_tags(alice_client, note):
    (result,) = results(alice_client, "titles recursion")
    assert result.pop("rank") > 0
    assert result == {
        "type": "note",
        "note_id": note.pk,
        "title": "Titles running",
        "snippet": "<mark>Recursion</mark>",
    }
    assert [found["type"] for found in results(alice_client, "machine learning")] == ["note"]


def test_a_topic_is_found_together_with_the_titles_above_it(alice_client, note):
    assert [result["type"] for result in results(alice_client, "titles fibonacci loops")] == ["topic"]
    assert results(alice_client, "fibonacci absent") == []


def test_better_matches_come_first(alice, alice_client):
    chapter = ChapterFactory(note=NoteFactory(user=alice, title="n"), title="c")
    in_code = TopicFactory(chapter=chapter, title="x", code="graph")
    in_title = TopicFactory(chapter=chapter, title="graph")
    in_text = TopicFactory(chapter=chapter, title="x", explanation="A graph.")

    ranked = results(alice_client, "graphs")

    assert [result["topic_id"] for result in ranked] == [in_title.pk, in_text.pk, in_code.pk]
    assert [result["rank"] for result in ranked] == sorted((result["rank"] for result in ranked), reverse=True)


def test_marks_cannot_be_smuggled_in(alice, alice_client):
    text = "\ue000<mark>\ue001 graph \ue002b\ue003 <img src=x onerror=alert(1)>"
    TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)), explanation=text)

    (result,) = results(alice_client, "graph")

    assert "&lt;mark&gt; <mark>graph</mark> b &lt;img src=x onerror=alert(1)&gt;" in result["snippet"]


def test_html_is_escaped_outside_marks():
    assert to_html("a & b \ue002i\ue003 \ue000x\ue001") == "a &amp; b &lt;i&gt; <mark>x</mark>"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "required"),
        ("?q=", "blank"),
        ("?q=a%00", "null_characters_not_allowed"),
        ("?q=a+b+c+d+e+f+g+h+i+j+k", "too_many"),
        (f"?q={'x' * 201}", "max_length"),
    ],
)
def test_a_bad_query_is_named(alice_client, query, code):
    response = alice_client.get(f"/api/search/{query}")

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [("/q", code)]


@pytest.mark.parametrize("text", [",", "<", " , > "])
def test_a_query_of_separators_alone_finds_nothing(alice_client, note, text):
    assert results(alice_client, text) == []
    assert found(alice_client, text) == [note.pk]  # as with an empty search


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_search_costs_two_queries_and_has_at_most_twenty_results(
    alice, alice_client, make_note, count, django_assert_num_queries
):
    for _ in range(count // 10 or 1):
        make_note(alice, min(count, 10), title="graph")
    alice_client.get("/api/notes/")

    with django_assert_num_queries(2):
        found = results(alice_client, "graph text")

    assert len(found) == min(20, count)


def test_others_and_the_trash_are_not_searched(alice, charlie, alice_client, note, send):
    theirs = NoteFactory(user=charlie, title="Recursion")
    TopicFactory(chapter=ChapterFactory(note=theirs), explanation="recursion fibonacci")
    send(alice_client, "delete", f"/api/notes/{note.pk}/")

    assert results(alice_client, "recursion") == []
    assert results(alice_client, "fibonacci") == []
    assert found(alice_client, "fibonacci") == []


def test_headlines_are_made_of_the_results_only(alice):
    plan = QueryOptimizer.search_topics(alice, SearchTerms.of(["graph"])).explain(verbose=True)

    sort = plan.index("Sort Key")
    assert "ts_headline" in plan[:sort]
    assert "ts_headline" not in plan[sort:]
