"""A stale card is replaced by a proposal: it keeps its log, and its schedule or not, as the student says."""

import uuid

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from study.models import Card, Face, StudyEvent
from tests.study.conftest import CARDS, columns_of, folded_anew
from tests.study.making import blocks_of, edit, make_cards, topic_with

TEXT = "A stack is a list with one end.\n\nA queue is a list with two ends.\n"
EDITED = TEXT.replace("one end", "one open end")
DECIDE = f"{CARDS}decide/"


@pytest.fixture
def topic_id(transactional_db, alice) -> int:
    return topic_with(alice, TEXT)


@pytest.fixture
def card(alice, alice_client, send, topic_id, offline, clock, review) -> Card:
    """Reviewed twice, tagged, and stale since."""
    (made, _) = make_cards(alice_client, topic_id, kinds=["basic"])["result"]["cards"]
    send(alice_client, "post", DECIDE, {"accept": [made["id"]]})
    send(alice_client, "patch", f"{CARDS}{made['id']}/", {"tags": ["exam"]})
    card = Card.objects.get(pk=made["id"])
    clock.forward(days=1)
    review(card, "good")
    clock.forward(days=1)
    review(card, "easy")
    edit(alice, topic_id, EDITED)
    card.refresh_from_db()
    assert card.stale
    return card


@pytest.fixture
def replacement(alice_client, topic_id, card) -> dict:
    """What is proposed in place of the card, as the API shows it."""
    (made,) = make_cards(alice_client, topic_id, kinds=["basic"])["result"]["cards"]
    return alice_client.get(f"{CARDS}{made['id']}/").json()


def test_what_is_made_of_a_changed_passage_is_to_replace_its_stale_card(card, replacement):
    assert (replacement["replaces"], replacement["state"]) == (str(card.pk), "proposed")
    assert replacement["back"] == "A stack is a list with one open end."


def test_an_accepted_replacement_keeps_id_schedule_tags_and_log(alice, alice_client, send, topic_id, card, replacement):
    before = columns_of(card)
    log = list(StudyEvent.objects.values_list("pk", "kind"))

    response = send(alice_client, "post", DECIDE, {"accept": [replacement["id"]]})

    assert response.status_code == 200
    (shown,) = response.json()["cards"]
    assert (shown["id"], shown["state"], shown["reps"]) == (str(card.pk), "review", 2)
    assert (shown["back"], shown["tags"]) == ("A stack is a list with one open end.", ["exam"])
    assert (shown["stale"], shown["replaces"], shown["version"]) == (False, None, card.version + 1)
    assert shown == alice_client.get(f"{CARDS}{card.pk}/").json()
    assert columns_of(card) == before == folded_anew(card)
    assert list(StudyEvent.objects.values_list("pk", "kind")) == log
    assert alice_client.get(f"{CARDS}{replacement['id']}/").status_code == 404
    assert Card.objects.get(pk=card.pk).block_text == blocks_of(alice, topic_id)[0].text
    edit(alice, topic_id, TEXT)
    assert Card.objects.get(pk=card.pk).stale  # it is compared with the text that it was replaced from


def test_its_schedule_begins_anew_if_the_student_says_so(alice_client, send, card, replacement):
    body = {"accept": [replacement["id"]], "schedule": {replacement["id"]: "reset"}}

    (shown,) = send(alice_client, "post", DECIDE, body).json()["cards"]

    assert (shown["id"], shown["state"], shown["reps"], shown["due_at"]) == (str(card.pk), "new", 0, None)
    assert list(StudyEvent.objects.order_by("pk").values_list("kind", flat=True)) == ["review", "review", "reset"]
    assert columns_of(card) == folded_anew(card)


def test_a_rejected_replacement_leaves_the_card_as_it_is(alice_client, send, card, replacement):
    response = send(alice_client, "post", DECIDE, {"reject": [replacement["id"]]})

    assert (response.status_code, response.json()["cards"]) == (200, [])
    unchanged = Card.objects.get(pk=card.pk)
    assert (unchanged.back, unchanged.stale, unchanged.version) == (card.back, True, card.version)


def test_without_the_card_that_it_was_to_replace_it_is_a_new_one(alice_client, send, card, replacement):
    send(alice_client, "delete", f"{CARDS}{card.pk}/")

    (shown,) = send(alice_client, "post", DECIDE, {"accept": [replacement["id"]]}).json()["cards"]

    assert (shown["id"], shown["state"], shown["replaces"]) == (replacement["id"], "new", None)
    assert StudyEvent.objects.filter(card_id=card.pk).count() == 2


