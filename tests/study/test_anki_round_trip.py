"""From Anki to here and back, with Anki itself on the other side."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notes.models import Attachment
from study.models import Card, Face, StudyEvent
from study.services import suspend_card, update_card
from tests.conftest import client_of
from tests.factories import CardFactory, UserFactory
from tests.files.images import png
from tests.notes.imports.helpers import outcomes, report_of
from tests.study.anki_collections import Imported, files_of, opened_collection
from tests.study.anki_decks import BASIC, CLOZE, COUNTRIES, note, package
from tests.study.test_anki_export import package_of

SHOWN = ("kind", "front", "back", "tags", "suspended")
LEARNED = ("n", "state", "reps", "lapses", "due_at")


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files


@pytest.fixture
def collection(tmp_path):
    with opened_collection(tmp_path) as opened:
        yield opened


@pytest.fixture
def studied(alice, clock, review) -> list[Card]:
    """Cards of each kind, learned for a month by the real clock, one of them suspended."""
    clock.now = datetime.now(UTC) - timedelta(days=30)
    cards = [
        CardFactory(user=alice, front="Where is the *Louvre*?", back="In Paris, $x^2$", tags=["paris"]),
        CardFactory(user=alice, front="un", back="one", kind="reversed"),
        CardFactory(user=alice, front="{{c1::Lyon}}, {{c2::Nice::by the sea}}", back="", kind="cloze"),
    ]
    for days in (0, 1, 9):
        clock.forward(days=days)
        for card in cards:
            review(card, "easy" if days else "good")
    review(cards[1], "good", face=2)
    clock.now = datetime.now(UTC)
    suspend_card(user_id=alice.pk, card_id=cards[0].pk, suspended=True)
    return cards


def cards_of(user: Any) -> list[tuple[Any, ...]]:
    return list(Card.objects.filter(user=user).order_by("front").values_list(*SHOWN))


def schedules_of(user: Any) -> list[tuple[Any, ...]]:
    faces = Face.objects.filter(user=user).order_by("card__front", "n")
    return [(*row[:-1], row[-1].date() if row[-1] else None) for row in faces.values_list(*LEARNED)]


@pytest.mark.parametrize("legacy", [True, False])
def test_what_anki_exports_of_ours_is_known_here(alice, alice_client, studied, collection, tmp_path, legacy):
    """Out, through Anki, and in again: nothing is doubled or changed, in both forms that Anki writes."""
    collection.take(package_of(alice_client), tmp_path)
    before = (cards_of(alice), schedules_of(alice), StudyEvent.objects.count())

    job = report_of(alice_client, "back.apkg", collection.give(tmp_path, legacy=legacy))

    assert outcomes(job) == [("back.apkg", "unchanged")]
    assert (cards_of(alice), schedules_of(alice), StudyEvent.objects.count()) == before
    assert outcomes(report_of(alice_client, "own.apkg", package_of(alice_client))) == [("own.apkg", "unchanged")]


@pytest.mark.parametrize("legacy", [True, False])
def test_another_account_gets_equal_cards_with_their_schedules(
    alice, alice_client, studied, collection, tmp_path, legacy
):
    collection.take(package_of(alice_client), tmp_path)
    bob = UserFactory()
    package_in = collection.give(tmp_path, legacy=legacy)

    job = report_of(client_of(bob), "deck.apkg", package_in)

    assert outcomes(job) == [("deck.apkg", "created")]
    assert cards_of(bob) == cards_of(alice)
    # A face that is being learned begins anew.
    assert schedules_of(bob) == [
        row if row[1] == "review" else (row[0], "new", 0, 0, None) for row in schedules_of(alice)
    ]
    memory = Face.objects.filter(state="review").order_by("card__front", "n")
    for mine, theirs in zip(memory.filter(user=alice), memory.filter(user=bob), strict=True):
        assert theirs.stability == pytest.approx(mine.stability, abs=1e-4)
        assert theirs.difficulty == pytest.approx(mine.difficulty, abs=1e-3)
    assert outcomes(report_of(client_of(bob), "again.apkg", package_in)) == [("again.apkg", "unchanged")]


def test_reviews_in_anki_come_back(alice, alice_client, clock, collection, tmp_path):
    card = CardFactory(user=alice)
    clock.now = datetime.now(UTC)
    collection.take(package_of(alice_client), tmp_path)
    anki_card = collection.collection.get_card(collection.collection.find_cards("")[0])
    anki_card.type = anki_card.queue = 2
    anki_card.ivl, anki_card.factor, anki_card.reps, anki_card.due = 12, 2300, 4, 13
    collection.collection.update_card(anki_card)
    clock.now = datetime.now(UTC) + timedelta(days=1)

    job = report_of(alice_client, "back.apkg", collection.give(tmp_path))

    assert outcomes(job) == [("back.apkg", "updated")]
    face = Face.objects.get(card=card)
    assert (face.state, face.stability, face.reps) == ("review", 12.0, 4)


def test_pictures_go_both_ways(alice, alice_client, clock, collection, tmp_path):
    (tmp_path / "p.png").write_bytes(png())
    report_of(
        alice_client,
        "a.apkg",
        package(tmp_path, [note(BASIC, 'See <img src="p.png">', "a")], media=[tmp_path / "p.png"]),
    )
    attachment = Attachment.objects.get()
    CardFactory(user=alice, front="![again](" + attachment.path + ")")
    clock.now = datetime.now(UTC)

    package_out = package_of(alice_client)
    outcome = collection.take(package_out, tmp_path)

    name = f"{attachment.pk}.png"
    assert json.loads(files_of(package_out)["media"]) == {"0": name}
    stored = files_of(package_out)["0"]
    assert stored == b"".join(alice_client.get(attachment.path).streaming_content)
    assert outcome.new == 2
    assert (Path(collection.collection.media.dir()) / name).read_bytes() == stored
    assert collection.collection.media.check().missing == []
    clock.forward(minutes=1)
    collection.take(package_of(alice_client), tmp_path)
    assert [path.name for path in Path(collection.collection.media.dir()).iterdir()] == [name]
    bob = UserFactory()
    report_of(client_of(bob), "deck.apkg", collection.give(tmp_path))
    theirs = Attachment.objects.get(user=bob)
    assert sorted(Card.objects.filter(user=bob).values_list("front", flat=True)) == [
        f"![again]({theirs.path})",
        f"See ![p.png]({theirs.path})",
    ]


def test_a_strangers_picture_does_not_go_out(alice, charlie, charlie_client, alice_client, clock, tmp_path):
    (tmp_path / "p.png").write_bytes(png())
    deck = package(tmp_path, [note(BASIC, '<img src="p.png">', "a")], media=[tmp_path / "p.png"])
    report_of(alice_client, "a.apkg", deck)
    CardFactory(user=charlie, front=f"![mine]({Attachment.objects.get().path})")

    assert set(files_of(package_of(charlie_client))) == {"collection.anki2", "media"}


def test_a_deck_of_anki_itself_arrives(alice, alice_client, collection, tmp_path):
    """Made by Anki with its own note types, in its newest form: tags, hierarchy, suspension, schedules."""
    source = collection.collection
    deck_id = source.decks.id("Biology::Cells")
    for name, fields in {
        "Basic": ["What makes energy?", "The <b>mitochondrion</b>"],
        "Basic (and reversed card)": ["nucleus", "core"],
        "Basic (optional reversed card)": ["one way", "only", ""],
        "Basic (type in the answer)": ["typed", "answer"],
        "Cloze": ["{{c1::DNA}} holds {{c2::genes}}.", r"\(A=T\)"],
    }.items():
        made = source.new_note(source.models.by_name(name))
        made.fields = fields
        made.tags = ["exam::2026", "Hard"]
        source.add_note(made, deck_id)
    source.sched.suspend_cards(source.find_cards("typed"))

    for legacy in (False, True):
        job = report_of(alice_client, "biology.apkg", collection.give(tmp_path, legacy=legacy))
        assert job["status"] == "succeeded", job

    assert cards_of(alice) == [
        ("basic", "What makes energy?", "The **mitochondrion**", ["exam::2026", "hard", "biology::cells"], False),
        ("reversed", "nucleus", "core", ["exam::2026", "hard", "biology::cells"], False),
        ("basic", "one way", "only", ["exam::2026", "hard", "biology::cells"], False),
        ("basic", "typed", "answer", ["exam::2026", "hard", "biology::cells"], True),
        ("cloze", "{{c1::DNA}} holds {{c2::genes}}.", "$A=T$", ["exam::2026", "hard", "biology::cells"], False),
    ]


def test_the_round_trip_of_a_deck_keeps_its_numbers(alice, alice_client, clock, collection, tmp_path):
    """In from a teacher's deck, out to Anki, edited here, out again: as many notes and cards, and no duplicate."""
    notes = [note(BASIC, f"q{n}", f"a{n}", guid=f"b{n}") for n in range(20)]
    notes += [note(CLOZE, f"{{{{c1::x{n}}}}} {{{{c2::y}}}}", "", guid=f"c{n}") for n in range(20)]
    notes += [note(COUNTRIES, f"Land {n}", f"City {n}", "", guid=f"d{n}") for n in range(20)]
    report_of(alice_client, "deck.apkg", package(tmp_path, notes))
    clock.now = datetime.now(UTC)

    first = collection.take(package_of(alice_client), tmp_path)
    for number, card in enumerate(Card.objects.order_by("created_at")):
        if number % 4 == 0:
            update_card(user_id=alice.pk, card_id=card.pk, changes={"back": f"edited {number}"})
    clock.forward(minutes=1)
    second = collection.take(package_of(alice_client), tmp_path)

    assert first == Imported(new=80, updated=0, duplicate=0, conflicting=0)
    assert second == Imported(new=0, updated=80, duplicate=0, conflicting=0)
    assert (collection.notes, collection.cards) == (Card.objects.count(), Face.objects.count()) == (80, 100)
    assert collection.rows("SELECT count(*) FROM notes WHERE flds LIKE '%edited%'") == [[20]]
    assert collection.rows("SELECT guid FROM notes GROUP BY guid HAVING count(*) > 1") == []
