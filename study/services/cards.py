"""Writes cards. Every function first takes the lock of the user's cards, and increases a card's version."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.utils import timezone

from notes.models import Topic
from study.blocks import NotTiedToBlock, PassageGone, passages
from study.faces import InvalidCloze, faces_of
from study.memory import Terms
from study.models import Card, Face, StudyEvent
from study.services.budgets import changing_cards, charge_cards, size_of_new
from study.services.locking import studying
from study.services.schedules import is_active, new_face, refold, write_faces
from study.services.statements import CardWithFaces, lock_cards
from utils.database.batching import batch_query
from utils.http.errors import Conflict, FieldError, NotFound, PreconditionFailed

Versions = Collection[int] | None
"""The card versions at which a write is allowed; None for any."""


class CardChanged(PreconditionFailed):
    """The card's version is not among the expected ones. The response has ``current_version``."""

    detail = "The card has changed since you read it."


class CardDecided(Conflict):
    code = "card_decided"
    detail = "This card was already accepted."


def texts_of(user_id: int) -> Iterator[str]:
    """The texts of the user's cards, one at a time."""
    for batch in batch_query(Card.objects.owned_by(user_id).only("pk", "front", "back")):
        for card in batch:
            yield from (card.front, card.back)


def create_card(*, user_id: int, data: Mapping[str, Any]) -> CardWithFaces:
    """Add a card of the student: ``kind``, ``front``, ``back``, ``tags``, ``topic_id``, ``block_id``.

    Raises ``NotFound`` for another user's topic or block, ``InvalidCloze``, and as ``charge_cards``.
    """
    with studying(user_id):
        return _create(user_id, [data], proposed=False)[0]


def propose_cards(*, user_id: int, cards: Sequence[Mapping[str, Any]]) -> list[CardWithFaces]:
    """Add proposed cards, which are not due until the student accepts them. Raises as ``create_card``."""
    with studying(user_id):
        return _create(user_id, cards, proposed=True)


def _create(user_id: int, data: Sequence[Mapping[str, Any]], *, proposed: bool) -> list[CardWithFaces]:
    _require_topics(
        user_id, {one["topic_id"] for one in data if one.get("topic_id") is not None and not one.get("block_id")}
    )
    places = {(one["topic_id"], one["block_id"]) for one in data if one.get("block_id")}
    texts = passages(user_id, places) if places else {}
    now = timezone.now()
    # New cards are asked in order of creation: keep the given order.
    times = [now + timedelta(microseconds=n) for n in range(len(data))]
    cards = [
        Card(user_id=user_id, proposed=proposed, created_at=at, **one) for at, one in zip(times, data, strict=True)
    ]
    for card in cards:
        if card.block_id and card.topic_id is not None:
            card.block_text = texts[card.topic_id, card.block_id]
    made = [CardWithFaces(card, faces_for(card)) for card in cards]
    Card.objects.bulk_create(cards)
    Face.objects.bulk_create([face for one in made for face in one.faces])
    charge_cards(user_id=user_id, grown=size_of_new(made))
    return made


def faces_for(card: Card) -> list[Face]:
    numbers = faces_of(card.kind, card.front)
    return [new_face(card, n, has_siblings=len(numbers) > 1) for n in numbers]


def _require_topics(user_id: int, topic_ids: Collection[int]) -> None:
    if topic_ids and Topic.objects.owned_by(user_id).filter(pk__in=topic_ids).count() < len(topic_ids):
        error: FieldError = {"pointer": "/topic_id", "code": "not_found", "detail": "There is no such topic."}
        raise NotFound(errors=[error])


def update_card(*, user_id: int, card_id: UUID, changes: Mapping[str, Any], if_match: Versions = None) -> CardWithFaces:
    """Change the content of a card. Its faces keep their schedules; a face that returns gets its old one back.

    ``topic_id`` and ``block_id`` are given together. Unchanged values do not increase the version.

    Raises ``Card.DoesNotExist``, :class:`CardChanged`, ``NotFound`` for another user's topic or block, and as
    ``charge_cards``.
    """
    with studying(user_id):
        place = (changes.get("topic_id"), changes.get("block_id"))
        # Notes are locked before cards: see ``passages``.
        text = passages(user_id, [place])[place] if place[0] and place[1] else ""  # type: ignore[list-item, index]
        card, faces = _load_one(user_id, card_id, if_match)
        changed = {name: value for name, value in changes.items() if getattr(card, name) != value}
        if not changed:
            return CardWithFaces(card, faces)
        if changed.get("topic_id") is not None and not text:
            _require_topics(user_id, {changed["topic_id"]})
        if changed.keys() & {"topic_id", "block_id"}:
            changed |= {"block_text": text, "stale": False, "orphan": False}
        for name, value in changed.items():
            setattr(card, name, value)
        if not _can_be_asked(card):
            # The serializer validated against a card that another write has changed since.
            raise CardChanged(current_version=card.version)
        with changing_cards(user_id, [card_id]):
            _save(card, changed)
            if changed.keys() & {"kind", "front"}:
                synchronize_faces([CardWithFaces(card, faces)])
        return CardWithFaces(card, faces)


