"""Updates the schedules of cards, so that they always equal a fold over the complete log."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from study.memory import Event, Memory, Terms, fold
from study.models import SCHEDULE_WRITTEN, Card, Face, StudyEvent

LEECH_TAG = "leech"
LEECH_LAPSES = 8
LEECH_AGAIN = 4
"""After this many further lapses, a leech that the student resumed is suspended again."""


def event_of(row: StudyEvent) -> Event:
    terms = Terms.from_json(row.settings)
    made_for = None
    if row.kind == StudyEvent.Kind.REVIEW and row.data is not None:
        made_for = UUID(row.data["card_id"])
    return Event(row.event_id, row.kind, row.reviewed_at, terms, row.rating, row.data, made_for)


def live(log: Iterable[StudyEvent]) -> list[StudyEvent]:
    """The log without undone reviews and without the undo entries."""
    log = list(log)
    undone = {row.undoes for row in log if row.kind == StudyEvent.Kind.UNDO}
    return [row for row in log if row.kind != StudyEvent.Kind.UNDO and row.event_id not in undone]


def fold_anew(card_id: UUID, faces: Iterable[Face], log: Iterable[StudyEvent]) -> None:
    """Compute the memory and the burial of a card's faces from the card's whole log."""
    events = live(log)
    for face in faces:
        face.memory = fold((event_of(row) for row in events if row.face == face.n), card_id=card_id)
        face.buried_until = None
        for row in events:
            _bury(face, row)


def fold_further(card_id: UUID, faces: Sequence[Face], added: Sequence[StudyEvent]) -> bool:
    """Add reviews to the faces' memories. Return False and change nothing if one belongs before reviews already
    included."""
    for face in faces:
        position = face.memory.position
        if position and any(row.face == face.n and (row.reviewed_at, row.event_id) < position for row in added):
            return False
    for face in faces:
        mine = [event_of(row) for row in added if row.face == face.n]
        if mine:
            face.memory = fold(mine, card_id=card_id, memory=face.memory)
        for row in added:
            _bury(face, row)
    return True


def _bury(face: Face, row: StudyEvent) -> None:
    """Bury a face until the end of the study day on which a sibling was reviewed."""
    if not face.has_siblings or row.face == face.n or row.kind != StudyEvent.Kind.REVIEW:
        return
    until = end_of_day(Terms.from_json(row.settings), row.reviewed_at)
    if face.buried_until is None or face.buried_until < until:
        face.buried_until = until


def end_of_day(terms: Terms, at: datetime) -> datetime:
    return terms.start_of(terms.day_of(at) + timedelta(days=1))


def refold(cards: Mapping[UUID, Sequence[Face]], added: Iterable[StudyEvent] = ()) -> None:
    """Compute these cards anew from their logs plus ``added``: one query."""
    logs: dict[UUID, list[StudyEvent]] = {card_id: [] for card_id in cards}
    if logs:
        for row in (*StudyEvent.objects.of_cards(list(logs)), *added):
            if row.card_id in logs:
                logs[row.card_id].append(row)
    for card_id, faces in cards.items():
        fold_anew(card_id, faces, logs[card_id])


def mark_leech(card: Card, *, before: int, after: int) -> None:
    """Suspend and tag a card that is forgotten repeatedly; resume it if the lapse is undone.

    A card that the student suspended stays suspended.
    """
    if _leech_level(after) > _leech_level(before):
        card.suspended_as_leech = card.suspended_as_leech or not card.suspended
        card.suspended = True
        if LEECH_TAG not in card.tags:
            card.tags = [*card.tags, LEECH_TAG]
    elif _leech_level(after) < _leech_level(before) and LEECH_TAG in card.tags:
        if card.suspended_as_leech:
            card.suspended = card.suspended_as_leech = False
        if not _leech_level(after):
            card.tags = [tag for tag in card.tags if tag != LEECH_TAG]


def _leech_level(lapses: int) -> int:
    return 0 if lapses < LEECH_LAPSES else 1 + (lapses - LEECH_LAPSES) // LEECH_AGAIN


def write_faces(faces: Sequence[Face]) -> None:
    """Insert or update faces: one query for any number."""
    Face.objects.bulk_create(
        faces, update_conflicts=True, unique_fields=["card", "n"], update_fields=list(SCHEDULE_WRITTEN)
    )


def new_face(card: Card, n: int, *, has_siblings: bool) -> Face:
    face = Face(card_id=card.pk, user_id=card.user_id, n=n, created_at=card.created_at, has_siblings=has_siblings)
    face.memory = Memory()
    face.active = is_active(card)
    return face


def is_active(card: Card) -> bool:
    return not (card.proposed or card.suspended)
