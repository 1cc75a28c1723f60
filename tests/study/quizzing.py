"""Quizzes in tests: made of one's own notes and cards, and answered right or wrong, which only the table knows.

The fixtures ``note_id`` and ``capitals`` are the material.
"""

from typing import Any
from uuid import UUID

from django.http import HttpResponse

from accounts.models import User
from notes import services as notes
from notes.blocks.splitting import split
from study.models import Quiz
from study.quizzes.making import KINDS, make_questions
from study.quizzes.material import AskedCard, QuizPassage

QUIZZES = "/api/study/quizzes/"
ID = UUID(int=1)


HEART = """# The organ

The **heart** has four chambers. It beats 70 times a minute. An adult's weighs 300 g.

- **Atrium**: an upper room of the organ
- **Ventricle**: a lower room that pumps hard
- **Valve**: a door for blood in one direction
- **Aorta**: the widest vessel of all

How blood flows:

1. Blood enters the right side
2. It goes to the lungs
3. It comes back to the left side
4. The body gets it
"""


CAPITALS = {"France": "Paris", "Spain": "Madrid", "Italy": "Rome", "Greece": "Athens", "Norway": "Oslo"}


def make_note(user: User, *texts: str, tags: tuple[str, ...] = ()) -> int:
    topics = [{"title": "t", "explanation": text} for text in texts]
    data = {"title": "n", "tags": list(tags), "chapters": [{"title": "c", "topics": topics}]}
    return notes.create_note(user_id=user.pk, data=data)["id"]


def problems(response: HttpResponse) -> list[tuple[str, str]]:
    return [(error["pointer"], error["code"]) for error in response.json()["errors"]]


def solutions(quiz_id: str) -> list[dict[str, Any]]:
    return Quiz.objects.get(pk=quiz_id).solutions


def right(quiz: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"question_id": question["id"], "answer": solution["expected"]}
        for question, solution in zip(quiz["questions"], solutions(quiz["id"]), strict=True)
    ]


def wrong_answer(question: dict[str, Any], expected: Any) -> Any:
    match question["kind"]:
        case "choice":
            return (expected + 1) % len(question["choices"])
        case "gap":
            return "certainly not"
        case "order":
            return expected[::-1]
    rights = list(expected.values())
    return dict(zip(expected, rights[1:] + rights[:1], strict=True))


def wrong(quiz: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"question_id": question["id"], "answer": wrong_answer(question, solution["expected"])}
        for question, solution in zip(quiz["questions"], solutions(quiz["id"]), strict=True)
    ]


def make(client: Any, send: Any, **body: Any) -> dict[str, Any]:
    response = send(client, "post", QUIZZES, body)
    assert response.status_code == 201, response.content
    return response.json()


def passages(text: str) -> list[QuizPassage]:
    found, lead = [], ""
    for at, piece in enumerate(split(text)):
        found.append(QuizPassage(1, str(at), piece.kind, piece.text, lead))
        lead = piece.text
    return found


def cards(*sides: tuple[str, ...], block: str = "") -> list[AskedCard]:
    """Cards by front and back, or by kind, front and back."""
    made = []
    for n, card in enumerate(sides):
        kind, front, back = card if len(card) == 3 else ("basic", *card)
        made.append(AskedCard(UUID(int=n), kind, front, back, 1 if block else None, "b" if block else "", block))
    return made


def made(text: str = "", asked=(), kinds=KINDS, count: int = 50, seed: int = 1, language: str = ""):
    questions, solutions = make_questions(
        quiz_id=ID,
        seed=seed,
        cards=asked,
        passages=passages(text),
        kinds=list(kinds),
        count=count,
        language=language,
    )
    return list(zip(questions, solutions, strict=True))


def gaps(text: str = "", asked=(), seed: int = 1) -> dict[str, str]:
    return {question["prompt"]: solution["expected"] for question, solution in made(text, asked, ["gap"], seed=seed)}
