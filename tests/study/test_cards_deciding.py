"""Proposed cards are accepted or rejected."""

from uuid import UUID, uuid4

import pytest

from study.models import Card, Face
from study.services import propose_cards
from tests.study.conftest import CARDS
from tests.study.quizzing import problems


@pytest.fixture
def proposed(alice) -> list[str]:
    made = propose_cards(user_id=alice.pk, cards=[{"front": f"q{n}", "back": "a"} for n in range(3)])
    return [str(one.card.pk) for one in made]


def test_what_is_accepted_is_new_and_what_is_rejected_is_gone(alice_client, send, proposed):
    first, second, third = proposed
    assert {card["state"] for card in alice_client.get(CARDS).json()["results"]} == {"proposed"}

    response = send(alice_client, "post", f"{CARDS}decide/", {"accept": [third, first], "reject": [second]})

    assert response.status_code == 200
    assert [(card["id"], card["state"], card["version"]) for card in response.json()["cards"]] == [
        (third, "new", 2),
        (first, "new", 2),
    ]
    assert {card["id"] for card in alice_client.get(CARDS).json()["results"]} == {first, third}
    assert set(Face.objects.values_list("active", flat=True)) == {True}


def test_a_decided_card_is_not_decided_again(alice_client, send, proposed):
    send(alice_client, "post", f"{CARDS}decide/", {"accept": [proposed[0]]})

    response = send(alice_client, "post", f"{CARDS}decide/", {"accept": [proposed[1]], "reject": [proposed[0]]})

    assert (response.status_code, response.json()["code"]) == (409, "card_decided")
    assert problems(response) == [("/reject/0", "card_decided")]
    assert Card.objects.filter(proposed=True).count() == 2


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "required"),
        ({"accept": [], "reject": []}, "", "required"),
        ({"accept": ["x"]}, "/accept/0", "invalid"),
        ({"accept": [str(UUID(int=1))] * 2}, "/accept/1", "duplicate"),
        ({"accept": [str(UUID(int=1))], "reject": [str(UUID(int=1))]}, "/reject/0", "duplicate"),
        ({"accept": [str(UUID(int=1))] * 501}, "/accept", "max_length"),
    ],
)
def test_a_decision_names_each_card_once(alice_client, send, body, pointer, code):
    response = send(alice_client, "post", f"{CARDS}decide/", body)

    assert (response.status_code, problems(response)) == (400, [(pointer, code)])


def test_nobody_decides_about_anothers_cards(charlie_client, send, proposed):
    theirs = send(charlie_client, "post", f"{CARDS}decide/", {"reject": proposed[:1]}, X_Request_ID="1")
    none = send(charlie_client, "post", f"{CARDS}decide/", {"reject": [str(uuid4())]}, X_Request_ID="1")

    assert (theirs.status_code, problems(theirs)) == (404, [("/reject/0", "not_found")])
    assert theirs.content == none.content
    assert Card.objects.count() == 3
