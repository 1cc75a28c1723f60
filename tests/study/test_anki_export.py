"""Cards as a package of Anki, tried with Anki itself."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from study.memory import Terms
from study.models import Card, Face
from study.services import propose_cards, reset_card, suspend_card, update_card
from tests.factories import CardFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.study.anki_collections import Imported, files_of, opened_collection
from tests.study.conftest import CARDS

EXPORT = "/api/study/export.apkg"
day_of = Terms().day_of


def package_of(client: Any, query: str = "") -> bytes:
    response = client.get(EXPORT + query)
    assert response.status_code == 200, response.content
    assert response["Content-Disposition"] == 'attachment; filename="noteassist.apkg"'
    return b"".join(response.streaming_content)


@pytest.fixture
def collection(tmp_path):
    with opened_collection(tmp_path) as opened:
        yield opened


@pytest.fixture
def studied(alice, clock, review):
    """A card that was learned twenty days ago and is due in the future, by the real clock, which Anki reads."""
    clock.now = _real_now() - timedelta(days=20)
    card = CardFactory(user=alice, front="Where is the Louvre?", back="In Paris", tags=["art history", "paris"])
    for days in (0, 1, 10):
        clock.forward(days=days)
        review(card, "easy")
    clock.now = _real_now()
    return card


def _real_now() -> datetime:
    return datetime.now(UTC)


def test_cards_arrive_in_anki_with_their_schedules(alice, alice_client, studied, collection, clock, tmp_path):
    CardFactory(user=alice, front="{{c1::Lyon}} and {{c2::Nice}} are *cities*.", kind="cloze", back="In France")
    CardFactory(user=alice, front="un", back="one", kind="reversed")

    outcome = collection.take(package_of(alice_client), tmp_path)

    assert outcome == Imported(new=3, updated=0, duplicate=0, conflicting=0)
    assert (collection.notes, collection.cards) == (Card.objects.count(), Face.objects.count()) == (3, 5)
    notes = collection.rows("SELECT guid, flds, tags FROM notes ORDER BY id")
    assert notes[0] == [str(studied.pk), "Where is the Louvre?\x1fIn Paris", " art_history paris "]
    assert sorted(note[1] for note in notes[1:]) == [  # they were made at one time
        "un\x1fone",
        "{{c1::Lyon}} and {{c2::Nice}} are <em>cities</em>.\x1fIn France",
    ]
    face = Face.objects.get(card=studied.pk)
    [row] = collection.rows(
        "SELECT type, queue, due, ivl, reps, lapses, data, odid FROM cards WHERE nid = (SELECT min(id) FROM notes)"
    )
    kind, queue, due, interval, reps, lapses, data, _ = row
    assert (kind, queue, reps, lapses) == (2, 2, 3, 0)
    days_ahead = (day_of(face.due_at) - day_of(clock.now)).days
    assert due - collection.collection.sched.today == days_ahead > 0
    assert interval == (day_of(face.due_at) - face.last_day).days
    assert json.loads(data) == {
        "s": round(face.stability, 4),
        "d": round(face.difficulty, 3),
        "dr": 0.9,
        "lrt": int(face.last_event_at.timestamp()),
    }
    assert collection.rows("SELECT count(*) FROM cards WHERE type = 0 AND queue = 0") == [[4]]


def test_a_second_package_updates_the_same_cards(alice, alice_client, studied, collection, clock, tmp_path):
    """Exported, edited here, exported again: no card is there twice, and Anki's schedules stay."""
    cloze = CardFactory(user=alice, front="{{c1::Lyon}} is a city.", kind="cloze", back="")
    collection.take(package_of(alice_client), tmp_path)
    before = collection.rows("SELECT id, type, queue, due, ivl, factor, reps, lapses, data FROM cards ORDER BY id")
    update_card(user_id=alice.pk, card_id=studied.pk, changes={"front": "Where's the Louvre?", "tags": ["paris"]})
    update_card(user_id=alice.pk, card_id=cloze.pk, changes={"front": "{{c1::Lyon}} is a city in {{c2::France}}."})
    reset_card(user_id=alice.pk, card_id=studied.pk)  # what was learned there stays there
    clock.forward(minutes=1)

    outcome = collection.take(package_of(alice_client), tmp_path)

    assert outcome == Imported(new=0, updated=2, duplicate=0, conflicting=0)
    assert (collection.notes, collection.cards) == (2, 3)
    after = collection.rows("SELECT id, type, queue, due, ivl, factor, reps, lapses, data FROM cards ORDER BY id")
    assert after[:2] == before
    assert collection.rows("SELECT flds, tags FROM notes ORDER BY id") == [
        ["Where's the Louvre?\x1fIn Paris", " paris "],
        ["{{c1::Lyon}} is a city in {{c2::France}}.\x1f", ""],
    ]
    clock.forward(minutes=1)
    assert collection.take(package_of(alice_client), tmp_path).new == 0
    assert (collection.notes, collection.cards) == (2, 3)


def test_without_scheduling_anki_learns_the_cards_anew(alice_client, studied, collection, tmp_path):
    collection.take(package_of(alice_client), tmp_path, with_scheduling=False)

    assert collection.rows("SELECT type, queue, ivl, reps FROM cards") == [[0, 0, 0, 0]]


