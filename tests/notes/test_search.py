"""Search: the list's filter, where every word must be somewhere in the note, and the ranked results."""

import pytest
from django.http import QueryDict
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes import reads
from notes.models import Note
from notes.search import conditions
from notes.search.query import SearchTerms, TooManyWords
from tests.factories import ChapterFactory, NoteFactory, TopicFactory
from utils.http.pagination import LookAheadCursorPagination
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


def fast_list(user, filters):
    paginator = LookAheadCursorPagination()
    rows = reads.list_page(paginator, "/api/notes/", QueryDict(), user_id=user.pk, filters=filters)
    return [row["id"] for row in rows]


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
    ["absent", "recursion absent", "c++ absent", '"learning machine"', "bonacci", "!!!", "<b>", "-- ;", "-loops"],
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


ANY_TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
OPERATORS = st.lists(
    st.sampled_from(
        ['"', "-", "tag:", "status:", "graph", "C++", ".NET", "学点认定", "a/b", "'", "\\\\", ":*", " ", "("]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize(("few", "many_notes"), [(0, 5_000), (2_500, 5_000), (2_500, 0)])
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=ANY_TEXT | OPERATORS)
def test_no_text_is_an_error_of_postgres_and_each_finds_what_its_querysets_find(
    alice, note, monkeypatch, few, many_notes, text
):
    """Also where every match is one of many, so that notes are walked."""
    monkeypatch.setattr(conditions, "FEW_FOR_RANKING", few)
    monkeypatch.setattr(conditions, "MANY_NOTES", many_notes)
    try:
        terms = SearchTerms.parse(text, user_id=alice.pk)
    except TooManyWords:
        return
    columns = ("id", "title", "rank", "capped", "text")

    listed = list(QueryOptimizer.get_notes_for_list(alice, {"search": text}))
    notes, topics = reads.search(terms, user_id=alice.pk)

    assert listed == ([note] if listed else [])
    assert fast_list(alice, {"search": text}) == [each.pk for each in listed]
    if terms.is_empty or terms.is_nothing:
        assert (notes, topics) == ([], [])
        return
    assert notes == list(QueryOptimizer.search_notes(alice, text).values(*columns))
    if terms.wanted:
        assert topics == list(QueryOptimizer.search_topics(alice, text).values(*columns, "chapter_id", "note_id"))


@pytest.mark.parametrize("text", ["'", "\\", "a:*", "a & | !b", "<->", "((", "%", "_", '"', "🙂", "a" * 200])
def test_no_character_is_an_operator(alice_client, note, text):
    assert alice_client.get("/api/notes/", {"search": text}).status_code == 200
    assert alice_client.get("/api/search/", {"q": text}).status_code == 200


def results(client, text):
    response = client.get("/api/search/", {"q": text})
    assert response.status_code == 200, response.content
    return response.json()["results"]


def test_results_have_their_ids_and_mark_the_words(alice_client, note):
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

    assert "&lt;mark&gt;\ue001 <mark>graph</mark> \ue002b\ue003 &lt;img src=x onerror=alert(1)&gt;" in result["snippet"]


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
def test_a_search_costs_three_queries_and_has_at_most_twenty_results(
    alice, alice_client, make_note, count, django_assert_num_queries
):
    for _ in range(count // 10 or 1):
        make_note(alice, min(count, 10), title="graph")
    alice_client.get("/api/notes/")

    with django_assert_num_queries(3):
        found = results(alice_client, "graph text")

    assert len(found) == min(20, count)


@pytest.mark.parametrize(("few", "count", "is_capped"), [(0, 200, False), (0, 201, True), (2_500, 201, False)])
def test_of_many_matches_200_are_compared(alice, alice_client, make_note, monkeypatch, few, count, is_capped):
    monkeypatch.setattr(conditions, "FEW_FOR_RANKING", few)
    make_note(alice, count)

    answer = alice_client.get("/api/search/", {"q": "text"}).json()

    assert (answer["capped"], len(answer["results"])) == (is_capped, 20)


@pytest.mark.parametrize(("few", "many_notes"), [(0, 5_000), (2_500, 5_000), (2_500, 0)])
def test_a_frequent_word_is_found_in_the_notes_changed_last(
    alice, alice_client, make_note, monkeypatch, few, many_notes
):
    monkeypatch.setattr(conditions, "FEW_FOR_RANKING", few)
    monkeypatch.setattr(conditions, "MANY_NOTES", many_notes)
    notes = [make_note(alice, 1, title=f"Note {number}") for number in range(3)]

    assert results(alice_client, "text tag:none") == []
    assert [row["note_id"] for row in results(alice_client, "text")] == [note.pk for note in reversed(notes)]


@pytest.mark.parametrize(("with_it", "is_capped"), [(99, False), (100, True)])
def test_a_word_in_half_of_the_newest_of_very_many_notes_is_not_counted(
    alice, alice_client, make_note, monkeypatch, with_it, is_capped
):
    """Then the newest 200 matches are compared."""
    monkeypatch.setattr(conditions, "MANY_NOTES", 201)
    for number in range(202):
        make_note(alice, 3 if number >= 202 - with_it else 0, title="A note")

    assert alice_client.get("/api/search/", {"q": "text"}).json()["capped"] is is_capped


def test_a_changed_topic_of_a_note_that_is_not_indexed_yet_is_found_by_its_words_only(alice, alice_client, make_note):
    note = make_note(alice, 1)
    Note.objects.filter(pk=note.pk).update(words=None)

    assert [row["type"] for row in results(alice_client, "text")] == ["topic"]
    assert results(alice_client, "elsewhere") == []


def test_others_and_the_trash_are_not_searched(alice, charlie, alice_client, note, send):
    theirs = NoteFactory(user=charlie, title="Recursion")
    TopicFactory(chapter=ChapterFactory(note=theirs), explanation="recursion fibonacci")
    send(alice_client, "delete", f"/api/notes/{note.pk}/")

    assert results(alice_client, "recursion") == []
    assert results(alice_client, "fibonacci") == []
    assert found(alice_client, "fibonacci") == []


@pytest.mark.parametrize(("count", "is_capped"), [(1_000, False), (1_001, True)])
def test_of_few_matches_1000_are_compared(alice, alice_client, make_note, count, is_capped):
    make_note(alice, count)

    answer = alice_client.get("/api/search/", {"q": "text"}).json()

    assert (answer["capped"], len(answer["results"])) == (is_capped, 20)


def test_texts_of_snippets_are_read_for_the_results_only(alice):
    plan = QueryOptimizer.search_topics(alice, "graph").explain(verbose=True)
    above, _, sorted_rows = plan.partition("Sort Key")

    assert "SubPlan" in above.partition("Sort")[0]
    assert "SubPlan" not in sorted_rows.partition("WindowAgg")[0]
