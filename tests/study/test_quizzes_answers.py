"""Answering a quiz: graded once, by the solutions that were kept, and explained by one's own words."""

from uuid import uuid4

import pytest

from study.models import Quiz, StudyEvent
from tests.study.quizzing import (
    HEART,
    QUIZZES,
    make,
    make_note,
    problems,
    right,
    solutions,
    wrong,
)

# --- Answering --------------------------------------------------------------------------------------------------------


def test_right_answers_are_right_and_explained_by_ones_own_words(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id], count=10)

    response = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": right(quiz)})

    assert response.status_code == 200
    shown = response.json()
    assert shown["correct"] == shown["size"] == len(shown["results"]) >= 4
    for result, solution in zip(shown["results"], solutions(quiz["id"]), strict=True):
        assert result["correct"] is True
        assert result["expected"] == result["answer"] == solution["expected"]
        assert result["explanation"]
        assert result["quote"]["text"] in HEART
        assert len(result["quote"]["text"]) > 10
    assert alice_client.get(f"{QUIZZES}{quiz['id']}/").json() == shown
    [listed] = alice_client.get(QUIZZES).json()["results"]
    assert listed == {name: shown[name] for name in ("id", "size", "created_at", "answered_at", "correct")}


def test_wrong_answers_are_wrong_and_told_what_is_right(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id], count=10)
    sent = wrong(quiz)

    shown = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": sent}).json()

    assert shown["correct"] == 0
    assert [result["answer"] for result in shown["results"]] == [answer["answer"] for answer in sent]
    assert [result["expected"] for result in shown["results"]] == [answer["answer"] for answer in right(quiz)]


def test_a_quiz_is_answered_once(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id])
    path = f"{QUIZZES}{quiz['id']}/answers/"
    first = send(alice_client, "post", path, {"answers": right(quiz)}).json()

    again = send(alice_client, "post", path, {"answers": wrong(quiz)})

    assert (again.status_code, again.json()["code"]) == (409, "quiz_answered")
    assert alice_client.get(f"{QUIZZES}{quiz['id']}/").json() == first


def test_what_is_left_out_is_not_correct(alice_client, send, capitals):
    quiz = make(alice_client, send, tags=["geo"], count=3, kinds=["gap"])
    first = right(quiz)[:1]

    shown = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": first}).json()

    assert [(result["correct"], result["answer"] is None) for result in shown["results"]] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip
    assert not StudyEvent.objects.exists()


def test_the_etag_changes_with_the_answers(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id])
    path = f"{QUIZZES}{quiz['id']}/"
    etag = alice_client.get(path)["ETag"]
    assert alice_client.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 304

    send(alice_client, "post", f"{path}answers/", {"answers": right(quiz)})

    assert alice_client.get(path, HTTP_IF_NONE_MATCH=etag).status_code == 200


