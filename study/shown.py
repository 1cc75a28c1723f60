"""Converts cards and quizzes to the API's representation."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from study.models import Card, Face, Quiz, Recall
from study.querysets import FACE_SHOWN
from study.queue import CardRow, FaceRow

OF_NEXT_FACE = ("state", "due_at", "stability", "difficulty", "reps", "lapses", "buried_until")
"""The fields that a card shows of the face that comes up next."""


def card_as_shown(card: Card | CardRow, faces: Iterable[Face | FaceRow] | None = None) -> dict[str, Any]:
    """A card with its faces: the given ones, or those loaded by ``CardQuerySet.for_api``. It makes no query."""
    shown = (
        [_parsed(face) for face in card.shown_faces]  # type: ignore[union-attr]  # for_api
        if faces is None
        else [{name: getattr(face, name) for name in FACE_SHOWN} for face in sorted(faces, key=lambda face: face.n)]
    )
    coming = min(shown, key=lambda face: _comes_up(face, card.created_at))
    return {
        "id": card.id,
        "kind": card.kind,
        "front": card.front,
        "back": card.back,
        "topic_id": card.topic_id,
        "block_id": card.block_id or None,
        "tags": card.tags,
        **{name: coming[name] for name in OF_NEXT_FACE},
        "state": "proposed" if card.proposed else coming["state"],
        "suspended": card.suspended,
        "stale": card.stale,
        "orphan": card.orphan,
        "replaces": card.replaces,
        "faces": shown,
        "version": card.version,
        "created_at": card.created_at,
    }


def _parsed(face: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: face[name] and datetime.fromisoformat(face[name]) for name in ("due_at", "buried_until")}
    return {**face, **times}


def _comes_up(face: Mapping[str, Any], created_at: datetime | str) -> tuple[Any, int]:
    due_at, buried_until = face["due_at"] or created_at, face["buried_until"] or created_at
    return max(due_at, buried_until), face["n"]


def quiz_as_listed(quiz: Quiz) -> dict[str, Any]:
    return {
        "id": quiz.pk,
        "size": quiz.size,
        "created_at": quiz.created_at,
        "answered_at": quiz.answered_at,
        "correct": quiz.correct,
    }


def quiz_as_shown(quiz: Quiz) -> dict[str, Any]:
    """A quiz with its questions; the right answers only if it is answered."""
    return {
        **quiz_as_listed(quiz),
        "questions": quiz.questions,
        "notice": quiz.notice or None,
        # Quizzes answered before reviews were added have no ``reviews``.
        "results": quiz.results and [{"reviews": [], **result} for result in quiz.results],
    }


def recall_as_listed(recall: Recall) -> dict[str, Any]:
    return {"id": recall.pk, "topic_id": recall.topic_id, "score": recall.score, "created_at": recall.created_at}


def recall_as_shown(recall: Recall) -> dict[str, Any]:
    return {
        **recall_as_listed(recall),
        "text": recall.text,
        "blocks": recall.blocks,
        "notice": recall.notice or None,
    }
