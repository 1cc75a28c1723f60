"""A wrong answer is a review of the card that was asked, once a day, and nothing else is."""

from study.models import Card, StudyEvent
from study.services import undo_review
from tests.factories import CardFactory
from tests.study.conftest import CARDS
from tests.study.quizzing import QUIZZES, make, right, solutions, wrong

# --- Reviews ----------------------------------------------------------------------------------------------------------


def reviewed() -> list[tuple[str, str]]:
    fronts = {card.pk: card.front for card in Card.objects.all()}
    return [(fronts[event.card_id], event.rating) for event in StudyEvent.objects.order_by("id")]


def test_a_wrong_answer_becomes_a_review_of_its_card_alone(alice_client, send, capitals):
    quiz = make(alice_client, send, tags=["geo"], count=3, kinds=["gap"])
    answers = [*right(quiz)[:2], *wrong(quiz)[2:]]

    answered = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": answers}).json()

    front = quiz["questions"][2]["prompt"].partition("\n")[0]
    assert reviewed() == [(front, "again")]
    card = Card.objects.get(front=front)
    assert [result["reviews"] for result in answered["results"]] == [[], [], [{"card_id": str(card.pk), "face": 1}]]
    assert alice_client.get(f"{QUIZZES}{quiz['id']}/").json()["results"] == answered["results"]
    shown = alice_client.get(f"{CARDS}{card.pk}/").json()
    assert (shown["state"], shown["reps"], shown["version"]) == ("learning", 1, 2)


def test_only_the_pairs_that_were_wrong_are_reviewed(alice_client, send, capitals):
    quiz = make(alice_client, send, tags=["geo"], count=1, kinds=["match"])
    [question] = quiz["questions"]
    [answer] = right(quiz)
    first, second, *_ = answer["answer"]
    answer["answer"] = {**answer["answer"], first: answer["answer"][second], second: answer["answer"][first]}

    send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": [answer]})

    texts = {item["id"]: item["text"] for item in question["pairs"]["left"]}
    assert sorted(reviewed()) == sorted([(texts[first], "again"), (texts[second], "again")])


def test_a_card_gets_one_such_review_a_day(alice, alice_client, send, capitals, clock):
    def fail() -> None:
        quiz = make(alice_client, send, tags=["geo"], count=5, kinds=["gap"])
        send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": wrong(quiz)})
        clock.forward(hours=1)

    fail()
    fail()
    assert StudyEvent.objects.count() == 5
    last = StudyEvent.objects.order_by("-id").first()
    undo_review(user_id=alice.pk, review_id=last.event_id)
    fail()
    assert StudyEvent.objects.filter(kind="review").count() == 5  # taken back is taken back for today
    clock.forward(days=1)
    fail()
    assert StudyEvent.objects.filter(kind="review").count() == 10


def test_the_day_is_the_students(alice, alice_client, send, capitals, clock):
    send(alice_client, "patch", "/api/study/settings/", {"time_zone": "Asia/Tokyo", "day_starts_at": "00:00"})
    clock.to(2026, 3, 2, 14, 30)  # 23:30 there
    for _ in range(2):
        quiz = make(alice_client, send, tags=["geo"], count=5, kinds=["gap"])
        send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": wrong(quiz)})
        clock.forward(hours=1)

    assert StudyEvent.objects.count() == 10


def test_a_card_that_is_gone_is_graded_and_not_reviewed(alice, alice_client, send, capitals):
    quiz = make(alice_client, send, tags=["geo"], count=5, kinds=["gap"])
    for card in capitals:
        send(alice_client, "delete", f"{CARDS}{card.pk}/")

    response = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": wrong(quiz)})

    assert (response.status_code, response.json()["correct"]) == (200, 0)
    assert not StudyEvent.objects.exists()


def test_a_face_is_reviewed_by_its_number(alice, alice_client, send, clock):
    CardFactory(user=alice, kind="cloze", front="{{c1::Paris}} is the capital of {{c2::France}}.", tags=["geo"])
    quiz = make(alice_client, send, tags=["geo"], count=1, kinds=["gap"])
    [question] = quiz["questions"]
    expected = solutions(quiz["id"])[0]["expected"]
    asked = {"____ is the capital of France.": ("Paris", 1), "Paris is the capital of ____.": ("France", 2)}
    assert asked[question["prompt"]][0] == expected

    send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": wrong(quiz)})

    assert StudyEvent.objects.get().face == asked[question["prompt"]][1]


def test_passages_are_not_reviewed(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id])

    send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": wrong(quiz)})

    assert not StudyEvent.objects.exists()
