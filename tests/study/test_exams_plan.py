"""An exam's forecast and plan by the API: what is in its scope, of which student, and until when."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from study.models import Card, Exam, StudyEvent
from study.services import Review, create_exam, propose_cards, record_reviews, suspend_card, update_settings
from tests.factories import CardFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.study.conftest import CARDS

EXAMS = "/api/study/exams/"


@pytest.fixture
def chapter(alice):
    return ChapterFactory(note=NoteFactory(user=alice, tags=["biology"]), title="Cells")


@pytest.fixture
def topic(chapter):
    return TopicFactory(chapter=chapter)


@pytest.fixture
def make(alice, clock):
    """An exam in four weeks, on Monday 30 March at 09:00 UTC."""

    def make(**values) -> str:
        at = datetime.fromisoformat("2026-03-30T09:00:00+00:00")
        data = {"title": "Biology", "at": at, "time_zone": "UTC", "note_ids": [], "tags": ["cells"], "target": 0.9}
        data["minutes_per_day"] = [10] * 7
        exam = create_exam(user_id=alice.pk, data=data | values)
        return f"{EXAMS}{exam.pk}/"

    return make


def learned(card: Card, clock, *, days: int = 10, views: int = 3, duration_ms: int = 6000) -> None:
    """Review a card on some days, the last of them today."""
    now = clock.now
    Card.objects.filter(pk=card.pk).update(created_at=now - timedelta(days=400))
    times = [now - timedelta(days=days * n) for n in range(views)]
    reviews = [Review(uuid4(), card.pk, 1, "good", at, duration_ms) for at in times]
    outcomes, _ = record_reviews(user_id=card.user_id, reviews=reviews)
    assert {outcome.outcome for outcome in outcomes} == {"recorded"}


def test_a_forecast_tells_of_each_chapter_and_of_all(alice, alice_client, clock, make, note_of, topic, chapter):
    cards = [CardFactory(user=alice, topic_id=topic.pk) for _ in range(3)]
    other = CardFactory(user=alice, tags=["cells"])
    learned(cards[0], clock)
    exam = make(note_ids=[note_of(chapter)])

    found = alice_client.get(f"{exam}forecast/").json()

    assert [(one["chapter_id"], one["title"], one["faces"]) for one in found["chapters"]] == [
        (chapter.pk, "Cells", 3),
        (None, None, 1),
    ]
    assert {name: found[name] for name in ("faces", "simulated", "capped", "target", "minutes")} == {
        "faces": 4, "simulated": 4, "capped": False, "target": 0.9,
        "minutes": 289,  # of 29 days, of which six seconds are over
    }  # fmt: skip
    assert (found["feasible"], found["minutes_short"]) == (True, 0)
    for bands in (found["overall"], *found["chapters"]):
        for course in ("no_study", "plan", "due_first"):
            assert 0 <= bands[course]["p10"] <= bands[course]["p50"] <= bands[course]["p90"] <= 1
    assert found["chapters"][1]["no_study"] == {"p10": 0, "p50": 0, "p90": 0}  # it is new
    assert 0.2 < found["chapters"][0]["no_study"]["p50"] < 0.4  # one of three is known
    assert found["overall"]["plan"]["p50"] > 0.9
    assert other.user_id == alice.pk


@pytest.fixture
def note_of():
    return lambda chapter: chapter.note_id


def test_the_scope_is_cards_of_notes_cards_with_tags_and_cards_of_notes_with_tags(
    alice, charlie, alice_client, send, make, topic, chapter
):
    of_note = CardFactory(user=alice, topic_id=topic.pk)
    tagged = CardFactory(user=alice, tags=["cells", "other"])
    both = CardFactory(user=alice, topic_id=topic.pk, tags=["cells"])
    CardFactory(user=alice, tags=["other"])
    CardFactory(user=charlie, tags=["cells"])
    [proposed] = propose_cards(user_id=alice.pk, cards=[{"front": "a", "back": "b", "tags": ["cells"]}])
    suspended = CardFactory(user=alice, tags=["cells"])
    suspend_card(user_id=alice.pk, card_id=suspended.pk, suspended=True)

    def cards_of(**scope) -> set[str]:
        return {card["id"] for card in alice_client.get(f"{make(**scope)}plan/").json()["cards"]}

    mine = {str(card.pk) for card in (of_note, tagged, both)}
    assert cards_of(note_ids=[chapter.note_id]) == mine
    assert cards_of(note_ids=[chapter.note_id], tags=[]) == mine - {str(tagged.pk)}
    assert cards_of(tags=["cells"]) == mine - {str(of_note.pk)}
    assert cards_of(tags=["biology"]) == mine - {str(tagged.pk)}
    assert cards_of(tags=["nothing"]) == set()
    assert proposed.card.proposed
    exam = make(note_ids=[chapter.note_id])
    send(alice_client, "delete", f"/api/notes/{chapter.note_id}/")
    in_trash = {card["id"] for card in alice_client.get(f"{exam}plan/").json()["cards"]}
    assert in_trash == mine - {str(of_note.pk)}


def test_without_cards_there_is_nothing_to_forecast(alice_client, make):
    exam = make()

    forecast, plan = alice_client.get(f"{exam}forecast/"), alice_client.get(f"{exam}plan/")

    assert (forecast.status_code, forecast.json()["overall"], forecast.json()["chapters"]) == (200, None, [])
    assert plan.json() == {"day": "2026-03-02", "minutes": 0, "minutes_planned": 10, "count": 0, "cards": []}


def test_todays_plan_is_a_share_of_the_new_cards_then_what_is_due(alice, alice_client, clock, make):
    new = [CardFactory(user=alice, tags=["cells"]) for _ in range(29)]
    due = CardFactory(user=alice, tags=["cells"])
    learned(due, clock)
    clock.forward(days=200)
    exam = make(at=clock.now + timedelta(days=28), minutes_per_day=[1] * 7)

    plan = alice_client.get(f"{exam}plan/").json()

    first = min(new, key=lambda card: card.pk)  # all were made at once
    assert [(card["id"], card["face"], card["why"]) for card in plan["cards"]][:2] == [
        (str(first.pk), 1, "new"),
        (str(due.pk), 1, "due"),
    ]
    assert {card["why"] for card in plan["cards"][2:]} == {"new"}
    assert plan["cards"][0]["front"] == first.front
    assert plan["count"] == len(plan["cards"]) >= 3
    assert plan["minutes"] == plan["minutes_planned"] == 1


def test_a_limit_shortens_the_list_and_not_the_count(alice, alice_client, make):
    for _ in range(5):
        CardFactory(user=alice, tags=["cells"])
    exam = make()

    whole, short = alice_client.get(f"{exam}plan/").json(), alice_client.get(f"{exam}plan/?limit=2").json()

    assert (whole["count"], len(whole["cards"])) == (5, 5)
    assert short == whole | {"cards": whole["cards"][:2]}


@pytest.mark.parametrize(
    ("zone", "at", "now"),
    [
        ("Europe/Berlin", "2026-04-02T09:00:00+02:00", "2026-03-27T12:00:00+00:00"),
        ("Europe/Berlin", "2026-10-28T09:00:00+01:00", "2026-10-22T12:00:00+00:00"),
        ("America/New_York", "2026-03-11T09:00:00-04:00", "2026-03-05T12:00:00+00:00"),
        ("America/New_York", "2026-11-04T09:00:00-05:00", "2026-10-29T12:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-10-07T09:00:00+11:00", "2026-10-01T02:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-08T09:00:00+10:30", "2026-04-02T02:00:00+00:00"),
    ],
)
def test_no_days_plan_takes_more_than_its_minutes_where_clocks_change(alice, alice_client, clock, make, zone, at, now):
    for _ in range(60):
        CardFactory(user=alice, tags=["cells"])
    clock.now = datetime.fromisoformat(now)
    minutes = [1, 2, 3, 4, 5, 6, 7]
    exam = make(time_zone=zone, at=datetime.fromisoformat(at), minutes_per_day=minutes)
    first, last = clock.now.date(), datetime.fromisoformat(at).date()

    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    plans = [alice_client.get(f"{exam}plan/?day={day}").json() for day in days]

    assert len(days) == 7
    for day, plan in zip(days, plans, strict=True):
        assert plan["day"] == day.isoformat()
        assert plan["minutes_planned"] == minutes[day.weekday()]
        assert plan["count"] > 0
        assert plan["minutes"] <= plan["minutes_planned"]
    after = alice_client.get(f"{exam}plan/?day={last + timedelta(days=1)}")
    assert (after.status_code, after.json()["errors"][0]["code"]) == (400, "after_the_exam")


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("day=2026-03-01", "/day", "in_the_past"),
        ("day=2026-03-31", "/day", "after_the_exam"),
        ("day=9999-12-31", "/day", "after_the_exam"),
        ("day=0001-01-01", "/day", "in_the_past"),
        ("day=2026-02-30", "/day", "invalid"),
        ("day=today", "/day", "invalid"),
        ("limit=0", "/limit", "min_value"),
        ("limit=101", "/limit", "max_value"),
        ("days=1", "/days", "unknown_parameter"),
    ],
)
def test_what_is_no_day_until_the_exam_is_refused(alice_client, make, query, pointer, code):
    response = alice_client.get(f"{make()}plan/?{query}")

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [(pointer, code)]


def test_a_day_begins_when_the_students_day_does_in_the_exams_zone(alice, alice_client, clock, make):
    update_settings(user_id=alice.pk, changes={"day_starts_at": "06:00", "time_zone": "Asia/Tokyo"})
    exam = make(time_zone="America/New_York")

    clock.now = datetime.fromisoformat("2026-03-05T10:59:00+00:00")  # 05:59 in New York
    before = alice_client.get(f"{exam}plan/").json()["day"]
    clock.forward(minutes=1)

    assert (before, alice_client.get(f"{exam}plan/").json()["day"]) == ("2026-03-04", "2026-03-05")


def test_what_was_studied_today_is_over(alice, alice_client, clock, make):
    cards = [CardFactory(user=alice, tags=["cells"]) for _ in range(3)]
    elsewhere = CardFactory(user=alice)
    exam = make(minutes_per_day=[10] * 7)
    learned(elsewhere, clock, views=1, duration_ms=300_000)
    before = alice_client.get(f"{exam}plan/").json()["minutes_planned"]

    learned(cards[0], clock, views=1, duration_ms=150_000)
    learned(cards[1], clock, views=1, duration_ms=150_000)

    assert (before, alice_client.get(f"{exam}plan/").json()["minutes_planned"]) == (10, 5)


def test_an_exam_that_is_over_has_neither_forecast_nor_plan(alice_client, clock, make):
    exam = make()
    clock.now = datetime.fromisoformat("2026-03-30T09:00:00+00:00")

    for path in ("forecast/", "plan/", "plan/?day=2026-03-30"):
        response = alice_client.get(f"{exam}{path}")
        assert (response.status_code, response.json()["code"]) == (409, "exam_over")


def test_more_cards_than_count_are_told(alice, alice_client, make, monkeypatch):
    monkeypatch.setattr("study.exams.FACES_MAX", 2)
    for _ in range(3):
        CardFactory(user=alice, tags=["cells"])

    found = alice_client.get(f"{make()}forecast/").json()

    assert (found["faces"], found["capped"]) == (2, True)


def test_chapters_that_are_too_many_are_put_together(alice, alice_client, make, chapter, topic, monkeypatch):
    monkeypatch.setattr("study.exams.CHAPTERS_MAX", 1)
    small = TopicFactory(chapter=ChapterFactory(note=chapter.note, order=1))
    for place in (topic, topic, small):
        CardFactory(user=alice, topic_id=place.pk)

    found = alice_client.get(f"{make(note_ids=[chapter.note_id])}forecast/").json()

    assert [(one["chapter_id"], one["faces"]) for one in found["chapters"]] == [(chapter.pk, 2), (None, 1)]


def test_a_review_that_was_undone_says_nothing_of_the_student(alice, alice_client, send, clock, make):
    cards = [CardFactory(user=alice, tags=["cells"]) for _ in range(25)]
    for card in cards:
        learned(card, clock, views=1, duration_ms=20_000)
    exam = make()
    before = alice_client.get(f"{exam}forecast/").json()["seconds_per_view"]

    for event in StudyEvent.objects.filter(card_id__in=[card.pk for card in cards[:10]]):
        send(alice_client, "post", f"/api/study/reviews/{event.event_id}/undo/")

    assert (before, alice_client.get(f"{exam}forecast/").json()["seconds_per_view"]) == (20.0, 9.0)


@pytest.mark.parametrize("count", [1, 30])
def test_forecast_and_plan_cost_the_same_for_any_number_of_cards(
    alice, alice_client, make, topic, count, django_assert_num_queries
):
    for _ in range(count):
        CardFactory(user=alice, topic_id=topic.pk, tags=["cells"])
    exam = make(minutes_per_day=[20] * 7)
    alice_client.get(exam)

    with django_assert_num_queries(5):  # exam, settings, scope, log, titles of chapters
        alice_client.get(f"{exam}forecast/")
    with django_assert_num_queries(5):  # exam, settings, scope, log, cards
        assert len(alice_client.get(f"{exam}plan/").json()["cards"]) == count


def test_forecasts_have_a_limit_of_their_own(alice_client, make, settings):
    rates = dict.fromkeys(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]) | {"forecasts": "2/min", "burst": "9/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    exam = make()

    answers = [alice_client.get(f"{exam}{path}") for path in ("forecast/", "plan/", "forecast/")]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["scope"] == "forecasts"
    assert alice_client.get(CARDS)["RateLimit-Remaining"] == "8"


def test_a_deleted_card_leaves_the_scope(alice, alice_client, send, make):
    card = CardFactory(user=alice, tags=["cells"])
    exam = make()
    assert alice_client.get(f"{exam}plan/").json()["count"] == 1

    send(alice_client, "delete", f"{CARDS}{card.pk}/")

    assert alice_client.get(f"{exam}plan/").json()["count"] == 0
    assert Exam.objects.count() == 1
