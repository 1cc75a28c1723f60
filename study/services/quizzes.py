"""Makes quizzes from a student's notes and cards, and grades each once."""

import random
import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.db import transaction
from django.db.models import Func, IntegerField, Q, QuerySet
from django.utils import timezone

from notes.blocks.stored import Block, decode
from notes.models import Note, Topic
from notes.services import get_blocks
from study.days import day_of
from study.models import Card, Quiz, StudyEvent, StudySettings
from study.quizzes.grading import Grade, WrongShape, check_shape, grade
from study.quizzes.making import make_questions
from study.quizzes.material import AskedCard, QuizPassage
from study.services.locking import studying
from study.services.reviews import Review, record_reviews
from utils.http.errors import Conflict, FieldError, InvalidRequest, NotFound, pointer_to

QUIZZES_KEPT = 200
"""Per student; a new quiz deletes the oldest beyond that."""
TOPICS_LISTED_MAX = 2_000
TOPICS_READ_MAX = 60
BYTES_READ_MAX = 300_000
CARDS_READ_MAX = 300
_WRONG_SHOWN = 20
_AGAIN = UUID("6a1f4c0e-6f0b-4a53-9d0b-0c5b4f1c9e77")


class QuizAnswered(Conflict):
    code = "quiz_answered"
    detail = "This quiz was already answered."


def create_quiz(
    *, user_id: int, note_ids: Sequence[int], tags: Sequence[str], count: int, kinds: Sequence[str], language: str
) -> Quiz:
    """Make a quiz from the named notes, or from notes with one of the tags, and from their cards.

    From many notes, topics are chosen at random. ``language`` is the student's, empty if unknown. With too little
    material there are fewer questions and a notice. Raises ``NotFound`` with a pointer for an unknown note.
    """
    notes = _scope(user_id, note_ids, tags)
    seed = secrets.randbits(62)
    cards = _cards(user_id, notes, tags)
    passages = list(_passages(user_id, notes, random.Random(seed)))
    quiz = Quiz(id=uuid4(), user_id=user_id, seed=seed, language=language, created_at=timezone.now())
    quiz.questions, quiz.solutions = make_questions(
        quiz_id=quiz.pk, seed=seed, cards=cards, passages=passages, kinds=kinds, count=count, language=language
    )
    quiz.size = len(quiz.questions)
    if quiz.size < count:
        quiz.notice = f"Your notes have material for {quiz.size} of {count} questions."
    with transaction.atomic():
        Quiz.objects.bulk_create([quiz])
        Quiz.objects.drop_oldest(user_id, kept=QUIZZES_KEPT)
    return quiz


def _scope(user_id: int, note_ids: Sequence[int], tags: Sequence[str]) -> QuerySet[Note]:
    mine = Note.objects.owned_by(user_id).live()
    if tags:
        return mine.filter(tags__overlap=list(tags))
    found = set(mine.filter(pk__in=note_ids).values_list("pk", flat=True))
    missing: list[FieldError] = [
        {"pointer": pointer_to("note_ids", at), "code": "not_found", "detail": "There is no such note."}
        for at, note_id in enumerate(note_ids)
        if note_id not in found
    ]
    if missing:
        raise NotFound(errors=missing[:_WRONG_SHOWN])
    return mine.filter(pk__in=note_ids)


def _cards(user_id: int, notes: QuerySet[Note], tags: Sequence[str]) -> list[AskedCard]:
    """The newest cards of these notes that are neither proposed, suspended nor stale; with tags, also cards with one of
    them."""
    of_scope = Q(topic__in=Topic.objects.filter(chapter__note__in=notes.values("pk")).values("pk"))
    if tags:
        of_scope |= Q(tags__overlap=list(tags))
    sound = Card.objects.owned_by(user_id).filter(of_scope, proposed=False, suspended=False, stale=False)
    rows = sound.only("kind", "front", "back", "topic_id", "block_id", "block_text", "orphan")
    return [
        AskedCard(
            row.pk, row.kind, row.front, row.back, row.topic_id, "" if row.orphan else row.block_id, row.block_text
        )
        for row in rows.order_by("-created_at", "-id")[:CARDS_READ_MAX]
    ]


def _passages(user_id: int, notes: QuerySet[Note], rng: random.Random) -> Iterable[QuizPassage]:
    """The blocks of these notes' topics, up to a number of topics and bytes: two queries.

    Topics without blocks get them now, which takes more queries.
    """
    topics = Topic.objects.filter(chapter__note__in=notes.values("pk"))
    size = Func("explanation", function="octet_length", output_field=IntegerField())
    listed = list(
        topics.annotate(size=size).filter(size__gt=0).order_by("-pk").values_list("pk", "size")[:TOPICS_LISTED_MAX]
    )
    rng.shuffle(listed)
    chosen: list[int] = []
    left = BYTES_READ_MAX
    for topic_id, bytes_of_topic in listed:
        if len(chosen) < TOPICS_READ_MAX and bytes_of_topic <= left:
            chosen.append(topic_id)
            left -= bytes_of_topic
    for row in topics.filter(pk__in=chosen).order_by("pk").values("pk", "explanation", "blocks"):
        yield from _of_topic(row["pk"], _blocks(user_id, row))