def _can_be_asked(card: Card) -> bool:
    if card.kind == Card.Kind.REVERSED:
        return bool(card.back.strip())
    try:
        faces_of(card.kind, card.front)
    except InvalidCloze:
        return False
    return True


def synchronize_faces(cards: Sequence[CardWithFaces]) -> None:
    """Create and delete faces so that they match the cards' texts: three queries, if any card changes.

    Changes the ``faces`` lists in place. A face that returns is rebuilt from the log.
    """
    gone, changed = [], {}
    for card, faces in cards:
        wanted = faces_of(card.kind, card.front)
        there = {face.n: face for face in faces}
        if list(wanted) == list(there):
            continue
        gone += [face.pk for face in faces if face.n not in wanted]
        faces[:] = [there.get(n) or new_face(card, n, has_siblings=True) for n in wanted]
        for face in faces:
            face.has_siblings = len(wanted) > 1
        changed[card.pk] = faces
    if changed:
        Face.objects.filter(pk__in=gone).delete()
        refold(changed)
        write_faces([face for faces in changed.values() for face in faces])


def delete_card(*, user_id: int, card_id: UUID, if_match: Versions = None) -> None:
    """Delete a card. Its reviews stay in the log. Raises ``Card.DoesNotExist`` and :class:`CardChanged`."""
    with studying(user_id):
        card, _ = _load_one(user_id, card_id, if_match)
        with changing_cards(user_id, [card.pk]):
            Card.objects.filter(pk=card.pk).only("pk").delete()


def suspend_card(*, user_id: int, card_id: UUID, suspended: bool, if_match: Versions = None) -> CardWithFaces:
    """Take a card out of the queue, or put it back. Its schedules stay. Raises as :func:`update_card`."""
    with studying(user_id):
        card, faces = _load_one(user_id, card_id, if_match)
        if card.suspended != suspended:
            card.suspended, card.suspended_as_leech = suspended, False
            _save(card, ["suspended", "suspended_as_leech"])
            _activate(card, faces)
        elif card.suspended_as_leech:
            # Nothing visible changes, but now the suspension is the student's own.
            Card.objects.filter(pk=card.pk).update(suspended_as_leech=False)
        return CardWithFaces(card, faces)


def reset_card(*, user_id: int, card_id: UUID, if_match: Versions = None) -> CardWithFaces:
    """Make a card new again. Its reviews stay in the log. Raises as :func:`update_card`."""
    with studying(user_id) as settings:
        card, faces = _load_one(user_id, card_id, if_match)
        events = [reset_event(face, settings.terms) for face in faces]
        StudyEvent.objects.bulk_create(events)
        refold({card.pk: faces})
        write_faces(faces)
        _save(card, [])
        return CardWithFaces(card, faces)


def reset_event(face: Face, terms: Terms) -> StudyEvent:
    """A log entry that makes a face new."""
    return StudyEvent(
        user_id=face.user_id,
        event_id=uuid4(),
        card_id=face.card_id,
        face=face.n,
        kind=StudyEvent.Kind.RESET,
        reviewed_at=_after(face.last_event_at),
        settings=terms.as_json(),
    )


def _after(last: datetime | None) -> datetime:
    """The present time, or just after the last event if another server's clock is ahead."""
    now = timezone.now()
    return now if last is None else max(now, last + timedelta(microseconds=1))


def confirm_card(*, user_id: int, card_id: UUID, if_match: Versions = None) -> CardWithFaces:
    """Link a card to the present text of its passage, so that it is no longer stale.

    Raises ``NotTiedToBlock``, ``PassageGone``, and as :func:`update_card`.
    """
    with studying(user_id):
        place = Card.objects.owned_by(user_id).values_list("topic_id", "block_id").get(pk=card_id)
        if place[0] is None or not place[1]:
            raise NotTiedToBlock
        try:
            text = passages(user_id, [place])[place]
        except NotFound as error:
            raise PassageGone from error
        card, faces = _load_one(user_id, card_id, if_match)
        card.block_text, card.stale, card.orphan = text, False, False
        with changing_cards(user_id, [card.pk]):
            _save(card, ["block_text", "stale", "orphan"])
        return CardWithFaces(card, faces)


def _load_one(user_id: int, card_id: UUID, if_match: Versions) -> CardWithFaces:
    found = lock_cards(user_id, [card_id]).get(card_id)
    if found is None:
        raise Card.DoesNotExist
    if if_match is not None and found.card.version not in if_match:
        raise CardChanged(current_version=found.card.version)
    return found


def _save(card: Card, changed: Iterable[str]) -> None:
    card.version += 1
    card.save(update_fields=[*changed, "version"])


def _activate(card: Card, faces: Iterable[Face]) -> None:
    active = is_active(card)
    Face.objects.filter(card=card.pk).update(active=active)
    for face in faces:
        face.active = active
