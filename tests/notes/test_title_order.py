"""Titles are ordered as people order them, and pages of them follow each other."""

import base64
from itertools import pairwise

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from notes.models import Note
from notes.title_order import title_key
from tests.conftest import client_of
from tests.factories import NoteFactory, UserFactory

# ruff: noqa: RUF001  # letters that look like others are what is tested

ORDERED = [
    ["!", "-", "1", "2", "10", "a", "A", "ä", "Ä", "b", "B", "z", "Z"],
    ["note 2", "Note 2", "note 9", "note 10", "note 010 b", "note 100", "notebook"],
    ["resume", "Resume", "résumé", "Résumé", "resumed"],
    ["cote", "coté", "côte", "côté"],
    ["Étude", "Etudes", "étudiant", "Zebra"],
    ["strasse", "Straße", "straßen"],
    ["a b", "a\u00a0b c", "ab"],
    ["алма", "ёлка", "елочка", "ель", "иод", "йод", "каша"],
    ["гора", "ґанок", "дім", "ель", "єнот"],
    ["あお", "アカ", "かき", "がく", "キク"],
    ["가나", "각", "나"],
    ["١", "2", "٣"],
    ["Ａ", "ｂ", "Ｃ"],
]


@pytest.mark.parametrize("titles", ORDERED)
def test_titles_are_in_the_order_of_a_dictionary(titles):
    for before, after in pairwise(titles):
        assert title_key(before) < title_key(after), (before, after)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=300))
def test_every_key_is_bounded_and_never_empty(title):
    key = title_key(title)

    assert key
    assert len(key.encode()) <= 1_400
    assert "\x00" not in key


def titles_of(client, query):
    response = client.get(f"/api/notes/?{query}")
    assert response.status_code == 200, response.content
    body = response.json()
    return [row["title"] for row in body["results"]], body


@pytest.mark.parametrize("search", ["", "&search=common"])
def test_the_list_is_ordered_so_both_ways_and_page_by_page(alice, alice_client, search):
    titles = ["Zebra", "note 10", "Äpfel", "note 2", "apfel", "Étude", "banana", "Note 2"]
    wanted = ["apfel", "Äpfel", "banana", "Étude", "note 2", "Note 2", "note 10", "Zebra"]
    for title in titles:
        NoteFactory(user=alice, title=title, tags=["common"])

    assert titles_of(alice_client, f"ordering=title{search}")[0] == wanted
    assert titles_of(alice_client, f"ordering=-title{search}")[0] == wanted[::-1]
    first, body = titles_of(alice_client, f"ordering=title&page_size=3{search}")
    second, body = titles_of(alice_client, body["next"].partition("?")[2])
    third, body = titles_of(alice_client, body["next"].partition("?")[2])
    back, _ = titles_of(alice_client, body["previous"].partition("?")[2])
    assert first + second + third == wanted
    assert back == second
    assert "title_key" not in body["results"][0]


def test_a_cursor_of_the_release_before_is_a_bad_one(alice, alice_client):
    NoteFactory(user=alice)
    cursor = base64.urlsafe_b64encode(orjson.dumps([False, ["title", "id"], ["a", 1]])).decode().rstrip("=")

    response = alice_client.get(f"/api/notes/?ordering=title&cursor={cursor}")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_cursor")


def test_a_renamed_note_moves(alice, alice_client, send):
    note = NoteFactory(user=alice, title="a")
    NoteFactory(user=alice, title="b")

    send(alice_client, "patch", f"/api/notes/{note.pk}/", {"title": "c"})

    assert titles_of(alice_client, "ordering=title")[0] == ["b", "c"]


