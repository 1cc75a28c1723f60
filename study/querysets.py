"""Querysets of cards, faces and the log: chainable, never evaluated here."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Self
from uuid import UUID

from django.apps import apps
from django.contrib.postgres.expressions import ArraySubquery
from django.contrib.postgres.search import SearchQuery
from django.db import models
from django.db.models import Exists, OuterRef
from django.db.models.functions import JSONObject

SEARCH_CONFIG = "english"
FACE_SHOWN = ("n", "state", "due_at", "stability", "difficulty", "reps", "lapses", "buried_until")


class CardQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def filtered(self, filters: Mapping[str, Any]) -> Self:
        """The rows of a list, newest first. ``filters``: see ``QueryOptimizer.get_cards_for_list``."""
        cards = self
        if (note := filters.get("note")) is not None:
            cards = cards.filter(topic__in=_topics_of_note(note, filters["user_id"]))
        if (topic := filters.get("topic")) is not None:
            cards = cards.filter(topic_id=topic)
        if tag := filters.get("tag"):
            cards = cards.filter(tags__contains=[tag])
        if (stale := filters.get("stale")) is not None:
            cards = cards.filter(stale=stale)
        if state := filters.get("state"):
            cards = cards.in_state(state)
        if (q := filters.get("q")) and q.strip():
            cards = cards.filter(search=SearchQuery(q, config=SEARCH_CONFIG))  # every word
        return cards.for_api().order_by("-created_at", "-id")

    def in_state(self, state: str) -> Self:
        """Cards with a face in this state; an undecided card counts only as ``proposed``."""
        if state == "proposed":
            return self.filter(proposed=True)
        in_state = _faces().filter(card=OuterRef("pk"), state=state)
        return self.filter(Exists(in_state), proposed=False)

    def for_api(self) -> Self:
        """Load what the API shows, with the faces in order as ``shown_faces``: one query."""
        faces = _faces().filter(card=OuterRef("pk")).order_by("n")
        shown = ArraySubquery(faces.values(shown=JSONObject(**{name: name for name in FACE_SHOWN})))
        return self.defer("search", "block_text").annotate(shown_faces=shown)


class FaceQuerySet(models.QuerySet):
    pass


class StudyEventQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def of_cards(self, card_ids: list[UUID]) -> Self:
        """The log of these cards, in log order."""
        return self.filter(card_id__in=card_ids).order_by("reviewed_at", "event_id")


class ExamQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def for_list(self) -> Self:
        """The latest exam first."""
        return self.order_by("-at", "-id")

    def of_calendar(self, token: str) -> Self:
        """The exam with this calendar token; none if its user is deactivated."""
        return self.filter(calendar_hash=sha256(token.encode()).digest(), user__is_active=True)


class _Kept(models.QuerySet):
    """Rows of which only the newest are kept."""

    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def drop_oldest(self, user_id: int, *, kept: int) -> None:
        """Delete the user's rows beyond the newest ones: one statement."""
        newest = self.owned_by(user_id).order_by("-created_at", "-id")
        self.filter(pk__in=newest.values("pk")[kept : kept + 1000]).delete()


class QuizQuerySet(_Kept):
    def for_list(self) -> Self:
        """Quizzes without their questions, the newest first."""
        return self.only("id", "size", "created_at", "answered_at", "correct").order_by("-created_at", "-id")

    def for_api(self) -> Self:
        """Load what the API shows, without the solutions."""
        return self.defer("solutions", "seed")


class RecallQuerySet(_Kept):
    def for_list(self) -> Self:
        """Recalls without their texts and blocks, the newest first."""
        return self.only("id", "topic_id", "score", "created_at").order_by("-created_at", "-id")


def _faces() -> FaceQuerySet:
    return apps.get_model("study", "Face").objects.all()


def _topics_of_note(note_id: int, user_id: int) -> models.QuerySet:
    topics = apps.get_model("notes", "Topic").objects.owned_by(user_id)
    return topics.filter(chapter__note=note_id).order_by().values("pk")