def test_learning_suspended_and_lapsed_cards_are_so_in_anki(alice, alice_client, clock, review, collection, tmp_path):
    clock.now = _real_now() - timedelta(days=30)
    lapsed, suspended = (CardFactory(user=alice) for _ in range(2))
    for card in (lapsed, suspended):
        review(card, "easy")
    clock.now = _real_now() - timedelta(minutes=1)
    learning = CardFactory(user=alice)
    review(learning, "again")
    review(lapsed, "again")
    suspend_card(user_id=alice.pk, card_id=suspended.pk, suspended=True)
    clock.now = _real_now()

    collection.take(package_of(alice_client), tmp_path)

    rows = {
        guid: rest
        for guid, *rest in collection.rows(
            "SELECT guid, type, queue, due, left, c.lapses FROM cards c JOIN notes n ON n.id = c.nid"
        )
    }
    due = {str(face.card_id): int(face.due_at.timestamp()) for face in Face.objects.all()}
    assert rows[str(learning.pk)] == [1, 1, due[str(learning.pk)], 2002, 0]
    assert rows[str(lapsed.pk)] == [3, 1, due[str(lapsed.pk)], 1001, 1]
    overdue = (day_of(Face.objects.get(card=suspended.pk).due_at) - day_of(clock.now)).days
    assert rows[str(suspended.pk)] == [2, -1, collection.collection.sched.today + overdue, 0, 0]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("=1+1", "=1+1"),
        ("@SUM(A1)", "@SUM(A1)"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("<img src=x onerror=alert(1)>", "&lt;img src=x onerror=alert(1)&gt;"),
        ("[click](javascript:alert(1))", '<a href="">click</a>'),
        ("![far](https://example.org/x.png)", "far"),
        ("[sound:a.mp3]", "&#91;sound:a.mp3]"),
        ("[latex]\\input{x}[/latex]", "&#91;latex]\\input{x}&#91;/latex]"),
        ("$x^2 < 3$", r"\(x^2 &lt; 3\)"),
        ("a\x1fb", "a b"),
        ("{{Front}}", "{{Front}}"),
        ("[x]: https://example.org", "<pre>[x]: https://example.org</pre>"),
        (">" * 60 + " deep", "<pre>" + "&gt;" * 60 + " deep</pre>"),
    ],
)
def test_texts_stay_texts_in_anki(alice, alice_client, collection, tmp_path, text, field):
    CardFactory(user=alice, front=text, back="b")

    collection.take(package_of(alice_client), tmp_path)

    assert collection.rows("SELECT flds FROM notes") == [[f"{field}\x1fb"]]


def test_a_formula_does_not_end_a_deletion(alice, alice_client, collection, tmp_path):
    CardFactory(user=alice, kind="cloze", back="", front=r"Half is {{c1::$\frac{1}{{2}}$}}.")

    collection.take(package_of(alice_client), tmp_path)

    assert collection.rows("SELECT flds FROM notes") == [["Half is {{c1::\\(\\frac{1}{{2} }\\)}}.\x1f"]]
    [card_id] = collection.collection.find_cards("")
    assert r"\frac{1}{{2} }\)</span>." in collection.collection.get_card(card_id).answer()


def test_a_note_or_a_tag_narrows_the_package(alice, alice_client, collection, tmp_path):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)))
    CardFactory(user=alice, front="in the note", topic_id=topic.pk)
    CardFactory(user=alice, front="tagged", tags=["x"])
    propose_cards(user_id=alice.pk, cards=[{"front": "only proposed", "back": "b", "tags": ["x"]}])

    by_note = collection.take(package_of(alice_client, f"?note={topic.chapter.note_id}"), tmp_path)
    assert (by_note.new, collection.rows("SELECT sfld FROM notes")) == (1, [["in the note"]])
    by_tag = collection.take(package_of(alice_client, "?tag=X"), tmp_path)
    assert (by_tag.new, collection.notes) == (1, 2)
    assert collection.take(package_of(alice_client, "?tag=none"), tmp_path) == Imported(0, 0, 0, 0)


def test_a_stranger_gets_none_of_it(alice, alice_client, charlie_client, collection, tmp_path):
    note = NoteFactory(user=alice)
    CardFactory(user=alice)

    assert charlie_client.get(f"{EXPORT}?note={note.pk}").status_code == 404
    assert charlie_client.get(f"{EXPORT}?note=999999999").status_code == 404
    assert collection.take(package_of(charlie_client), tmp_path).new == 0
    assert alice_client.get(f"{EXPORT}?note=x").status_code == 400
    assert alice_client.get(f"{EXPORT}?deck=1").status_code == 400


def test_too_many_cards_are_refused(alice, alice_client, monkeypatch):
    monkeypatch.setattr("study.anki.exporting.CARDS_MAX", 1)
    CardFactory(user=alice)
    CardFactory(user=alice, tags=["x"])

    response = alice_client.get(EXPORT)

    assert (response.status_code, response.json()["code"]) == (413, "export_too_large")
    assert (response.json()["limit"], response.json()["used"]) == (1, 2)
    package_of(alice_client, "?tag=x")


def test_a_second_package_waits_for_the_first(alice_client):
    first = alice_client.get(EXPORT)

    second = alice_client.get(EXPORT)

    assert (second.status_code, second.json()["code"]) == (503, "too_many_exports")
    assert b"".join(first.streaming_content)
    package_of(alice_client)


@pytest.mark.parametrize("count", [1, 100])
def test_a_package_costs_the_same_for_any_number_of_cards(alice, alice_client, django_assert_num_queries, count):
    CardFactory.create_batch(count, user=alice)
    alice_client.get(CARDS)  # the session is known from now on

    with django_assert_num_queries(5):  # size, ids, settings; cards, faces
        package = package_of(alice_client)

    assert set(files_of(package)) == {"collection.anki2", "media"}
