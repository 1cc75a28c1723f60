"""Quizzes over the API: made from one's own notes and cards, answered once, giving nothing away before."""

from uuid import uuid4, uuid5

import orjson
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from notes.models import Note
from study.models import Card, Quiz
from study.services import quizzes as quiz_services
from study.services.quizzes import create_quiz
from tests.factories import CardFactory, UserFactory
from tests.study.quizzing import (
    CAPITALS,
    HEART,
    QUIZZES,
    make,
    make_note,
    problems,
    right,
    wrong,
)

# --- Making -----------------------------------------------------------------------------------------------------------


def test_a_quiz_has_questions_of_every_kind(alice_client, send, note_id):
    response = send(alice_client, "post", QUIZZES, {"note_ids": [note_id], "count": 4})

    assert response.status_code == 201
    quiz = response.json()
    by_kind = {question["kind"]: question for question in quiz["questions"]}
    assert list(by_kind) == ["choice", "gap", "order", "match"]
    assert by_kind["choice"].keys() == {"id", "kind", "prompt", "choices"}
    assert by_kind["gap"].keys() == {"id", "kind", "prompt"}
    assert by_kind["order"].keys() == {"id", "kind", "prompt", "items"}
    assert by_kind["match"].keys() == {"id", "kind", "prompt", "pairs"}
    assert sorted(item["id"] for item in by_kind["order"]["items"]) == ["1", "2", "3", "4"]
    assert (quiz["size"], quiz["notice"], quiz["answered_at"], quiz["correct"], quiz["results"]) == (
        4, None, None, None, None,
    )  # fmt: skip
    assert response["Location"] == f"{QUIZZES}{quiz['id']}/"
    assert alice_client.get(response["Location"]).json() == quiz


def test_too_little_material_makes_fewer_questions_and_says_so(alice, alice_client, send):
    note_id = make_note(alice, "The **heart** has four chambers.")

    some = make(alice_client, send, note_ids=[note_id], count=5, kinds=["gap"])
    none = make(alice_client, send, note_ids=[make_note(alice, "")], count=5)

    assert [question["prompt"] for question in some["questions"]] == ["The ____ has four chambers."]
    assert some["notice"] == "Your notes have material for 1 of 5 questions."
    assert (none["questions"], none["notice"]) == ([], "Your notes have material for 0 of 5 questions.")
    empty = send(alice_client, "post", f"{QUIZZES}{none['id']}/answers/", {"answers": []})
    assert (empty.status_code, empty.json()["correct"], empty.json()["results"]) == (200, 0, [])


def test_tags_name_notes_and_cards(alice, alice_client, send, capitals):
    make_note(alice, "The **heart** has four chambers.", tags=("bio",))
    make_note(alice, "The **liver** has two lobes.", tags=("other",))
    CardFactory(user=alice, front="Who?", back="Nobody", tags=["other"])

    quiz = make(alice_client, send, tags=["Bio", "geo"], count=50, kinds=["gap"])

    assert sorted(question["prompt"] for question in quiz["questions"]) == sorted(
        ["The ____ has four chambers.", *(f"Capital of {land}?\n\n____" for land in CAPITALS)]
    )


def test_cards_of_the_notes_topics_are_asked_but_for_those_in_doubt(alice, alice_client, send, note_id, clock):
    topic_id = Note.objects.get(pk=note_id).chapters.get().topics.get().pk
    cards = {
        name: CardFactory(user=alice, front=f"Is it {name}?", back=f"yes {n}", topic_id=topic_id)
        for n, name in enumerate(["sound", "stale", "suspended", "proposed"])
    }
    CardFactory(user=alice, front="Is it elsewhere?", back="indeed")
    for name in ("stale", "suspended", "proposed"):
        Card.objects.filter(pk=cards[name].pk).update(**{name: True})

    quiz = make(alice_client, send, note_ids=[note_id], count=50, kinds=["gap"])

    prompts = " ".join(question["prompt"] for question in quiz["questions"])
    assert [name for name in [*cards, "elsewhere"] if f"Is it {name}?" in prompts] == ["sound"]


