"""Reviews are recorded once, in whatever order they come, and the schedules are a fold over them."""

from datetime import timedelta
from uuid import uuid4

import pytest

from study.models import Card, Face, StudyEvent
from tests.factories import CardFactory
from tests.study.conftest import CARDS, REVIEWS, SETTINGS, body, columns_of, folded_anew, outcomes


def test_a_review_moves_its_card(alice_client, send, card, clock):
    clock.forward(minutes=5)
    one = body(card, at=clock.now, duration_ms=4200)

    response = send(alice_client, "post", REVIEWS, {"reviews": [one]})

    assert response.json()["results"] == [{"id": one["id"], "outcome": "recorded"}]
    [shown] = response.json()["cards"]
    assert shown == alice_client.get(f"{CARDS}{card.pk}/").json()
    assert (shown["state"], shown["reps"], shown["lapses"], shown["version"]) == ("learning", 1, 0, 2)
    assert shown["due_at"] == "2026-03-02T10:15:00.000000Z"
    event = StudyEvent.objects.get()
    assert (event.rating, event.duration_ms, event.reviewed_at, event.predicted) == ("good", 4200, clock.now, None)
    assert event.settings == {
        "desired_retention": 0.9, "learning_steps": [60, 600], "relearning_steps": [600], "time_zone": "UTC",
        "day_starts_at": "04:00",
    }  # fmt: skip


def test_a_review_sent_again_is_a_duplicate(alice_client, send, card, clock):
    one = body(card, at=clock.forward(minutes=1), duration_ms=700_000)

    first = send(alice_client, "post", REVIEWS, {"reviews": [one, one]})
    second = send(alice_client, "post", REVIEWS, {"reviews": [one]})

    assert (outcomes(first), outcomes(second)) == ([("recorded", None), ("duplicate", None)], [("duplicate", None)])
    assert first.json()["cards"] == second.json()["cards"]
    assert StudyEvent.objects.get().duration_ms == 600_000


@pytest.mark.parametrize(
    "other", [{"rating": "again"}, {"reviewed_at": "2026-03-02T10:00:59Z"}, {"duration_ms": 5}, {"face": 2}]
)
def test_an_id_with_other_content_is_refused(alice, alice_client, send, clock, other):
    card = CardFactory(user=alice, kind="reversed")
    one = body(card, at=clock.forward(minutes=1))
    send(alice_client, "post", REVIEWS, {"reviews": [one]})
    before = columns_of(card)

    response = send(alice_client, "post", REVIEWS, {"reviews": [{**one, **other}]})

    assert outcomes(response) == [("rejected", "id_reused")]
    assert columns_of(card) == before


def test_what_cannot_be_recorded_holds_up_no_other(alice, charlie, alice_client, send, card, clock):
    created = clock.now
    theirs = CardFactory(user=charlie)
    clock.forward(days=400)
    reviews = [
        body(theirs, at=clock.now),
        body(card, at=created - timedelta(microseconds=1)),
        body(card, at=created),  # over a year old
        body(card, at=clock.now, face=2),
        body(card, at=clock.now),
    ]

    response = send(alice_client, "post", REVIEWS, {"reviews": reviews})

    assert outcomes(response) == [
        ("rejected", "card_not_found"),
        ("rejected", "reviewed_at_out_of_range"),
        ("rejected", "reviewed_at_out_of_range"),
        ("rejected", "face_not_found"),
        ("recorded", None),
    ]
    assert [shown["id"] for shown in response.json()["cards"]] == [str(card.pk)]
    assert Face.objects.get(card=theirs.pk).state == "new"


def test_no_review_is_older_than_its_card(alice_client, send, card, clock):
    created = clock.now
    clock.forward(minutes=1)

    response = send(
        alice_client,
        "post",
        REVIEWS,
        {"reviews": [body(card, at=created - timedelta(microseconds=1)), body(card, at=created)]},
    )

    assert outcomes(response) == [("rejected", "reviewed_at_out_of_range"), ("recorded", None)]


def test_a_review_that_comes_late_takes_its_place(alice_client, send, card, clock):
    early, late = (
        body(card, rating, at=clock.now + timedelta(days=days)) for days, rating in ((1, "again"), (5, "good"))
    )
    clock.forward(days=6)

    for one in (late, early):
        assert outcomes(send(alice_client, "post", REVIEWS, {"reviews": [one]})) == [("recorded", None)]

    assert columns_of(card) == folded_anew(card)
    assert Face.objects.get().introduced_at == clock.now - timedelta(days=5)


def test_a_card_that_is_not_decided_takes_no_review(alice_client, send, card, clock):
    Card.objects.update(proposed=True)

    response = send(alice_client, "post", REVIEWS, {"reviews": [body(card, at=clock.now)]})

    assert outcomes(response) == [("rejected", "card_not_decided")]


