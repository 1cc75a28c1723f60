"""Records and undoes reviews.

Clients send reviews late, twice, in any order, and with wrong clocks. Each review has an id, so it is recorded once.
Schedules are computed from the log in its own order, so the order of arrival does not matter.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from django.utils import timezone

from study.memory import recall
from study.models import Card, StudyEvent, StudySettings
from study.services.budgets import changing_cards
from study.services.locking import studying
from study.services.schedules import fold_further, is_active, live, mark_leech, refold
from study.services.statements import CardWithFaces, events, lock_cards, record
from utils.http.errors import Conflict

OLDEST_REVIEW = timedelta(days=365)


class NotTheLastReview(Conflict):
    code = "not_the_last_review"
    detail = "Only the last review of a card can be undone."


class AlreadyUndone(Conflict):
    code = "already_undone"
    detail = "This review was already undone."


class Review(NamedTuple):
    """A review as a client sends it."""

    id: UUID
    card_id: UUID
    face: int
    rating: str
    reviewed_at: datetime
    duration_ms: int | None


class Outcome(NamedTuple):
    """``outcome`` is recorded, duplicate or rejected; ``code`` says why it was rejected."""

    id: UUID
    outcome: str
    code: str | None = None


def record_reviews(*, user_id: int, reviews: Sequence[Review]) -> tuple[list[Outcome], list[CardWithFaces]]:
    """Record reviews; return the outcome of each, and the cards that they name in their new state."""
    with studying(user_id) as settings:
        now = timezone.now()
        known = {row.event_id: row for row in events(user_id, [review.id for review in reviews])}
        cards = lock_cards(user_id, {review.card_id for review in reviews})
        outcomes, added = [], []
        for review in reviews:
            stored = known.get(review.id)
            if stored is not None:
                is_same = _is_same(stored, review)
                outcomes.append(Outcome(review.id, *(("duplicate",) if is_same else ("rejected", "id_reused"))))
            elif code := _reason_to_reject(review, cards.get(review.card_id), now):
                outcomes.append(Outcome(review.id, "rejected", code))
            else:
                row = _row(review, cards[review.card_id], settings, now)
                known[review.id] = row
                added.append(row)
                outcomes.append(Outcome(review.id, "recorded"))
        if added:
            _advance(cards, added)
        return outcomes, list(cards.values())


def _is_same(stored: StudyEvent, review: Review) -> bool:
    return (
        stored.kind == StudyEvent.Kind.REVIEW
        and (stored.card_id, stored.face, stored.rating) == (review.card_id, review.face, review.rating)
        and (stored.sent_reviewed_at or stored.reviewed_at) == review.reviewed_at
        and stored.duration_ms == review.duration_ms
    )


def _reason_to_reject(review: Review, found: CardWithFaces | None, now: datetime) -> str | None:
    if found is None:
        return "card_not_found"
    if found.card.proposed:
        return "card_not_decided"
    if review.face not in [face.n for face in found.faces]:
        return "face_not_found"
    if review.reviewed_at < found.card.created_at or review.reviewed_at < now - OLDEST_REVIEW:
        return "reviewed_at_out_of_range"
    return None


def _row(review: Review, found: CardWithFaces, settings: StudySettings, now: datetime) -> StudyEvent:
    is_future = review.reviewed_at > now
    reviewed_at = now if is_future else review.reviewed_at
    memory = next(face.memory for face in found.faces if face.n == review.face)
    terms = settings.terms
    return StudyEvent(
        user_id=settings.user_id,
        event_id=review.id,
        card_id=review.card_id,
        face=review.face,
        kind=StudyEvent.Kind.REVIEW,
        rating=review.rating,
        reviewed_at=reviewed_at,
        sent_reviewed_at=review.reviewed_at if is_future else None,
        received_at=now,
        duration_ms=review.duration_ms,
        settings=terms.as_json(),
        predicted=recall(memory, reviewed_at, terms) if memory.state == "review" else None,
    )


def _advance(cards: dict[UUID, CardWithFaces], added: Sequence[StudyEvent]) -> None:
    """Write new log entries and update their cards: one query, and one more if a review came late."""
    by_card: dict[UUID, list[StudyEvent]] = {}
    for row in added:
        by_card.setdefault(row.card_id, []).append(row)
    before = {card_id: _lapses(cards[card_id]) for card_id in by_card}
    late = {
        card_id: cards[card_id].faces
        for card_id, rows in by_card.items()
        if not fold_further(card_id, cards[card_id].faces, rows)
    }
    refold(late, added)
    _write(added, [cards[card_id] for card_id in by_card], before)


def _write(added: Sequence[StudyEvent], cards: Sequence[CardWithFaces], lapses_before: dict[UUID, int]) -> None:
    for card, faces in cards:
        marks = _marks(card)
        mark_leech(card, before=lapses_before[card.pk], after=max(face.lapses for face in faces))
        for face in faces:
            face.active = is_active(card)
        if _marks(card) != marks:
            # A review is never rejected for lack of space.
            with changing_cards(card.user_id, [card.pk], is_limited=False):
                Card.objects.filter(pk=card.pk).update(**_marks(card))
        card.version += 1
    record(added, [face for _, faces in cards for face in faces], [card.pk for card, _ in cards])


def _marks(card: Card) -> dict[str, Any]:
    """The fields of a card that a lapse may change."""
    return {name: getattr(card, name) for name in ("suspended", "suspended_as_leech", "tags")}


def _lapses(found: CardWithFaces) -> int:
    return max(face.lapses for face in found.faces)


def undo_review(*, user_id: int, review_id: UUID) -> CardWithFaces:
    """Undo the last review of a card. It stays in the log, with an entry that cancels it.

    Raises ``StudyEvent.DoesNotExist`` (also for a deleted card), :class:`NotTheLastReview` and :class:`AlreadyUndone`.
    """
    with studying(user_id) as settings:
        reviews = StudyEvent.objects.owned_by(user_id).filter(kind=StudyEvent.Kind.REVIEW)
        review = reviews.get(event_id=review_id)
        found = lock_cards(user_id, [review.card_id]).get(review.card_id)
        if found is None:
            raise StudyEvent.DoesNotExist
        log = list(StudyEvent.objects.of_cards([review.card_id]))
        if any(row.undoes == review_id for row in log):
            raise AlreadyUndone
        if live(log)[-1].event_id != review_id:
            raise NotTheLastReview
        before = _lapses(found)
        undo = _undo(review, settings)
        refold({review.card_id: found.faces}, [undo])
        _write([undo], [found], {review.card_id: before})
        return found


def _undo(review: StudyEvent, settings: StudySettings) -> StudyEvent:
    values: dict[str, Any] = {"reviewed_at": review.reviewed_at, "settings": settings.terms.as_json()}
    return StudyEvent(
        user_id=review.user_id,
        event_id=uuid4(),
        card_id=review.card_id,
        face=review.face,
        kind=StudyEvent.Kind.UNDO,
        undoes=review.event_id,
        received_at=timezone.now(),
        **values,
    )
