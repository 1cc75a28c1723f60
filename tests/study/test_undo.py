"""Reviews that are taken back, and cards that are forgotten again and again."""

from uuid import uuid4

import pytest

from study.models import Card, Face, StudyEvent
from study.services import suspend_card, update_settings
from tests.study.conftest import CARDS, REVIEWS, body, columns_of, folded_anew, outcomes


def test_an_undone_review_leaves_the_card_as_it_was(alice_client, send, card, clock, review):
    review(card)
    clock.forward(days=1)
    before = columns_of(card)
    last = review(card, "again")

    response = send(alice_client, "post", f"{REVIEWS}{last}/undo/")

    assert response.status_code == 200
    assert response.json() == alice_client.get(f"{CARDS}{card.pk}/").json()
    assert columns_of(card) == before == folded_anew(card)
    assert [event.kind for event in StudyEvent.objects.order_by("id")] == ["review", "review", "undo"]


def test_a_review_is_undone_once_and_stays_known(alice_client, send, card, clock):
    one = body(card, at=clock.now)
    send(alice_client, "post", REVIEWS, {"reviews": [one]})
    send(alice_client, "post", f"{REVIEWS}{one['id']}/undo/")

    again = send(alice_client, "post", f"{REVIEWS}{one['id']}/undo/")
    sent_again = send(alice_client, "post", REVIEWS, {"reviews": [one]})

    assert (again.status_code, again.json()["code"]) == (409, "already_undone")
    assert outcomes(sent_again) == [("duplicate", None)]
    assert sent_again.json()["cards"][0]["state"] == "new"


def test_only_the_last_live_review_is_undone(alice_client, send, card, clock, review):
    first = review(card)
    clock.forward(minutes=10)
    second = review(card)

    refused = send(alice_client, "post", f"{REVIEWS}{first}/undo/")
    send(alice_client, "post", f"{REVIEWS}{second}/undo/")
    allowed = send(alice_client, "post", f"{REVIEWS}{first}/undo/")

    assert (refused.status_code, refused.json()["code"]) == (409, "not_the_last_review")
    assert (allowed.status_code, allowed.json()["state"]) == (200, "new")


def test_a_review_before_a_reset_is_not_the_last(alice_client, send, card, clock, review):
    first = review(card)
    clock.forward(minutes=10)
    send(alice_client, "post", f"{CARDS}{card.pk}/reset/")

    assert send(alice_client, "post", f"{REVIEWS}{first}/undo/").status_code == 409


def test_a_stranger_undoes_nothing(charlie_client, send, card, review):
    mine = review(card)

    theirs = send(charlie_client, "post", f"{REVIEWS}{mine}/undo/", X_Request_ID="1")
    none = send(charlie_client, "post", f"{REVIEWS}{uuid4()}/undo/", X_Request_ID="1")

    assert theirs.status_code == none.status_code == 404
    assert theirs.content == none.content


# --- Leeches ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def leech(card, clock, review):
    """The card, made a leech, and the last review of it."""
    update_settings(user_id=card.user_id, changes={"learning_steps": [], "relearning_steps": []})
    for _ in range(8):
        review(card)
        clock.forward(days=1)
        last = review(card, "again")
        clock.forward(days=1)
    return card, last


def suspended(card) -> tuple[bool, bool]:
    """Whether the card is suspended, and whether it is in the queue."""
    return Card.objects.get(pk=card.pk).suspended, Face.objects.get(card=card.pk).active


def test_a_card_that_was_suspended_before_it_became_a_leech_stays_so(alice_client, send, card, clock, review):
    update_settings(user_id=card.user_id, changes={"learning_steps": [], "relearning_steps": []})
    for number in range(8):
        review(card)
        clock.forward(days=1)
        if number == 7:
            suspend_card(user_id=card.user_id, card_id=card.pk, suspended=True)
        last = review(card, "again")
        clock.forward(days=1)

    undone = send(alice_client, "post", f"{REVIEWS}{last}/undo/").json()

    assert (undone["lapses"], undone["suspended"], undone["tags"]) == (7, True, [])
    assert suspended(card) == (True, False)


@pytest.mark.parametrize("first", [True, False], ids=["at once", "after it was taken back"])
def test_a_leech_that_the_student_suspends_besides_stays_so(alice_client, send, leech, first):
    card, last = leech
    version = Card.objects.get(pk=card.pk).version
    for wanted in [True] if first else [False, True]:
        suspend_card(user_id=card.user_id, card_id=card.pk, suspended=wanted)
    assert Card.objects.get(pk=card.pk).version == version + (0 if first else 2)

    undone = send(alice_client, "post", f"{REVIEWS}{last}/undo/").json()

    assert (undone["lapses"], undone["suspended"], undone["tags"]) == (7, True, [])


def test_a_leech_that_the_student_goes_on_with_is_not_suspended_by_undoing(alice_client, send, leech):
    card, last = leech
    suspend_card(user_id=card.user_id, card_id=card.pk, suspended=False)

    send(alice_client, "post", f"{REVIEWS}{last}/undo/")

    assert suspended(card) == (False, True)


def test_a_leech_of_four_lapses_more_is_as_suspended_as_before_when_they_are_undone(
    alice_client, send, leech, clock, review
):
    card, _ = leech
    suspend_card(user_id=card.user_id, card_id=card.pk, suspended=False)
    for _ in range(4):
        review(card)
        clock.forward(days=1)
        last = review(card, "again")
        clock.forward(days=1)
    assert suspended(card) == (True, False)

    undone = send(alice_client, "post", f"{REVIEWS}{last}/undo/").json()

    assert (undone["lapses"], undone["suspended"], undone["tags"]) == (11, False, ["leech"])


def test_a_card_that_is_forgotten_again_and_again_is_suspended_until_that_is_undone(
    alice_client, send, card, clock, review
):
    update_settings(user_id=card.user_id, changes={"learning_steps": [], "relearning_steps": []})
    for _ in range(8):
        review(card)
        clock.forward(days=1)
        seen = alice_client.get(f"{CARDS}{card.pk}/").json()
        assert (seen["suspended"], seen["tags"]) == (False, [])
        last = review(card, "again")
        clock.forward(days=1)

    leech = alice_client.get(f"{CARDS}{card.pk}/").json()
    assert (leech["lapses"], leech["suspended"], leech["tags"]) == (8, True, ["leech"])
    assert not Face.objects.get().active
    undone = send(alice_client, "post", f"{REVIEWS}{last}/undo/").json()
    assert (undone["lapses"], undone["suspended"], undone["tags"]) == (7, False, [])
    assert Face.objects.get().active