def test_a_clock_that_is_ahead_counts_as_the_servers(alice_client, send, card, clock):
    one = body(card, at=clock.now + timedelta(days=3))

    first = send(alice_client, "post", REVIEWS, {"reviews": [one]})
    recorded_at = clock.now
    clock.forward(hours=1)
    again = send(alice_client, "post", REVIEWS, {"reviews": [one]})

    assert (outcomes(first), outcomes(again)) == ([("recorded", None)], [("duplicate", None)])
    assert StudyEvent.objects.get().reviewed_at == recorded_at


def test_two_users_may_use_one_id(alice, charlie, alice_client, charlie_client, send, clock):
    mine, theirs = CardFactory(user=alice), CardFactory(user=charlie)
    one = body(mine, at=clock.now)
    send(alice_client, "post", REVIEWS, {"reviews": [one]})

    response = send(charlie_client, "post", REVIEWS, {"reviews": [{**one, "card_id": str(theirs.pk)}]})

    assert outcomes(response) == [("recorded", None)]


@pytest.mark.parametrize(
    ("wrong", "pointer", "code"),
    [
        ({"id": 7}, "/reviews/0/id", "invalid"),
        ({"id": "x"}, "/reviews/0/id", "invalid"),
        ({"card_id": "x"}, "/reviews/0/card_id", "invalid"),
        ({"rating": "fine"}, "/reviews/0/rating", "invalid_choice"),
        ({"rating": 3}, "/reviews/0/rating", "invalid_choice"),
        ({"reviewed_at": "yesterday"}, "/reviews/0/reviewed_at", "invalid"),
        ({"reviewed_at": "0001-01-01T00:00:00+14:00"}, "/reviews/0/reviewed_at", "overflow"),
        ({"reviewed_at": 5}, "/reviews/0/reviewed_at", "invalid"),
        ({"duration_ms": -1}, "/reviews/0/duration_ms", "min_value"),
        ({"duration_ms": "1"}, "/reviews/0/duration_ms", "invalid"),
        ({"face": 0}, "/reviews/0/face", "min_value"),
        ({"ease": 1}, "/reviews/0/ease", "unknown_field"),
    ],
)
def test_a_malformed_review_refuses_the_request(alice_client, send, card, clock, wrong, pointer, code):
    response = send(alice_client, "post", REVIEWS, {"reviews": [{**body(card, at=clock.now), **wrong}]})

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [(pointer, code)]


@pytest.mark.parametrize(("count", "code"), [(0, "empty"), (101, "too_many")])
def test_a_batch_has_one_to_a_hundred_reviews(alice_client, send, card, clock, count, code):
    response = send(alice_client, "post", REVIEWS, {"reviews": [body(card, at=clock.now) for _ in range(count)]})

    assert response.status_code == 400
    assert [error["code"] for error in response.json()["errors"]] == [code]


def test_a_changed_setting_acts_from_the_next_review_on(alice, alice_client, send, card, clock, review):
    for _ in range(3):
        review(card)
        clock.forward(days=4)
    before = columns_of(card)

    response = send(
        alice_client, "patch", SETTINGS, {"desired_retention": 0.75, "relearning_steps": [], "time_zone": "Asia/Tokyo"}
    )

    assert response.status_code == 200
    assert columns_of(card) == before == folded_anew(card)
    review(card, "again")
    assert alice_client.get(f"{CARDS}{card.pk}/").json()["state"] == "review"  # no relearning steps
    assert columns_of(card) == folded_anew(card)


# --- Cost -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 10, 100])
def test_reviews_cost_the_same_for_any_number(alice, alice_client, send, clock, count, warm, django_assert_num_queries):
    cards = [CardFactory(user=alice, kind="reversed") for _ in range(count)]
    warm(alice_client)
    reviews = [body(card, at=clock.now) for card in cards]

    # SAVEPOINT, the settings, known ids, cards with faces, all that is written, RELEASE
    with django_assert_num_queries(6):
        response = send(alice_client, "post", REVIEWS, {"reviews": reviews})

    assert outcomes(response) == [("recorded", None)] * count
    clock.forward(minutes=1)
    before = [body(card, at=clock.now - timedelta(seconds=61)) for card in cards]
    Card.objects.update(created_at=clock.now - timedelta(days=1))
    with django_assert_num_queries(7):  # the logs of all besides
        send(alice_client, "post", REVIEWS, {"reviews": before})


def test_what_is_due_and_reviews_count_against_a_limit_of_their_own(alice_client, send, card, clock, settings):
    rates = {"burst": "2/min", "sustained": "1000/day", "ai_tools": None, "poll": None, "study": "3/min", "login": None}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}

    answers = [
        alice_client.get("/api/study/due/"),
        send(alice_client, "post", REVIEWS, {"reviews": [body(card, at=clock.now)]}),
        send(alice_client, "post", f"{REVIEWS}{uuid4()}/undo/"),
        alice_client.get("/api/study/due/"),
        alice_client.get(CARDS),
        alice_client.get("/api/study/stats/"),
        alice_client.get(SETTINGS),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 429, 200, 200, 429]
    assert answers[0]["RateLimit-Policy"] == '"study";q=3;w=60'
    assert answers[3].json()["scope"] == "study"
