"""Settings of study, and its statistics."""

from datetime import timedelta

import pytest

from study.models import StudySettings
from study.services import propose_cards, update_settings
from tests.factories import CardFactory
from tests.study.conftest import REVIEWS, SETTINGS, STATS

DEFAULT = {
    "desired_retention": 0.9, "new_per_day": 20, "reviews_per_day": 200, "time_zone": "UTC", "day_starts_at": "04:00",
    "learning_steps": [60, 600], "relearning_steps": [600],
}  # fmt: skip


def test_settings_are_the_default_ones_until_they_are_changed(alice_client, send):
    before = alice_client.get(SETTINGS)
    changes = {"desired_retention": 0.85, "time_zone": "Asia/Kolkata", "learning_steps": []}

    response = send(alice_client, "patch", SETTINGS, changes, If_Match=before["ETag"])

    assert (before.status_code, before.json(), before["ETag"]) == (200, DEFAULT, '"1"')
    assert (response.status_code, response.json(), response["ETag"]) == (200, DEFAULT | changes, '"2"')
    assert alice_client.get(SETTINGS).json() == DEFAULT | changes
    assert alice_client.get(SETTINGS, HTTP_IF_NONE_MATCH='"2"').status_code == 304
    refused = send(alice_client, "patch", SETTINGS, {"new_per_day": 1}, If_Match='"1"')
    assert (refused.status_code, refused.json()["current_version"]) == (412, 2)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"desired_retention": 0.69}, "/desired_retention", "min_value"),
        ({"desired_retention": 0.98}, "/desired_retention", "max_value"),
        ({"desired_retention": "0.9"}, "/desired_retention", "invalid"),
        ({"desired_retention": True}, "/desired_retention", "invalid"),
        ({"new_per_day": -1}, "/new_per_day", "min_value"),
        ({"reviews_per_day": 10_000}, "/reviews_per_day", "max_value"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone", "unknown_time_zone"),
        ({"time_zone": "../etc/passwd"}, "/time_zone", "unknown_time_zone"),
        ({"time_zone": "localtime"}, "/time_zone", "unknown_time_zone"),  # the server's, whichever that is
        ({"time_zone": "Factory"}, "/time_zone", "unknown_time_zone"),
        ({"day_starts_at": "24:00"}, "/day_starts_at", "invalid"),
        ({"day_starts_at": "4:00"}, "/day_starts_at", "invalid"),
        ({"learning_steps": [0]}, "/learning_steps/0", "min_value"),
        ({"learning_steps": [1.5]}, "/learning_steps/0", "invalid"),
        ({"relearning_steps": [1] * 11}, "/relearning_steps", "max_length"),
        ({"retention": 0.9}, "/retention", "unknown_field"),
    ],
)
def test_what_is_no_setting_is_refused(alice_client, send, changes, pointer, code):
    response = send(alice_client, "patch", SETTINGS, changes)

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [(pointer, code)]
    assert not StudySettings.objects.exists()


def test_what_is_set_already_changes_no_version(alice_client, send):
    send(alice_client, "patch", SETTINGS, {"new_per_day": 5})

    assert send(alice_client, "patch", SETTINGS, {"new_per_day": 5})["ETag"] == '"2"'
    assert send(alice_client, "patch", SETTINGS, {})["ETag"] == '"2"'


def test_nobody_has_anothers_settings(alice_client, charlie_client, send):
    send(alice_client, "patch", SETTINGS, {"new_per_day": 5})

    assert charlie_client.get(SETTINGS).json() == DEFAULT


def test_statistics_tell_days_retention_load_and_states(alice, alice_client, send, clock, review):
    update_settings(user_id=alice.pk, changes={"learning_steps": [], "time_zone": "Asia/Tokyo"})
    known = CardFactory(user=alice, tags=["a", "b"])
    forgotten = CardFactory(user=alice, tags=["a"])
    CardFactory(user=alice)
    propose_cards(user_id=alice.pk, cards=[{"front": "maybe", "back": "b"}])
    clock.to(2026, 3, 2, 18, 30)  # 3:30 on 3 March in Tokyo: still the day of 2 March
    review(known, "good")
    review(forgotten, "good")
    clock.to(2026, 3, 4, 10)
    review(known, "good")
    review(forgotten, "again")
    clock.forward(minutes=1)
    mistake = review(forgotten, "easy")
    send(alice_client, "post", f"{REVIEWS}{mistake}/undo/")

    shown = alice_client.get(f"{STATS}?days=3").json()

    assert [(day["day"], day["reviews"], day["again"], day["good"], day["easy"]) for day in shown["days"]] == [
        ("2026-03-02", 2, 0, 2, 0),
        ("2026-03-03", 0, 0, 0, 0),
        ("2026-03-04", 2, 1, 1, 0),
    ]
    assert [day["duration_ms"] for day in shown["days"]] == [2000, 0, 2000]
    retention = shown["retention"]
    assert (retention["reviews"], retention["recalled"], retention["true"]) == (2, 1, 0.5)
    assert retention["predicted"] == pytest.approx(0.9, abs=0.02)
    assert [(tag["tag"], tag["reviews"], tag["true"]) for tag in shown["tags"]] == [("a", 2, 0.5), ("b", 1, 1.0)]
    assert [day["day"] for day in shown["load"]] == ["2026-03-04", "2026-03-05", "2026-03-06"]
    assert shown["cards"] == {"proposed": 1, "new": 1, "learning": 0, "review": 1, "relearning": 1, "suspended": 0}


def test_what_is_overdue_is_todays_load(alice, alice_client, clock, review):
    card = CardFactory(user=alice)
    review(card, "easy")
    clock.forward(days=90)

    shown = alice_client.get(f"{STATS}?days=2").json()

    assert [day["faces"] for day in shown["load"]] == [1, 0]


def test_without_reviews_there_is_no_retention(alice_client):
    shown = alice_client.get(STATS).json()

    assert shown["retention"] == {"reviews": 0, "recalled": 0, "true": None, "predicted": None}
    assert (len(shown["days"]), len(shown["load"]), shown["tags"]) == (30, 30, [])


@pytest.mark.parametrize("days", ["0", "366", "x"])
def test_the_number_of_days_is_bounded(alice_client, days):
    assert alice_client.get(f"{STATS}?days={days}").status_code == 400


def test_statistics_are_of_the_user(alice, charlie_client, clock, review):
    review(CardFactory(user=alice, tags=["a"]), "easy")
    clock.forward(days=30)

    shown = charlie_client.get(STATS).json()

    assert (sum(day["reviews"] for day in shown["days"]), shown["tags"]) == (0, [])
    assert (sum(shown["cards"].values()), sum(day["faces"] for day in shown["load"])) == (0, 0)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_statistics_cost_five_queries(alice, alice_client, clock, review, count, warm, django_assert_num_queries):
    for card in [CardFactory(user=alice, tags=["a"]) for _ in range(count)]:
        review(card, at=clock.now + timedelta(0))
    warm(alice_client)

    with django_assert_num_queries(5):  # settings, days, tags, load, states
        alice_client.get(STATS)
