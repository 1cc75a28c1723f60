"""A student studies while a deck is imported: reviews do not wait for it, and both come together in the log."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import genanki
import pytest
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from notes.importers import FileReport, ImportContext, SourceFile
from study.anki import importing
from study.models import Card, Face, StudyEvent, StudySettings
from study.services import Review, create_card, delete_card, record_reviews, suspend_card
from tests.study.anki_decks import BASIC, package
from tests.study.conftest import columns_of, folded_anew

pytestmark = pytest.mark.django_db(transaction=True)


def deck(folder: Path, *fronts: str, learned: str = "") -> bytes:
    notes = [genanki.Note(model=BASIC, fields=[front, "a"], guid=front) for front in fronts]
    return package(folder, notes, change=[f"UPDATE cards SET type=2, queue=2, {learned}"] if learned else [])


def import_deck(user: User, content: bytes) -> FileReport:
    with transaction.atomic():
        return importing.import_package(ImportContext(user.pk), SourceFile("a.apkg", "a.apkg", lambda _: content))


def elsewhere(do: Callable[[], Any]) -> Any:
    """What another process's request comes to. One that waits for this thread would wait for ever, and fails."""

    def run() -> Any:
        try:
            with transaction.atomic():
                connection.cursor().execute("SET LOCAL lock_timeout = '30s'")
                return do()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def review(card: Card) -> str:
    one = Review(uuid4(), card.pk, 1, "good", timezone.now(), 1000)
    [outcome], _ = record_reviews(user_id=card.user_id, reviews=[one])
    return outcome.outcome


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], list[Any]]:
    """Do something when all of the deck is written, but for what needs the lock; what came of it."""

    def set_up(do: Callable[[], Any]) -> list[Any]:
        real, results = importing._Writer.finish, []

        def finish(writer: Any) -> None:
            results.append(elsewhere(do))
            real(writer)

        monkeypatch.setattr(importing._Writer, "finish", finish)
        return results

    return set_up


LATER = "ivl=20, due=20000, factor=2500, reps=4"


def test_a_review_does_not_wait_for_the_cards_of_a_deck(alice, tmp_path, files, meanwhile):
    mine = create_card(user_id=alice.pk, data={"front": "q", "back": "a"}).card
    outcomes = meanwhile(lambda: review(mine))

    report = import_deck(alice, deck(tmp_path, "one", "two"))

    assert (report.outcome, outcomes) == ("created", ["recorded"])
    assert Card.objects.filter(user=alice).count() == 3
    assert StudySettings.objects.values_list("card_count", flat=True).get(pk=alice.pk) == 3


def test_a_card_that_is_reviewed_while_its_deck_is_imported_has_both(alice, tmp_path, files, meanwhile):
    import_deck(alice, deck(tmp_path, "one", "two"))
    one, two = Card.objects.order_by("created_at")
    before = timezone.now() - timedelta(days=1)
    Card.objects.update(created_at=before)
    outcomes = meanwhile(lambda: review(one))

    report = import_deck(alice, deck(tmp_path, "one", "two", learned=LATER))

    assert (report.outcome, outcomes) == ("updated", ["recorded"])
    events = StudyEvent.objects.filter(card_id=one.pk)
    assert sorted(events.values_list("kind", flat=True)) == ["baseline", "review"]
    assert Face.objects.get(card=two.pk).reps == 4
    for card in (one, two):
        assert columns_of(card) == folded_anew(card)
    assert list(Card.objects.order_by("front").values_list("version", flat=True)) == [3, 2]


def test_a_card_that_is_suspended_or_deleted_meanwhile_stays_so(alice, tmp_path, files, meanwhile):
    import_deck(alice, deck(tmp_path, "one", "two"))
    one, two = Card.objects.order_by("created_at")

    def change() -> None:
        suspend_card(user_id=alice.pk, card_id=one.pk, suspended=True)
        delete_card(user_id=alice.pk, card_id=two.pk)

    meanwhile(change)

    import_deck(alice, deck(tmp_path, "one", "two", learned=LATER))

    assert list(Card.objects.values_list("pk", "suspended")) == [(one.pk, True)]
    assert Face.objects.get().active is False
    assert columns_of(one) == folded_anew(one)
    assert Face.objects.get().reps == 4


def test_two_imports_of_one_deck_at_once_make_its_cards_once(alice, tmp_path, files):
    content = deck(tmp_path, *(f"q{n}" for n in range(20)))

    def run(_: int) -> str:
        try:
            return import_deck(alice, content).outcome
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        outcomes = sorted(threads.map(run, range(2)))

    assert outcomes == ["created", "unchanged"]
    assert Card.objects.count() == 20
