"""Schedules of Anki come along with their cards."""

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import genanki
import pytest

from study.anki import schedules
from study.memory import MAXIMUM_INTERVAL, Terms
from study.models import Card, Face, StudyEvent
from study.services import delete_card
from tests.notes.imports.helpers import outcomes, report_of
from tests.study.anki_decks import BASIC, REVERSED, note, package, warnings_of
from tests.study.conftest import columns_of, folded_anew

NOW = datetime.now(UTC).replace(microsecond=0)
TERMS = Terms()


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


def learned(tmp_path: Path, *values: str, model: genanki.Model = BASIC, **created: Any) -> bytes:
    """A deck with one note, in a collection that was made 100 days ago, whose cards are changed in this way."""
    made = int((NOW - timedelta(days=100)).timestamp()) // 86400 * 86400 + 4 * 3600
    change = [f"UPDATE col SET crt = {made}", *(f"UPDATE cards SET {value}" for value in values)]
    return package(tmp_path, [note(model, "un", "one", guid="learned")], change=change)


def days_from_today(moment: datetime) -> int:
    return (TERMS.day_of(moment) - TERMS.day_of(datetime.now(UTC))).days


def today_in_anki() -> int:
    made = int((NOW - timedelta(days=100)).timestamp()) // 86400 * 86400 + 4 * 3600
    return (int(time.time()) - made) // 86400


def test_memory_of_fsrs_is_kept(alice, alice_client, tmp_path):
    seen = int(NOW.timestamp()) - 7 * 86400
    data = json.dumps({"s": 12.5, "d": 5.25, "dr": 0.9, "lrt": seen})
    today = today_in_anki()

    report_of(
        alice_client,
        "a.apkg",
        learned(tmp_path, f"type=2, queue=2, due={today + 6}, ivl=13, factor=2100, reps=5, lapses=1, data='{data}'"),
    )

    face = Face.objects.get()
    assert (face.state, face.stability, face.difficulty, face.reps, face.lapses) == ("review", 12.5, 5.25, 5, 1)
    assert face.last_event_at == datetime.fromtimestamp(seen, UTC)
    assert days_from_today(face.due_at) == 6
    assert face.due_at == TERMS.start_of(TERMS.day_of(face.due_at))
    event = StudyEvent.objects.get()
    assert (event.kind, event.card_id, event.data["stability"]) == ("baseline", face.card_id, 12.5)
    card = Card.objects.get()
    assert columns_of(card) == folded_anew(card)


@pytest.mark.parametrize(
    ("interval", "factor", "difficulty"),
    [(10, 2500, 6.914), (100, 1300, 9.801), (1, 5000, 3.576), (30, 0, 6.093), (36500, 9999, 1.0)],
)
def test_ease_and_interval_become_memory(alice_client, tmp_path, interval, factor, difficulty):
    """As Anki itself converts them when FSRS is turned on, at a retention of 0.9."""
    today = today_in_anki()
    report_of(
        alice_client,
        "a.apkg",
        learned(tmp_path, f"type=2, queue=2, due={today - 3}, ivl={interval}, factor={factor}, reps=4, lapses=0"),
    )

    face = Face.objects.get()
    assert (face.stability, round(face.difficulty, 3)) == (float(interval), difficulty)
    assert days_from_today(face.due_at) == -3
    assert (face.due_at - face.last_event_at).days == interval or interval == MAXIMUM_INTERVAL


@pytest.mark.parametrize("day_starts_at", ["00:00", "04:00", "06:00", "12:00"])
def test_a_due_day_stays_that_day_whenever_days_begin(day_starts_at):
    terms = Terms(day_starts_at=day_starts_at)
    created = datetime(2026, 3, 2, 4, tzinfo=UTC)
    row = {"type": 2, "due": 10, "interval": 3, "factor": 2500, "reps": 1, "lapses": 0, "data": ""}

    memory = schedules.learned(row, created=int(created.timestamp()), terms=terms, now=created)

    assert memory is not None
    assert memory.due_at.isoformat() == f"2026-03-12T{day_starts_at}:00+00:00"


def test_a_card_that_is_being_learned_is_new(alice_client, tmp_path):
    report_of(alice_client, "a.apkg", learned(tmp_path, "type=1, queue=1, due=1700000000, left=1001, reps=2"))

    assert list(Face.objects.values_list("state", "reps")) == [("new", 0)]
    assert not StudyEvent.objects.exists()


