"""Accepts and rejects proposed cards."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from uuid import UUID

from django.db.models import F

from study.memory import Terms
from study.models import Card, Face, StudyEvent
from study.services.budgets import changing_cards
from study.services.cards import CardDecided, reset_event, synchronize_faces
from study.services.locking import studying
from study.services.schedules import refold, write_faces
from study.services.statements import CardWithFaces, lock_cards
from utils.http.errors import NotFound, pointer_to

Schedule = Literal["keep", "reset"]
_TAKEN_OVER = ("kind", "front", "back", "topic_id", "block_id", "stale", "orphan")


def decide_cards(
    *, user_id: int, accept: Sequence[UUID], reject: Sequence[UUID], schedule: Mapping[UUID, Schedule] | None = None
) -> list[CardWithFaces]:
    """Accept proposed cards, which become new, and delete rejected ones: all or nothing.

    A proposed card that replaces another card passes its content to that card and is deleted. The replaced card keeps
    its id, tags and log. It also keeps its schedule, unless ``schedule`` maps the proposed card to ``reset``.

    Return the accepted cards, or the cards that they replaced, in the given order: a fixed number of queries. Raises
    ``NotFound`` with a pointer for an unknown id, :class:`CardDecided`, and as ``charge_cards``.
    """
    with studying(user_id) as settings:
        proposed = Card.objects.owned_by(user_id).filter(pk__in=accept).values_list("pk", "replaces", "block_text")
        told = {pk: (replaces, text) for pk, replaces, text in proposed}
        named = {replaces for replaces, _ in told.values() if replaces is not None}
        # In one statement, so that all cards are locked in the order of their ids.
        found = lock_cards(user_id, [*accept, *reject, *named])
        for name, ids in (("accept", accept), ("reject", reject)):
            for index, card_id in enumerate(ids):
                _require_proposed(found.get(card_id), pointer_to(name, index))
        replaced: dict[UUID, CardWithFaces] = {}
        for card_id in accept:
            replaces, text = told[card_id]
            old = None if replaces is None else found.get(replaces)
            if old is not None and not old.card.proposed and old not in replaced.values():
                replaced[card_id] = _taken_over(old, found[card_id].card, text)
        with changing_cards(user_id, found):
            _write(replaced.values())
            _reset([replaced[pk] for pk in replaced if (schedule or {}).get(pk) == "reset"], settings.terms)
            Card.objects.filter(pk__in=[*reject, *replaced]).only("pk").delete()
        _accept([found[card_id] for card_id in accept if card_id not in replaced])
        return [replaced.get(card_id) or found[card_id] for card_id in accept]


def _require_proposed(found: CardWithFaces | None, pointer: str) -> None:
    if found is None:
        raise NotFound(errors=[{"pointer": pointer, "code": "not_found", "detail": "There is no such card."}])
    if not found.card.proposed:
        raise CardDecided(errors=[{"pointer": pointer, "code": CardDecided.code, "detail": CardDecided.detail}])


def _taken_over(old: CardWithFaces, card: Card, block_text: str) -> CardWithFaces:
    for name in _TAKEN_OVER:
        setattr(old.card, name, getattr(card, name))
    old.card.block_text = block_text
    old.card.version += 1
    return old


def _write(replaced: Iterable[CardWithFaces]) -> None:
    cards = list(replaced)
    if cards:
        Card.objects.bulk_update([card for card, _ in cards], [*_TAKEN_OVER, "block_text", "version"])
        synchronize_faces(cards)


def _reset(cards: Sequence[CardWithFaces], terms: Terms) -> None:
    faces = {card.pk: faces for card, faces in cards}
    if faces:
        StudyEvent.objects.bulk_create([reset_event(face, terms) for each in faces.values() for face in each])
        refold(faces)
        write_faces([face for each in faces.values() for face in each])


def _accept(cards: Sequence[CardWithFaces]) -> None:
    ids = [card.pk for card, _ in cards]
    Card.objects.filter(pk__in=ids).update(proposed=False, replaces=None, version=F("version") + 1)
    Face.objects.filter(card__in=ids).update(active=True)
    for card, _ in cards:
        card.proposed, card.replaces = False, None
        card.version += 1
