"""How many cards a student may keep, and how much these may take."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import genanki
import pytest
from django.db import connection

from study import services
from study.models import Card, Face, StudyEvent, StudySettings
from study.services import Review
from study.services.budgets import FACE_BYTES
from study.services.settings import update_settings
from tests.conftest import client_of
from tests.notes.imports.helpers import outcomes, report_of
from tests.study.anki_decks import BASIC, package
from tests.study.conftest import CARDS
from tests.study.making import blocks_of, edit, make_cards, topic_with
from tests.study.test_account_files import add_card, export_of
from tests.study.test_account_files import report_of as report_of_account


def counted(user: Any) -> tuple[int | None, int | None]:
    return StudySettings.objects.values_list("card_count", "card_bytes").get(pk=user.pk)


def recounted(user: Any) -> tuple[int, int]:
    cards = list(Card.objects.filter(user=user))
    texts = ("".join([card.front, card.back, card.block_text, *card.tags]) for card in cards)
    faces = Face.objects.filter(card__user=user).count()
    return len(cards), sum(len(text.encode()) for text in texts) + FACE_BYTES * faces


def problem(response: Any) -> tuple[Any, ...]:
    return response.status_code, *(response.json().get(name) for name in ("code", "limit", "used", "left"))


def body(**data: Any) -> dict[str, Any]:
    return {"front": "q", "back": "a", **data}


def test_one_card_more_than_a_student_may_have_is_refused(alice, alice_client, send, settings):
    settings.CARDS_PER_USER = 2
    paths = [send(alice_client, "post", CARDS, body())["Location"] for _ in range(2)]

    refused = send(alice_client, "post", CARDS, body())

    assert problem(refused) == (409, "too_many_cards", 2, 2, 0)
    assert (Card.objects.count(), counted(alice)) == (2, (2, 2 * (FACE_BYTES + 2)))
    send(alice_client, "delete", paths[0])
    assert send(alice_client, "post", CARDS, body()).status_code == 201


def test_cards_take_so_many_bytes_and_no_more(alice, alice_client, send, settings):
    settings.CARD_BYTES_PER_USER = FACE_BYTES + 10
    path = send(alice_client, "post", CARDS, body(front="é" * 3, back="", tags=["ab"]))["Location"]
    assert counted(alice) == (1, FACE_BYTES + 8)

    longer = send(alice_client, "patch", path, {"back": "abc"})
    fitting = send(alice_client, "patch", path, {"back": "ab"})
    second = send(alice_client, "post", CARDS, body())

    assert problem(longer) == (413, "cards_full", FACE_BYTES + 10, FACE_BYTES + 8, 2)
    assert fitting.status_code == 200
    assert problem(second) == (413, "cards_full", FACE_BYTES + 10, FACE_BYTES + 10, 0)
    assert counted(alice) == recounted(alice) == (1, FACE_BYTES + 10)


def test_each_deletion_of_a_cloze_card_counts(alice, alice_client, send, settings):
    settings.CARD_BYTES_PER_USER = 3 * FACE_BYTES
    three = body(kind="cloze", front="{{c1::a}} {{c2::b}} {{c3::c}}", back="")

    assert send(alice_client, "post", CARDS, three).status_code == 413
    assert send(alice_client, "post", CARDS, three | {"front": "{{c1::a}} {{c2::b}}"}).status_code == 201


def test_who_has_too_much_may_still_write_what_does_not_grow(alice, alice_client, send, settings):
    path = send(alice_client, "post", CARDS, body(back="long"))["Location"]
    settings.CARDS_PER_USER, settings.CARD_BYTES_PER_USER = 0, 1

    assert send(alice_client, "patch", path, {"back": "less"}).status_code == 200
    assert send(alice_client, "patch", path, {"back": ""}).status_code == 200
    assert send(alice_client, "delete", path).status_code == 204
    assert counted(alice) == (0, 0)


def test_another_students_cards_do_not_count(alice, charlie, charlie_client, send, settings):
    settings.CARDS_PER_USER = 1
    add_card(alice)

    assert send(charlie_client, "post", CARDS, body()).status_code == 201


def test_the_count_follows_every_write(alice, alice_client, send):
    topic_id = topic_with(alice, "One passage of this text.\n\nAnother one.\n")
    block = blocks_of(alice, topic_id)[0].id
    update_settings(user_id=alice.pk, changes={"learning_steps": [], "relearning_steps": []})

    def check() -> None:
        assert counted(alice) == recounted(alice)

    tied = add_card(alice, topic_id=topic_id, block_id=block)
    check()
    edit(alice, topic_id, "One longer passage of this text.\n\nAnother one.\n")
    check()
    services.confirm_card(user_id=alice.pk, card_id=tied.pk)
    check()
    services.update_card(user_id=alice.pk, card_id=tied.pk, changes={"kind": "reversed", "tags": []})
    check()
    [stale] = services.propose_cards(user_id=alice.pk, cards=[{"kind": "basic", "front": "p", "back": "1", "tags": []}])
    [other] = services.propose_cards(user_id=alice.pk, cards=[{"kind": "basic", "front": "p", "back": "2", "tags": []}])
    Card.objects.filter(pk=stale.card.pk).update(replaces=tied.pk)
    check()
    services.decide_cards(user_id=alice.pk, accept=[stale.card.pk], reject=[other.card.pk])
    check()
    for number in range(18):  # a leech gets a tag
        at = Card.objects.get(pk=tied.pk).created_at
        review = Review(uuid4(), tied.pk, 1, "again" if number % 2 else "good", at, None)
        services.record_reviews(user_id=alice.pk, reviews=[review])
    assert Card.objects.get(pk=tied.pk).tags == ["leech"]
    check()
    services.delete_card(user_id=alice.pk, card_id=tied.pk)
    check()
    assert counted(alice) == (0, 0)
    assert StudyEvent.objects.count() == 18


def test_cards_from_before_there_were_limits_are_counted_when_a_write_needs_it(alice, settings):
    for _ in range(3):
        add_card(alice)
    StudySettings.objects.update(card_count=None, card_bytes=None)
    settings.CARDS_PER_USER = 3

    with pytest.raises(services.TooManyCards) as refused:
        add_card(alice)

    assert refused.value.extra == {"limit": 3, "used": 3, "left": 0}
    services.delete_card(user_id=alice.pk, card_id=Card.objects.first().pk)
    assert counted(alice) == recounted(alice)


def test_a_hundred_thousand_cards_of_2_kb_fit(alice):
    """With the settings as they are."""
    size = FACE_BYTES + 2_000
    add_card(alice)
    StudySettings.objects.update(card_count=99_999, card_bytes=99_999 * size)

    add_card(alice, front="x" * 1_000, back="y" * 1_000, tags=[])

    assert counted(alice) == (100_000, 100_000 * size)


@pytest.mark.django_db(transaction=True)
def test_two_requests_at_once_do_not_pass_the_limit_together(alice, settings):
    settings.CARDS_PER_USER = 3

    def create(_: int) -> int:
        try:
            return client_of(alice).post(CARDS, body(), format="json").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as threads:
        statuses = sorted(threads.map(create, range(8)))

    assert statuses == [201] * 3 + [409] * 5
    assert Card.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_proposals_that_do_not_fit_are_kept_in_the_answer_only(alice, alice_client, settings, offline):
    settings.CARDS_PER_USER = 1
    topic_id = topic_with(alice, "A stack is a list with one end.\n\nA queue is a list with two ends.\n")

    task = make_cards(alice_client, topic_id)

    notice = "The cards were not saved. The limit of cards is reached. Delete some first."
    assert (task["status"], task["result"]["notice"], task["result"]["cards"]) == ("succeeded", notice, [])
    assert "stack" in task["result"]["content"]
    assert not Card.objects.exists()


def test_a_deck_of_anki_that_does_not_fit_is_refused_whole(alice, alice_client, tmp_path, files, settings):
    settings.CARDS_PER_USER = 4
    deck = package(tmp_path, [genanki.Note(model=BASIC, fields=[f"q{n}", "a"]) for n in range(5)])

    job = report_of(alice_client, "deck.apkg", deck)

    assert outcomes(job) == [("deck.apkg", "failed")]
    assert job["report"]["files"][0]["warnings"] == ["The limit of cards is reached. Delete some first."]
    assert not Card.objects.exists()
    settings.CARDS_PER_USER = 5
    assert outcomes(report_of(alice_client, "deck.apkg", deck)) == [("deck.apkg", "created")]
    assert outcomes(report_of(alice_client, "deck.apkg", deck)) == [("deck.apkg", "unchanged")]
    assert counted(alice) == recounted(alice)


def test_an_accounts_cards_that_do_not_fit_are_refused_whole(alice, charlie, files, settings):
    for _ in range(3):
        add_card(alice)
    settings.CARDS_PER_USER = 2

    report = report_of_account(charlie, export_of(alice))

    told = ["The limit of cards is reached. Delete some first."]
    assert report["study_cards.json"] == ("failed", told)
    assert not Card.objects.filter(user=charlie).exists()
    assert "card_count" not in json.dumps(report)
