"""A student studies while a deck is imported: reviews do not wait for it, and both come together in the log."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any
from uuid import uuid4

import genanki
import pytest
from django.db import OperationalError, connection, transaction
from django.utils import timezone

from accounts.models import User
from notes.importers import FileReport, ImportContext, SourceFile
from study.anki import importing
from study.models import Card, Face, StudyEvent, StudySettings
from study.services import Review, create_card, delete_card, record_reviews, suspend_card
from tests.database_faults import own_connection
from tests.study.anki_decks import BASIC, package
from tests.study.conftest import columns_of, folded_anew

pytestmark = pytest.mark.django_db(transaction=True)


def deck(folder: Path, *fronts: str, learned: str = "") -> bytes:
    notes = [genanki.Note(model=BASIC, fields=[front, "a"], guid=front) for front in fronts]
    return package(folder, notes, change=[f"UPDATE cards SET type=2, queue=2, {learned}"] if learned else [])


def import_deck(user: User, content: bytes) -> FileReport:
    with importing.import_package(ImportContext(user.pk), SourceFile("a.apkg", "a.apkg", lambda _: content)) as run:
        with transaction.atomic():
            return run()


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


def is_the_lock(sql: str) -> bool:
    """Whether a query waits for the user's cards."""
    return "study_studysettings" in sql and " FOR " in sql


@pytest.fixture
def meanwhile() -> Iterator[Callable[..., list[Any]]]:
    """Do something when only what needs the lock is left to be written, so often at most; what came of it."""
    with ExitStack() as watching:

        def set_up(do: Callable[[], Any], times: int = 1) -> list[Any]:
            results: list[Any] = []

            def run(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
                if is_the_lock(sql) and len(results) < times:
                    results.append(elsewhere(do))
                return execute(sql, *rest)

            watching.enter_context(connection.execute_wrapper(run))
            return results

        yield set_up


LATER = "ivl=20, due=20000, factor=2500, reps=4"
"""So late that it counts as reviewed in the moment of the import."""
ONCE = "ivl=20, due=3000, factor=2500, reps=4"


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


def reps() -> list[int]:
    return list(Face.objects.order_by("card__front").values_list("reps", flat=True))


def test_cards_that_are_here_are_brought_up_to_date_some_at_a_time(alice, tmp_path, files, meanwhile, monkeypatch):
    """Between the transactions others have the lock; and what is done is not done again."""
    monkeypatch.setattr(importing, "_LEARNED_AT_ONCE", 2)
    fronts = [f"q{n}" for n in range(5)]
    import_deck(alice, deck(tmp_path, *fronts))
    seen = meanwhile(reps, times=10)
    later = deck(tmp_path, *fronts, "new", learned=ONCE)

    report = import_deck(alice, later)

    assert seen == [[0, 0, 0, 0, 0], [4, 4, 0, 0, 0], [4, 4, 4, 4, 0], [4, 4, 4, 4, 4]]
    assert report.outcome == "created"
    assert report.warnings == [
        "Cards: 1 new, 5 that were here already.",
        "Cards that were here already, with later reviews: 5.",
    ]
    again = import_deck(alice, later)
    assert (again.outcome, again.warnings) == ("unchanged", ["Cards: 0 new, 6 that were here already."])
    assert StudyEvent.objects.count() == 6
    for card in Card.objects.all():
        assert columns_of(card) == folded_anew(card)


def test_an_import_that_is_ended_half_way_goes_on_where_it_was(alice, tmp_path, files, monkeypatch):
    monkeypatch.setattr(importing, "_LEARNED_AT_ONCE", 2)
    fronts = [f"q{n}" for n in range(5)]
    import_deck(alice, deck(tmp_path, *fronts))
    later = deck(tmp_path, *fronts, learned=ONCE)
    locks = count(1)

    def end_before_the_second_part(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if is_the_lock(sql) and next(locks) == 2:
            with own_connection() as operator:
                operator.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
        return execute(sql, *rest)

    with connection.execute_wrapper(end_before_the_second_part), pytest.raises(OperationalError):
        import_deck(alice, later)
    connection.close()
    assert (reps(), StudyEvent.objects.count()) == ([4, 4, 0, 0, 0], 2)

    report = import_deck(alice, later)

    assert "Cards that were here already, with later reviews: 3." in report.warnings
    assert (reps(), StudyEvent.objects.count()) == ([4] * 5, 5)


def test_a_deck_without_room_says_that_cards_which_are_here_were_brought_up_to_date(alice, tmp_path, files, settings):
    import_deck(alice, deck(tmp_path, "one"))
    settings.CARDS_PER_USER = 1

    report = import_deck(alice, deck(tmp_path, "one", "two", learned=LATER))

    assert report.outcome == "failed"
    assert report.warnings == [
        "The limit of cards is reached. Delete some first.",
        "Cards that were here already, with later reviews: 1.",
    ]
    assert reps() == [4]
    assert Card.objects.count() == 1


def test_a_dry_run_of_a_deck_changes_nothing_and_tells_the_same(alice, tmp_path, files):
    import_deck(alice, deck(tmp_path, "one"))
    later = SourceFile("a.apkg", "a.apkg", lambda _: deck(tmp_path, "one", "two", learned=LATER))

    with importing.import_package(ImportContext(alice.pk, dry_run=True), later) as run, transaction.atomic():
        report = run()
        transaction.set_rollback(True)  # as a dry run ends

    assert report.warnings == [
        "Cards: 1 new, 1 that were here already.",
        "Cards that were here already, with later reviews: 1.",
    ]
    assert reps() == [0]
    assert StudyEvent.objects.count() == 0