def test_material_in_the_trash_is_not_asked(alice, alice_client, send, note_id):
    make_note(alice, "The **liver** has two lobes.", tags=("bio",))
    trashed = make_note(alice, "The **heart** has four chambers.", tags=("bio",))
    send(alice_client, "delete", f"/api/notes/{trashed}/")

    response = send(alice_client, "post", QUIZZES, {"note_ids": [note_id, trashed]})

    assert (response.status_code, problems(response)) == (404, [("/note_ids/1", "not_found")])
    quiz = make(alice_client, send, tags=["bio"], kinds=["gap"])
    assert [question["prompt"] for question in quiz["questions"]] == ["The ____ has two lobes."]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "", "required"),
        ({"note_ids": [1], "tags": ["a"]}, "", "required"),
        ({"note_ids": []}, "/note_ids", "empty"),
        ({"tags": []}, "/tags", "empty"),
        ({"note_ids": [True]}, "/note_ids/0", "invalid"),
        ({"note_ids": ["1"]}, "/note_ids/0", "invalid"),
        ({"note_ids": [1, 1]}, "/note_ids/1", "duplicate"),
        ({"note_ids": [1] * 101}, "/note_ids", "max_length"),
        ({"note_ids": [2**63]}, "/note_ids/0", "max_value"),
        ({"tags": ["a,b"]}, "/tags/0", "invalid"),
        ({"tags": [f"t{n}" for n in range(21)]}, "/tags", "too_many"),
        ({"note_ids": [1], "count": 0}, "/count", "min_value"),
        ({"note_ids": [1], "count": 51}, "/count", "max_value"),
        ({"note_ids": [1], "count": True}, "/count", "invalid"),
        ({"note_ids": [1], "kinds": []}, "/kinds", "empty"),
        ({"note_ids": [1], "kinds": ["essay"]}, "/kinds/0", "invalid_choice"),
        ({"note_ids": [1], "kinds": ["gap", "gap"]}, "/kinds/1", "duplicate"),
        ({"note_ids": [1], "kinds": "gap"}, "/kinds", "not_a_list"),
        ({"note_ids": [1], "seed": 1}, "/seed", "unknown_field"),
    ],
)
def test_what_is_no_quiz_is_refused(alice_client, send, body, pointer, code):
    response = send(alice_client, "post", QUIZZES, body)

    assert (response.status_code, problems(response)) == (400, [(pointer, code)])
    assert not Quiz.objects.exists()


def test_a_key_makes_one_quiz_and_grades_once(alice_client, send, note_id):
    quizzes = [
        send(alice_client, "post", QUIZZES, {"note_ids": [note_id]}, Idempotency_Key="1").json() for _ in range(2)
    ]
    body = {"answers": right(quizzes[0])}
    path = f"{QUIZZES}{quizzes[0]['id']}/answers/"
    graded = [send(alice_client, "post", path, body, Idempotency_Key="2") for _ in range(2)]

    assert quizzes[0] == quizzes[1]
    assert Quiz.objects.count() == 1
    assert [response.status_code for response in graded] == [200, 200]
    assert graded[0].json() == graded[1].json()


def test_the_oldest_quizzes_go(alice, charlie, alice_client, send, note_id, monkeypatch):
    monkeypatch.setattr(quiz_services, "QUIZZES_KEPT", 2)
    theirs = create_quiz(user_id=charlie.pk, note_ids=[], tags=["x"], count=1, kinds=["gap"], language="")
    made = [make(alice_client, send, note_ids=[note_id])["id"] for _ in range(4)]

    assert [quiz["id"] for quiz in alice_client.get(QUIZZES).json()["results"]] == made[:1:-1]
    assert Quiz.objects.filter(pk=theirs.pk).exists()


# --- Nothing is given away --------------------------------------------------------------------------------------------


def test_what_is_shown_before_is_the_same_whatever_is_right(alice, alice_client, send, note_id, capitals):
    quiz = make(alice_client, send, note_ids=[note_id], count=10)
    path = f"{QUIZZES}{quiz['id']}/"
    before = alice_client.get(path)
    listed = alice_client.get(QUIZZES)

    Quiz.objects.update(solutions=[], seed=0)

    assert (alice_client.get(path).content, alice_client.get(path)["ETag"]) == (before.content, before["ETag"])
    assert alice_client.get(QUIZZES).content == listed.content


def test_neither_the_admin_nor_the_export_shows_what_is_right_before(alice, alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id], count=10, kinds=["gap"])
    secret = "a very telling solution"
    Quiz.objects.update(solutions=[{"expected": secret}])
    operator = Client()
    operator.force_login(UserFactory(is_staff=True))

    pages = [operator.get(f"/admin/study/quiz/{rest}") for rest in ("", f"{quiz['id']}/change/")]
    archive = alice_client.get("/api/users/me/export/")
    exported = b"".join(archive.streaming_content)

    assert [page.status_code for page in pages] == [200, 200]
    assert not any(secret in page.content.decode() for page in pages)
    assert archive.status_code == 200
    assert secret.encode() not in exported