def _blocks(user_id: int, row: Mapping[str, Any]) -> Sequence[Block]:
    found = decode(row["blocks"], row["explanation"])
    if found is not None:
        return found
    try:
        return get_blocks(user_id=user_id, topic_id=row["pk"]).blocks
    except Topic.DoesNotExist:  # deleted meanwhile
        return []


def _of_topic(topic_id: int, blocks: Sequence[Block]) -> Iterable[QuizPassage]:
    lead = ""
    for block in blocks:
        yield QuizPassage(topic_id, block.id, block.kind, block.text, lead)
        lead = block.text


def answer_quiz(*, user_id: int, quiz_id: UUID, answers: Sequence[Mapping[str, Any]]) -> Quiz:
    """Grade the answers (``question_id``, ``answer``), and record a review ``again`` for each card answered wrong.

    An omitted question is wrong, but causes no review. A card gets at most one such review per study day, over all
    quizzes.

    Raises ``Quiz.DoesNotExist``, :class:`QuizAnswered`, and ``InvalidRequest`` with pointers for answers of the wrong
    form.
    """
    with studying(user_id) as settings:
        quiz = Quiz.objects.owned_by(user_id).select_for_update(no_key=True).get(pk=quiz_id)
        if quiz.answered_at is not None:
            raise QuizAnswered
        given = _by_question(quiz, answers)
        wrong_cards: dict[str, int] = {}
        wrong_of: list[Sequence[tuple[str, int]]] = []
        quiz.results = []
        quiz.correct = 0
        for question, solution in zip(quiz.questions, quiz.solutions, strict=True):
            found = Grade(False, [])
            if question["id"] in given:
                found = grade(question, solution, given[question["id"]], language=quiz.language)
            quiz.correct += found.correct
            quiz.results.append(_result(question, solution, given.get(question["id"]), found.correct))
            wrong_of.append(found.wrong_cards)
            for card_id, face in found.wrong_cards:
                wrong_cards.setdefault(card_id, face)
        quiz.answered_at = timezone.now()
        if wrong_cards:
            reviews = [_again(UUID(card_id), face, quiz.answered_at, settings) for card_id, face in wrong_cards.items()]
            # A deleted card, or one with such a review today, gets no further review.
            outcomes, _ = record_reviews(user_id=user_id, reviews=reviews)
            recorded = {
                (str(review.card_id), review.face)
                for review, outcome in zip(reviews, outcomes, strict=True)
                if outcome.outcome == "recorded"
            }
            for result, wrong in zip(quiz.results, wrong_of, strict=True):
                result["reviews"] = [{"card_id": one, "face": n} for one, n in wrong if (one, n) in recorded]
        quiz.save(update_fields=["results", "correct", "answered_at"])
        return quiz


def _by_question(quiz: Quiz, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    questions = {question["id"]: question for question in quiz.questions}
    given: dict[str, Any] = {}
    errors: list[FieldError] = []
    for at, one in enumerate(answers):
        question_id = str(one["question_id"])
        if question_id not in questions:
            errors.append(_error("unknown_question", "This quiz has no such question.", at, "question_id"))
        elif question_id in given:
            errors.append(_error("duplicate", "This question is answered twice.", at, "question_id"))
        else:
            given[question_id] = one["answer"]
            try:
                check_shape(questions[question_id], one["answer"])
            except WrongShape as error:
                errors.append(_error(error.code, error.detail, at, "answer", *error.place))
    if errors:
        raise InvalidRequest(errors=errors[:_WRONG_SHOWN])
    return given


def _error(code: str, detail: str, at: int, *place: str | int) -> FieldError:
    return {"pointer": pointer_to("answers", at, *place), "code": code, "detail": detail}


def _result(question: Mapping[str, Any], solution: Mapping[str, Any], answer: Any, correct: bool) -> dict[str, Any]:
    return {
        "question_id": question["id"],
        "answer": answer,
        "correct": correct,
        "expected": solution["expected"],
        "explanation": solution["explanation"],
        "quote": solution["quote"],
        "reviews": [],
    }


def _again(card_id: UUID, face: int, now: datetime, settings: StudySettings) -> Review:
    """A review with an id derived from card and day, so that the log accepts one per day."""
    day = day_of(now, time_zone=settings.time_zone, day_starts_at=settings.day_starts_at)
    return Review(uuid5(_AGAIN, f"{card_id} {day}"), card_id, face, StudyEvent.Rating.AGAIN, now, None)