def test_of_two_replacements_of_one_card_the_second_is_a_card_of_its_own(
    alice, alice_client, send, topic_id, card, replacement
):
    edit(alice, topic_id, EDITED.replace("open", "wide open"))
    (second, *_) = make_cards(alice_client, topic_id, kinds=["basic"])["result"]["cards"]

    response = send(alice_client, "post", DECIDE, {"accept": [second["id"], replacement["id"]]})

    assert [(shown["id"], shown["state"], shown["stale"]) for shown in response.json()["cards"]] == [
        (str(card.pk), "review", False),
        (replacement["id"], "new", True),
    ]


def test_a_card_with_other_deletions_gets_the_faces_of_the_new_text(
    alice, alice_client, send, transactional_db, offline, clock, review
):
    topic_id = topic_with(alice, "A call puts a **frame** on the call **stack** and runs.\n")
    (made,) = make_cards(alice_client, topic_id, kinds=["cloze"])["result"]["cards"]
    send(alice_client, "post", DECIDE, {"accept": [made["id"]]})
    card = Card.objects.get(pk=made["id"])
    clock.forward(days=1)
    review(card, face=1)
    edit(alice, topic_id, "A call puts one **frame** on the **call** **stack** and then runs.\n")
    (new,) = make_cards(alice_client, topic_id, kinds=["cloze"])["result"]["cards"]

    (shown,) = send(alice_client, "post", DECIDE, {"accept": [new["id"]]}).json()["cards"]

    assert [(face["n"], face["state"]) for face in shown["faces"]] == [(1, "learning"), (2, "new"), (3, "new")]
    assert columns_of(card) == folded_anew(card)
    assert set(Face.objects.values_list("card", "has_siblings", "active")) == {(card.pk, True, True)}


@pytest.mark.parametrize(
    ("schedule", "pointer", "code"),
    [
        ({"{id}": "maybe"}, "/schedule/{id}", "invalid_choice"),
        ({"{id}": None}, "/schedule/{id}", "null"),
        ({"x": "keep"}, "/schedule/x", "invalid"),
        ({str(uuid.UUID(int=1)): "keep"}, f"/schedule/{uuid.UUID(int=1)}", "not_accepted"),
        ([], "/schedule", "not_a_dict"),
        (None, "/schedule", "null"),
        ({str(uuid.UUID(int=n)): "keep" for n in range(501)}, "/schedule", "too_many"),
    ],
)
def test_a_schedule_is_kept_or_reset_for_an_accepted_card(alice_client, send, db, schedule, pointer, code):
    card_id = str(uuid.uuid4())
    named = (
        {key.format(id=card_id): value for key, value in schedule.items()} if isinstance(schedule, dict) else schedule
    )

    response = send(alice_client, "post", DECIDE, {"accept": [card_id], "schedule": named})

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [
        (pointer.format(id=card_id), code)
    ]


@pytest.mark.parametrize("count", [1, 10])
def test_a_decision_costs_the_same_for_any_number(alice, alice_client, send, db, warm, count):
    old = [_card(alice, stale=True) for _ in range(count)]
    new = [_card(alice, proposed=True, replaces=one.pk) for one in old]
    plain = [_card(alice, proposed=True) for _ in range(2 * count)]
    body = {
        "accept": [str(one.pk) for one in [*new, *plain[:count]]],
        "reject": [str(one.pk) for one in plain[count:]],
        "schedule": {str(one.pk): "reset" for one in new},
    }
    warm(alice_client)

    with CaptureQueriesContext(connection) as queries:
        response = send(alice_client, "post", DECIDE, body)

    assert [card["id"] for card in response.json()["cards"]] == [str(one.pk) for one in [*old, *plain[:count]]]
    # The lock, what is replaced, cards with faces; texts, log and faces of the replaced; what is deleted, what is new;
    # the sums of what changes before and after it, and their places in the settings.
    assert len(queries) == 20


def _card(alice, **values) -> Card:
    card = Card.objects.create(user=alice, front="q", back="a", block_id="b", **values)
    Face.objects.create(card=card, user=alice, n=1, created_at=card.created_at, active=not card.proposed)
    return card