def test_no_reading_loads_the_solutions(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id])

    with CaptureQueriesContext(connection) as queries:
        alice_client.get(f"{QUIZZES}{quiz['id']}/")
        alice_client.get(QUIZZES)

    assert not [query for query in queries if '"solutions"' in query["sql"] or '"seed"' in query["sql"]]


def test_ids_follow_from_the_quiz_and_the_place_alone(alice, alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id], count=10)
    stored = Quiz.objects.get()

    assert [question["id"] for question in quiz["questions"]] == [
        str(uuid5(stored.pk, str(at))) for at in range(stored.size)
    ]
    for question in quiz["questions"]:
        for items in [question.get("items", []), *question.get("pairs", {}).values()]:
            assert [item["id"] for item in items] == [str(at) for at in range(1, len(items) + 1)]


# --- Lists, costs, strangers ------------------------------------------------------------------------------------------


def test_pages_hold_every_quiz_once_the_newest_first(alice_client, send, note_id):
    made = [make(alice_client, send, note_ids=[note_id])["id"] for _ in range(5)]
    seen, path = [], f"{QUIZZES}?page_size=2"
    while path:
        page = alice_client.get(path).json()
        seen += [quiz["id"] for quiz in page["results"]]
        path = page["next"]

    assert seen == made[::-1]


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_quiz_costs_the_same_for_any_number_of_notes(
    alice, alice_client, send, count, clock, warm, django_assert_num_queries
):
    ids = [make_note(alice, HEART, tags=("bio",)) for _ in range(count)]
    for n in range(count):
        CardFactory(user=alice, front=f"q{n}", back=f"a{n}", tags=["bio"])
    warm(alice_client)

    with django_assert_num_queries(8):  # notes, cards, topics, their texts; SAVEPOINT, INSERT, DELETE, RELEASE
        make(alice_client, send, note_ids=ids, count=50)
    with django_assert_num_queries(7):  # the same without the notes
        quiz = make(alice_client, send, tags=["bio"], count=50)
    with django_assert_num_queries(1):
        alice_client.get(f"{QUIZZES}{quiz['id']}/")
    with django_assert_num_queries(1):
        alice_client.get(QUIZZES)


@pytest.mark.parametrize("count", [1, 10, 50])
def test_grading_costs_the_same_for_any_number_of_questions(
    alice, alice_client, send, count, clock, warm, django_assert_num_queries
):
    for n in range(count):
        CardFactory(user=alice, front=f"q{n}", back=f"answer {n}", tags=["bio"])
    quizzes = [make(alice_client, send, tags=["bio"], count=50, kinds=["gap"]) for _ in range(2)]
    assert quizzes[0]["size"] == count
    bodies = [{"answers": right(quizzes[0])}, {"answers": wrong(quizzes[1])}]
    warm(alice_client)

    with django_assert_num_queries(5):  # SAVEPOINT, the lock, the quiz, UPDATE, RELEASE
        send(alice_client, "post", f"{QUIZZES}{quizzes[0]['id']}/answers/", bodies[0])
    # And of the reviews: SAVEPOINT, the lock, those recorded, cards with faces, what records them, RELEASE.
    with django_assert_num_queries(11):
        send(alice_client, "post", f"{QUIZZES}{quizzes[1]['id']}/answers/", bodies[1])


def test_strangers_get_the_404_of_nothing(charlie_client, alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id])
    body = {"answers": right(quiz)}
    for method, path, sent in (("get", "", None), ("post", "answers/", body)):
        theirs = send(charlie_client, method, f"{QUIZZES}{quiz['id']}/{path}", sent, X_Request_ID="1")
        none = send(charlie_client, method, f"{QUIZZES}{uuid4()}/{path}", sent, X_Request_ID="1")
        assert theirs.status_code == none.status_code == 404
        assert theirs.content == none.content
    theirs, none = (
        send(charlie_client, "post", QUIZZES, {"note_ids": [one]}, X_Request_ID="1") for one in (note_id, 2**60)
    )
    assert theirs.status_code == 404
    assert theirs.content == none.content
    assert charlie_client.get(QUIZZES).json()["results"] == []
    assert Quiz.objects.get().answered_at is None


def test_anothers_cards_and_notes_are_never_asked(alice, charlie, alice_client, send, capitals):
    make_note(charlie, HEART, tags=("geo",))
    CardFactory(user=charlie, front="Charlie's?", back="secret", tags=["geo"])

    quiz = make(alice_client, send, tags=["geo"], count=50)

    assert b"secret" not in orjson.dumps(quiz)
    assert b"chambers" not in orjson.dumps(quiz)
