"""What is due: in order, within the day's limits, one face of a card at a time, for two queries."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection

from study.models import Card, Face
from study.services import propose_cards, suspend_card, update_settings
from tests.factories import CardFactory, ChapterFactory, NoteFactory, TopicFactory
from tests.study.conftest import CARDS, DUE, REVIEWS


def due(client, query: str = "") -> tuple[dict, list[str]]:
    response = client.get(f"{DUE}?{query}" if query else DUE)
    assert response.status_code == 200, response.content
    body = response.json()
    return body["counts"], [card["front"] for card in body["results"]]


def in_order(user, clock, count: int) -> list[Card]:
    """Cards named by their number, each made a second after the other."""
    cards = []
    for n in range(count):
        cards.append(CardFactory(user=user, front=str(n)))
        clock.forward(seconds=1)
    return cards


def counts(new=0, learning=0, review=0) -> dict:
    return {"new": new, "learning": learning, "review": review}


def test_nothing_is_due_where_nothing_is(alice_client):
    assert due(alice_client) == (counts(), [])


def test_a_new_card_is_due_with_its_next_intervals(alice_client, card):
    shown = alice_client.get(DUE).json()

    assert shown["counts"] == counts(new=1)
    [result] = shown["results"]
    assert {name: value for name, value in result.items() if name not in ("face", "next")} == alice_client.get(
        f"{CARDS}{card.pk}/"
    ).json()
    assert result["face"] == 1
    assert list(result["next"]) == ["again", "hard", "good", "easy"]
    assert [result["next"][rating] for rating in ("again", "hard", "good")] == [60, 330, 600]
    assert result["next"]["easy"] > 86400


@pytest.mark.parametrize("rating", ["again", "hard", "good", "easy"])
def test_a_review_keeps_what_the_intervals_said(alice_client, card, clock, review, rating):
    review(card)
    clock.forward(minutes=10)
    review(card)
    clock.forward(days=3)
    [shown] = alice_client.get(DUE).json()["results"]

    review(card, rating)

    assert Face.objects.get().due_at == clock.now + timedelta(seconds=shown["next"][rating])


def test_learning_comes_first_then_reviews_then_new_ones_each_in_order(alice, alice_client, clock, review):
    cards = {}
    for name in ("r2", "r1", "n1", "n2", "l1", "l2", "later"):
        cards[name] = CardFactory(user=alice, front=name)
        clock.forward(seconds=1)
    clock.forward(seconds=1)
    for name in ("r1", "r2"):
        review(cards[name], "easy")
    Face.objects.filter(card=cards["r2"].pk).update(due_at=clock.now + timedelta(days=19))
    clock.forward(days=20)
    review(cards["l2"], "good")
    review(cards["later"], "easy")
    clock.forward(minutes=5)
    review(cards["l1"], "again")
    clock.forward(minutes=6)

    assert due(alice_client) == (counts(new=2, learning=2, review=2), ["l1", "l2", "r1", "r2", "n1", "n2"])
    assert due(alice_client, "limit=3") == (counts(new=2, learning=2, review=2), ["l1", "l2", "r1"])


def test_the_days_limits_hold_until_the_day_ends(alice, alice_client, clock, review):
    update_settings(user_id=alice.pk, changes={"new_per_day": 3, "reviews_per_day": 2, "learning_steps": []})
    cards = in_order(alice, clock, 8)
    assert due(alice_client)[0] == counts(new=3)

    for card in cards[:2]:
        review(card, "again")
    assert due(alice_client) == (counts(new=1), ["2"])
    review(cards[2], "again")
    assert due(alice_client) == (counts(), [])

    clock.to(2026, 3, 3, 3, 59)
    assert due(alice_client) == (counts(), [])
    clock.to(2026, 3, 3, 4)
    left, fronts = due(alice_client)  # three are due, at one instant
    assert (left, fronts[2:]) == (counts(new=3, review=2), ["3", "4", "5"])
    review(cards[int(fronts[0])])
    assert due(alice_client)[0] == counts(new=3, review=1)
    review(cards[int(fronts[1])])
    assert due(alice_client)[0] == counts(new=3)


def test_an_undone_review_gives_its_place_back(alice, alice_client, clock, card, review, send):
    update_settings(user_id=alice.pk, changes={"new_per_day": 1})
    first = review(card, "easy")
    assert due(alice_client)[0] == counts()

    send(alice_client, "post", f"{REVIEWS}{first}/undo/")

    assert due(alice_client)[0] == counts(new=1)


def test_the_day_begins_at_the_students_hour_across_a_change_of_the_clock(alice, alice_client, clock, review):
    update_settings(
        user_id=alice.pk, changes={"time_zone": "Europe/Berlin", "day_starts_at": "04:00", "new_per_day": 1}
    )
    cards = in_order(alice, clock, 3)
    clock.to(2026, 3, 28, 12)
    review(cards[0], "good")
    clock.to(2026, 3, 29, 1, 59)  # 3:59, as clocks have gone forward
    assert due(alice_client) == (counts(learning=1), ["0"])
    clock.to(2026, 3, 29, 2, 0)
    assert due(alice_client) == (counts(new=1, learning=1), ["0", "1"])


def test_siblings_wait_for_the_next_day(alice, alice_client, clock, review, send):
    card = CardFactory(user=alice, kind="cloze", front="{{c1::a}} {{c2::b}} {{c3::c}}")
    other = CardFactory(user=alice, front="other")
    clock.forward(minutes=1)

    shown = alice_client.get(DUE).json()
    assert (shown["counts"], [result["face"] for result in shown["results"]]) == (counts(new=2), [1, 1])
    last = review(card, "easy", face=1)
    assert due(alice_client) == (counts(new=1), ["other"])
    assert [face["buried_until"] for face in alice_client.get(f"{CARDS}{card.pk}/").json()["faces"]] == [
        None, "2026-03-03T04:00:00.000000Z", "2026-03-03T04:00:00.000000Z",
    ]  # fmt: skip

    send(alice_client, "post", f"{REVIEWS}{last}/undo/")
    assert due(alice_client)[0] == counts(new=2)
    review(card, "easy", face=1)
    review(other, "easy")
    clock.to(2026, 3, 3, 4)
    [result] = alice_client.get(DUE).json()["results"]
    assert (result["face"], result["state"], result["buried_until"]) == (2, "new", "2026-03-03T04:00:00.000000Z")


def test_of_two_sides_that_are_due_one_is_asked(alice, alice_client, clock, review):
    card = CardFactory(user=alice, kind="reversed", front="both")
    clock.forward(minutes=1)
    review(card, "easy", face=1)
    clock.forward(days=1)
    review(card, "easy", face=2)
    clock.forward(days=100)

    [result] = alice_client.get(DUE).json()["results"]
    assert (due(alice_client)[0], result["face"]) == (counts(review=1), 1)
    review(card, "good", face=1)
    assert due(alice_client) == (counts(), [])
    clock.forward(days=1)
    [result] = alice_client.get(DUE).json()["results"]
    assert result["face"] == 2


def test_suspended_and_proposed_cards_are_not_due(alice, alice_client, card):
    propose_cards(user_id=alice.pk, cards=[{"front": "maybe", "back": "b"}])
    suspend_card(user_id=alice.pk, card_id=card.pk, suspended=True)

    assert due(alice_client) == (counts(), [])


def test_a_note_and_a_tag_narrow_it(alice, charlie_client, alice_client, clock):
    topic = TopicFactory(chapter=ChapterFactory(note=NoteFactory(user=alice)))
    CardFactory(user=alice, front="in", topic_id=topic.pk)
    CardFactory(user=alice, front="tagged", tags=["exam"])

    assert due(alice_client, f"note={topic.chapter.note_id}") == (counts(new=1), ["in"])
    assert due(alice_client, "tag=Exam") == (counts(new=1), ["tagged"])
    assert due(alice_client, f"tag=exam&note={topic.chapter.note_id}") == (counts(), [])
    assert due(charlie_client, f"note={topic.chapter.note_id}") == (counts(), [])


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("limit=0", "/limit"), ("limit=101", "/limit"), ("limit=x", "/limit"), ("note=x", "/note"), ("page=2", "/page")],
)
def test_a_wrong_query_is_refused(alice_client, query, pointer):
    response = alice_client.get(f"{DUE}?{query}")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, pointer)


@pytest.mark.parametrize("count", [1, 10, 100])
def test_it_costs_two_queries_for_any_number(
    alice, alice_client, clock, review, count, warm, django_assert_num_queries
):
    update_settings(user_id=alice.pk, changes={"new_per_day": 1000})
    for _ in range(count):
        CardFactory(user=alice, kind="reversed")
    warm(alice_client)

    with django_assert_num_queries(2):  # the settings, and all that is due
        response = alice_client.get(f"{DUE}?limit=100")

    assert len(response.json()["results"]) == count


def test_nobody_sees_anothers_cards(card, charlie_client):
    assert due(charlie_client) == (counts(), [])


def test_each_part_is_read_off_its_index(alice, charlie, clock, review):
    """The plan is that of many rows: the planner would scan a table of three."""
    CardFactory(user=alice)
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
        for condition, order, index in (
            (
                "active AND state IN ('learning', 'relearning') AND due_at <= now()",
                "due_at, card_id",
                "face_learning_idx",
            ),
            ("active AND state = 'review' AND due_at <= now()", "due_at, card_id", "face_review_idx"),
            ("active AND state = 'new'", "created_at, card_id, n", "face_new_idx"),
        ):
            cursor.execute(
                f"EXPLAIN SELECT * FROM study_face WHERE user_id = 1 AND {condition} ORDER BY {order} LIMIT 9"
            )
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert f"Index Scan using {index}" in plan, plan
            assert "Sort" not in plan, plan


def test_ids_do_not_decide_the_order(alice, alice_client, clock):
    late, early = UUID(int=1), UUID(int=2)
    CardFactory(pk=early, user=alice, front="early")
    clock.forward(seconds=1)
    CardFactory(pk=late, user=alice, front="late")

    assert due(alice_client)[1] == ["early", "late"]
    assert Card.objects.count() == 2
