"""Titles are ordered as people order them, and pages of them follow each other."""

import base64
from itertools import pairwise

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from notes.models import Note
from notes.title_order import title_key
from tests.factories import NoteFactory

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
