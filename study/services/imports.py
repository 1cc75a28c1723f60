"""Imports cards and reviews from an account's export.

Card ids here derive from the user and the exported ids, so importing twice creates no duplicates. Reviews keep their
ids. Schedules are computed from the imported log, which gives the same times as in the other account.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from django.db import connection
from django.db.models import F

from study.models import Card, Face, StudyEvent
from study.services.budgets import Size, charge_cards, size_of_new
from study.services.cards import faces_for
from study.services.locking import importing, studying
from study.services.schedules import refold, write_faces
from study.services.statements import CardWithFaces, lock_cards

_NAMESPACE = UUID("5f0b7c86-0c1d-4b5e-8f53-8a4d2a3f1b60")
_TOGETHER = 500


def import_cards(*, user_id: int, rows: Sequence[Mapping[str, Any]]) -> set[UUID]:
    """Add the cards that the user does not have yet, given by their columns; return their ids in the export.

    Topics and blocks must be the user's. A card that the user deleted comes back with its schedule. Raises as
    ``charge_cards``.
    """
    made: set[UUID] = set()
    size = Size()
    with importing(user_id):
        for part in _parts(rows):
            replaced = (row["replaces"] for row in part if row["replaces"] is not None)
            ids = _ids_here(user_id, [*(row["id"] for row in part), *replaced])
            there = set(Card.objects.filter(pk__in=ids.values()).values_list("pk", flat=True))
            new = {row["id"]: row for row in part if ids[row["id"]] not in there}
            cards = [
                Card(**{**row, "id": ids[row["id"]], "replaces": ids.get(row["replaces"]), "user_id": user_id})
                for row in new.values()
            ]
            faces = {card.pk: faces_for(card) for card in cards}
            refold(faces)
            Card.objects.bulk_create(cards)
            Face.objects.bulk_create(face for of_card in faces.values() for face in of_card)
            size = size.plus(size_of_new(CardWithFaces(card, faces[card.pk]) for card in cards))
            made.update(new)
        connection.check_constraints()  # check now, not at the commit, which would hold the lock
        with studying(user_id):
            charge_cards(user_id=user_id, grown=size)
    return made


def import_events(*, user_id: int, rows: Sequence[Mapping[str, Any]]) -> int:
    """Add the log entries that the user does not have yet, given by their columns; return how many.

    Updates the cards' schedules.
    """
    changed: set[UUID] = set()
    count = 0
    with importing(user_id), studying(user_id):
        for part in _parts(rows):
            ids = _ids_here(user_id, (row["card_id"] for row in part))
            log = StudyEvent.objects.owned_by(user_id)
            there = set(log.filter(event_id__in=[row["event_id"] for row in part]).values_list("event_id", flat=True))
            undone = set(log.filter(undoes__in=[row["undoes"] for row in part]).values_list("undoes", flat=True))
            added: dict[UUID, StudyEvent] = {}
            for row in part:
                if row["event_id"] in there or row["undoes"] in undone:
                    continue
                undone.update([] if row["undoes"] is None else [row["undoes"]])
                added[row["event_id"]] = _event(user_id, row, ids[row["card_id"]])
            StudyEvent.objects.bulk_create(added.values())
            changed.update(event.card_id for event in added.values())
            count += len(added)
        for some in _parts(sorted(changed)):
            cards = lock_cards(user_id, some)
            refold({pk: found.faces for pk, found in cards.items()})
            write_faces([face for found in cards.values() for face in found.faces])
            Card.objects.filter(pk__in=list(cards)).update(version=F("version") + 1)
    return count


def _event(user_id: int, row: Mapping[str, Any], card_id: UUID) -> StudyEvent:
    data = row["data"]
    if row["kind"] == StudyEvent.Kind.REVIEW and data is None and card_id != row["card_id"]:
        data = {"card_id": str(row["card_id"])}
    return StudyEvent(**{**row, "user_id": user_id, "card_id": card_id, "data": data})


def _ids_here(user_id: int, ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Map exported card ids to ids here: the same id if the user has or had the card, otherwise a derived one."""
    wanted = list(ids)
    mine = set(Card.objects.owned_by(user_id).filter(pk__in=wanted).values_list("pk", flat=True))
    mine |= set(StudyEvent.objects.owned_by(user_id).filter(card_id__in=wanted).values_list("card_id", flat=True))
    return {pk: pk if pk in mine else uuid5(_NAMESPACE, f"{user_id}\n{pk}") for pk in wanted}


def _parts(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(rows), _TOGETHER):
        yield rows[start : start + _TOGETHER]