def test_each_face_has_its_own_schedule(alice_client, tmp_path):
    today = today_in_anki()
    changes = [
        f"type=2, queue=2, due={today + 1}, ivl=4, factor=2500, reps=3 WHERE ord=0",
        "type=3, queue=1, due=1700000000, ivl=2, factor=1500, reps=9, lapses=4, left=1001 WHERE ord=1",
    ]

    report_of(alice_client, "a.apkg", learned(tmp_path, *changes, model=REVERSED))

    assert list(Face.objects.order_by("n").values_list("n", "state", "stability", "reps", "lapses")) == [
        (1, "review", 4.0, 3, 0),
        (2, "review", 2.0, 9, 4),
    ]


def test_suspended_cards_stay_suspended(alice_client, tmp_path):
    report_of(alice_client, "a.apkg", learned(tmp_path, "queue=-1, type=2, due=50, ivl=3, factor=2500"))
    report_of(
        alice_client, "b.apkg", package(tmp_path, [note(BASIC, "buried", "x")], change=["UPDATE cards SET queue=-2"])
    )

    assert list(Card.objects.order_by("created_at").values_list("suspended", flat=True)) == [True, False]
    assert list(Face.objects.order_by("card__created_at").values_list("state", "active")) == [
        ("review", False),
        ("new", True),
    ]


def test_cards_that_ask_for_each_other_but_are_not_suspended_alike_stay_apart(alice_client, tmp_path):
    report_of(alice_client, "a.apkg", learned(tmp_path, "queue=-1 WHERE ord=1", model=REVERSED))

    cards = Card.objects.order_by("created_at").values_list("kind", "front", "suspended")
    assert list(cards) == [("basic", "un", False), ("basic", "one", True)]


def test_reviews_made_in_anki_since_come_along(alice_client, tmp_path):
    today = today_in_anki()
    report_of(
        alice_client, "a.apkg", learned(tmp_path, f"type=2, queue=2, due={today - 1}, ivl=4, factor=2500, reps=3")
    )
    later = learned(tmp_path, f"type=2, queue=2, due={today + 20}, ivl=20, factor=2500, reps=4")

    job = report_of(alice_client, "b.apkg", later)

    assert outcomes(job) == [("b.apkg", "updated")]
    assert warnings_of(job)[1] == "Cards that were here already, with later reviews: 1."
    assert list(Face.objects.values_list("stability", "reps")) == [(20.0, 4)]
    assert outcomes(report_of(alice_client, "c.apkg", later)) == [("c.apkg", "unchanged")]
    card = Card.objects.get()
    assert (StudyEvent.objects.count(), card.version, columns_of(card)) == (2, 2, folded_anew(card))


@pytest.mark.parametrize(
    "values",
    [
        "type=2, queue=2, due=2147483647, ivl=2147483647, factor=2147483647, reps=2147483647, lapses=2147483647",
        "type=2, queue=2, due=-2147483648, ivl=-5, factor=-1, reps=-1, lapses=-1",
        "type=2, queue=2, due=9223372036854775807, ivl=1, factor=2500",
        """type=2, queue=2, due=5, ivl=5, factor=2500, data='{"s": 1e999, "d": -3, "lrt": 1e300}'""",
        """type=2, queue=2, due=5, ivl=5, factor=2500, data='{"s": NaN, "d": "x", "lrt": true}'""",
        "type=2, queue=2, due=5, ivl=5, factor=2500, data='" + "[" * 5000 + "'",
        "type=2, queue=2, due=5, ivl=5, factor=2500, odue=7, odid=1",
    ],
)
def test_wild_numbers_are_brought_within_bounds(alice_client, tmp_path, values):
    job = report_of(alice_client, "a.apkg", learned(tmp_path, values))

    assert outcomes(job) == [("a.apkg", "created")]
    face = Face.objects.get()
    assert face.state == "review"
    assert 0.001 <= face.stability <= MAXIMUM_INTERVAL
    assert 1 <= face.difficulty <= 10
    assert 0 <= face.lapses <= 100_000
    assert 1 <= face.reps <= 100_000
    assert alice_client.get("/api/study/due/").status_code == 200
    assert alice_client.get("/api/study/stats/").status_code == 200


def test_a_deleted_card_comes_back_with_its_history(alice, alice_client, tmp_path):
    deck = learned(tmp_path, f"type=2, queue=2, due={today_in_anki()}, ivl=9, factor=2500, reps=3")
    report_of(alice_client, "a.apkg", deck)
    delete_card(user_id=alice.pk, card_id=Card.objects.get().pk)

    job = report_of(alice_client, "b.apkg", deck)

    assert outcomes(job) == [("b.apkg", "created")]
    assert (StudyEvent.objects.count(), Face.objects.get().stability) == (1, 9.0)
