"""Tags have one spelling, and are counted."""

# ruff: noqa: RUF001  # letters that look like others are what is tested

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notes import services
from notes.tags import InvalidTag, distinct_tags, normalize_tag
from tests.factories import NoteFactory

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXTS)
def test_a_tag_is_trimmed_folded_composed_and_stays_as_it_is(text):
    try:
        tag = normalize_tag(text)
    except InvalidTag:
        return
    assert tag
    assert tag == tag.strip()
    assert len(tag) <= 50
    assert unicodedata.is_normalized("NFC", tag)
    assert not any(character == "," or unicodedata.category(character) == "Cc" for character in tag)
    assert normalize_tag(tag) == tag


@given(TEXTS)
def test_spellings_that_read_alike_are_one_tag(text):
    def outcome(spelling):
        try:
            return normalize_tag(spelling)
        except InvalidTag as error:
            return error.code

    assert outcome(text) == outcome(f"  {text} ") == outcome(unicodedata.normalize("NFD", text))


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        (" Python ", "python"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("Cafe\u0301", "caf\u00e9"),
        ("Machine Learning", "machine learning"),
        ("C++", "c++"),
        ("🚀\ufe0f", "🚀"),
        ("a  b", "a b"),
        ("a\u00a0\u2003b", "a b"),
        ("a\u200bb\u200d", "ab"),
        ("a\u200db", "ab"),
        ("\u202ea", "a"),
        ("👩\u200d💻", "👩\u200d💻"),
        ("❤\ufe0f\u200d🔥", "❤\u200d🔥"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("क्\u200dष", "क्\u200dष"),
        ("\u6570\u5b66", "\u6570\u5b66"),
    ],
)
def test_known_tags(text, tag):
    assert normalize_tag(text) == tag


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "blank"),
        ("\u3164", "blank"),
        ("\u200b", "blank"),
        (" \t ", "blank"),
        ("a,b", "invalid"),
        ("a\tb", "invalid"),
        ("a\x00", "invalid"),
        ("\x7fa", "invalid"),
        ("x" * 51, "max_length"),
        ("\u00df" * 26, "max_length"),
    ],
)
def test_what_is_no_tag(text, code):
    with pytest.raises(InvalidTag) as caught:
        normalize_tag(text)
    assert caught.value.code == code


@given(st.lists(st.sampled_from("abcdefgh")))
def test_repeated_tags_are_dropped_in_the_order_given(tags):
    distinct = distinct_tags(tags)
    assert sorted(distinct) == sorted(set(tags))
    assert [tags.index(tag) for tag in distinct] == sorted(tags.index(tag) for tag in distinct)


def test_twenty_tags_are_enough():
    assert len(distinct_tags([f"t{i}" for i in range(20)] * 2)) == 20
    with pytest.raises(InvalidTag):
        distinct_tags([f"t{i}" for i in range(21)])


def test_tags_are_listed_with_their_numbers_of_notes(alice, alice_client, make_note, send):
    make_note(alice, tags=["python", "sql"])
    make_note(alice, tags=["python", "algebra"])
    trashed = make_note(alice, tags=["python", "history"])
    send(alice_client, "delete", f"/api/notes/{trashed.pk}/")

    assert alice_client.get("/api/tags/").json() == [
        {"tag": "python", "count": 2},
        {"tag": "algebra", "count": 1},
        {"tag": "sql", "count": 1},
    ]


@pytest.mark.parametrize("count", [1, 10, 100])
def test_the_tags_cost_one_query(alice, alice_client, count, django_assert_num_queries):
    NoteFactory.create_batch(count, user=alice, tags=["a", "b"])
    alice_client.get("/api/notes/")

    with django_assert_num_queries(1):
        assert alice_client.get("/api/tags/").json() == [{"tag": "a", "count": count}, {"tag": "b", "count": count}]


def test_at_most_five_hundred_tags_are_listed(alice, alice_client):
    notes = [{"title": "n", "tags": [f"t{i}-{j}" for j in range(20)]} for i in range(26)]
    services.import_notes(user_id=alice.pk, notes=notes)

    assert len(alice_client.get("/api/tags/").json()) == 500