@pytest.mark.parametrize("search", ["", "&search=common"])
def test_of_notes_renamed_between_pages_all_others_are_shown_once(alice, alice_client, send, search):
    note_of = {title: NoteFactory(user=alice, title=title, tags=["common"]) for title in "abcdefghi"}

    def rename(title, new):
        assert send(alice_client, "patch", f"/api/notes/{note_of[title].pk}/", {"title": new}).status_code == 200

    first, body = titles_of(alice_client, f"ordering=title&page_size=3{search}")
    rename("a", "a1")  # stays behind
    rename("b", "g1")  # overtakes the reader
    rename("c", "C")  # the row that the cursor names
    rename("e", "a2")  # is overtaken
    rename("f", "d1")  # stays ahead
    second, body = titles_of(alice_client, body["next"].partition("?")[2])
    rename("c", "d0")  # between the rows of the page that was read
    send(alice_client, "delete", f"/api/notes/{note_of['g'].pk}/")  # the row that the cursor names
    third, last = titles_of(alice_client, body["next"].partition("?")[2])
    back, _ = titles_of(alice_client, body["previous"].partition("?")[2])

    assert (first, second, third) == (["a", "b", "c"], ["C", "d", "d1"], ["g1", "h", "i"])
    assert last["next"] is None
    assert back == ["a1", "a2"]


RENAMES = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "A", "á", "b", "note 2", "note 10"])), max_size=3)


@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],  # shrinking takes minutes where an example takes a database
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    order=st.sampled_from(["title", "-title"]),
    size=st.integers(1, 3),
    steps=st.lists(st.tuples(st.booleans(), RENAMES), min_size=1, max_size=6),
)
def test_a_page_begins_beyond_the_title_that_was_shown_whatever_was_renamed(db, send, order, size, steps):
    user = UserFactory()
    client = client_of(user)
    keys = {NoteFactory(user=user, title=title).pk: title_key(title) for title in "aabbcc"}
    notes = list(keys)

    page = client.get(f"/api/notes/?ordering={order}&page_size={size}").json()
    for is_forward, renames in steps:
        shown = [(keys[row["id"]], row["id"]) for row in page["results"]]
        for number, title in renames:
            assert send(client, "patch", f"/api/notes/{notes[number]}/", {"title": title}).status_code == 200
            keys[notes[number]] = title_key(title)
        link = page["next"] if is_forward else page["previous"]
        if link is None:
            continue
        page = client.get(link).json()

        in_order = sorted(((key, pk) for pk, key in keys.items()), reverse=order == "-title")
        if is_forward:
            expected = [row for row in in_order if (row > shown[-1]) is (order == "title") and row != shown[-1]][:size]
        else:
            expected = [row for row in in_order if (row < shown[0]) is (order == "title") and row != shown[0]][-size:]
        assert [row["id"] for row in page["results"]] == [pk for _, pk in expected]
        if not expected:
            break


def test_the_order_is_read_from_its_index(alice):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off")
        plan = Note.objects.owned_by(alice.pk).filtered({"ordering": "title"})[:20].explain()

    assert "note_live_title_key_idx" in plan
    assert "Sort" not in plan


@pytest.mark.parametrize(
    "title", ["\u200b", "\u3164", "\ufe0f", "\u00a0", "\u2060 \u00ad", "\u115f\u1160", "\u202e", "\U000e0100"]
)
def test_a_title_of_nothing_visible_is_refused(alice_client, send, title):
    response = send(alice_client, "post", "/api/notes/", {"title": title})

    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "blank")


@pytest.mark.parametrize("title", ["a", "🚀", "。", "ㄱ", "\u200ba"])
def test_a_title_with_one_visible_character_is_accepted(alice_client, send, title):
    assert send(alice_client, "post", "/api/notes/", {"title": title}).status_code == 201


@pytest.mark.parametrize("language", ["C/C++", "PL/SQL", "F*", "Objective-C", "C#"])
def test_languages_with_signs_are_accepted(alice_client, send, language):
    chapters = [{"title": "c", "topics": [{"title": "t", "code_language": language}]}]

    made = send(alice_client, "post", "/api/notes/", {"title": "n", "chapters": chapters})
    task = {"request_type": "generate_code", "request_data": {"topic": "loops", "language": language}}

    assert made.status_code == 201, made.content
    assert send(alice_client, "post", "/api/ai/tasks/", task).status_code == 202