BAD_ANSWERS = {
    "choice": [
        (True, "", "invalid"),
        ("0", "", "invalid"),
        (0.0, "", "invalid"),
        (-1, "", "out_of_range"),
        (4, "", "out_of_range"),
        (10**30, "", "invalid"),
        (None, "", "null"),
        ([0], "", "invalid"),
    ],
    "gap": [
        (1, "", "invalid"),
        (False, "", "invalid"),
        (["heart"], "", "invalid"),
        ({}, "", "invalid"),
        ("x" * 2001, "", "max_length"),
    ],
    "order": [
        ("1", "", "invalid"),
        ({"1": "2"}, "", "invalid"),
        ([], "", "missing_items"),
        (["1", "2", "3"], "", "missing_items"),
        (["1", "2", "3", 4], "/3", "invalid"),
        (["1", "2", "3", "3"], "/3", "duplicate"),
        (["1", "2", "3", "5"], "/3", "unknown_item"),
        (["1", "2", "3", "4", "1"], "", "max_length"),
    ],
    "match": [
        ([], "", "invalid"),
        ("1", "", "invalid"),
        ({"1": 1}, "/1", "invalid"),
        ({"1": "9"}, "/1", "unknown_item"),
        ({"9": "1"}, "/9", "unknown_item"),
        ({"1": "1", "2": "1"}, "/2", "duplicate"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "answer", "place", "code"), [(kind, *bad) for kind, all_bad in BAD_ANSWERS.items() for bad in all_bad]
)
def test_an_answer_that_its_question_cannot_have_is_refused(
    alice_client, send, note_id, capitals, kind, answer, place, code
):
    quiz = make(alice_client, send, note_ids=[note_id], count=2, kinds=[kind])
    sent = right(quiz)
    sent[-1]["answer"] = answer

    response = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": sent})

    assert (response.status_code, problems(response)) == (400, [(f"/answers/{len(sent) - 1}/answer{place}", code)])
    assert Quiz.objects.get().answered_at is None
    assert not StudyEvent.objects.exists()


@pytest.mark.parametrize(
    ("answers", "pointer", "code"),
    [
        ([{"question_id": str(uuid4()), "answer": 0}], "/answers/0/question_id", "unknown_question"),
        ([{"question_id": "x", "answer": 0}], "/answers/0/question_id", "invalid"),
        ([{"question_id": 7, "answer": 0}], "/answers/0/question_id", "invalid"),
        ([{"answer": 0}], "/answers/0/question_id", "required"),
        ([{"question_id": str(uuid4())}], "/answers/0/answer", "required"),
        ([{"question_id": str(uuid4()), "answer": 0, "correct": True}], "/answers/0/correct", "unknown_field"),
        ([{"question_id": str(uuid4()), "answer": 0}] * 51, "/answers", "too_many"),
        ("x", "/answers", "not_a_list"),
    ],
)
def test_answers_to_other_questions_are_refused(alice_client, send, note_id, answers, pointer, code):
    quiz = make(alice_client, send, note_ids=[note_id])

    response = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": answers})

    assert (response.status_code, problems(response)) == (400, [(pointer, code)])


def test_a_question_answered_twice_is_refused(alice_client, send, note_id):
    quiz = make(alice_client, send, note_ids=[note_id])
    [first, *_] = right(quiz)

    response = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": [first, first]})

    assert (response.status_code, problems(response)) == (400, [("/answers/1/question_id", "duplicate")])


@pytest.mark.parametrize(
    ("accepts", "text", "answer", "correct"),
    [
        ("de-DE,de;q=0.9", "The lake holds 1,500 l of water.", "1.500 l", True),
        ("en", "The lake holds 1,500 l of water.", "1.500 l", False),
        ("", "The lake holds 1,500 l of water.", "1500 L", True),
        ("en", "Der See ist nicht tief und das Wasser hat 1.500 l im Tank.", "1500 l", True),
        ("en", "Der See ist nicht tief und das Wasser hat 1.500 l im Tank.", "1.5 l", False),
        ("en", "The lake holds 1.5 l of water.", "1,5 l", True),
        ("en", "The lake holds 1.5 l of water.", "1,5", False),
        ("en", "The lake holds 1.5 l of water.", "1.5 ml", False),
        ("en", "It has 206 bones and that is all.", "206 bones", True),
        ("en", "It has 206 bones and that is all.", "206 teeth", False),
    ],
)
def test_numbers_are_read_as_the_student_writes_them(alice, alice_client, send, accepts, text, answer, correct):
    note_id = make_note(alice, text)
    body = {"note_ids": [note_id], "kinds": ["gap"], "count": 1}
    quiz = send(alice_client, "post", QUIZZES, body, Accept_Language=accepts).json()
    [question] = quiz["questions"]
    answers = [{"question_id": question["id"], "answer": answer}]

    [result] = send(alice_client, "post", f"{QUIZZES}{quiz['id']}/answers/", {"answers": answers}).json()["results"]

    assert result["correct"] is correct, (question, result)
