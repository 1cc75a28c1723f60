"""Limits the number and the size of a student's cards.

The student's settings row stores both totals. Every write to cards locks this row first and changes the totals by what
it adds or removes, so the cost does not grow with the number of cards. An unknown total (None) is computed when a write
needs it.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import connection
from rest_framework import status

from notes.services import OverBudget
from study.services.statements import CardWithFaces

FACE_BYTES = 400
"""The size of a face's schedule in bytes, indexes included, which counts towards the limit."""

_SIZES = f"""
SELECT count(*) AS cards, coalesce(sum(
    octet_length(front) + octet_length(back) + octet_length(block_text) + octet_length(array_to_string(tags, ''))
), 0)::bigint + {FACE_BYTES} * (SELECT count(*) FROM study_face WHERE %s) AS bytes FROM study_card WHERE %s
"""
"""Long texts need not be read: the database knows their sizes."""
_OF_CARDS = _SIZES % ("card_id = ANY(%s)", "id = ANY(%s)")
_OF_USER = _SIZES % ("user_id = %s", "user_id = %s")
_CHANGE = """
UPDATE study_studysettings SET card_count = greatest(card_count + %s, 0), card_bytes = greatest(card_bytes + %s, 0)
WHERE user_id = %s AND card_count IS NOT NULL RETURNING card_count, card_bytes
"""
_COUNT = f"""
UPDATE study_studysettings SET card_count = m.cards, card_bytes = m.bytes FROM ({_OF_USER}) m
WHERE user_id = %s RETURNING card_count, card_bytes
"""


class TooManyCards(OverBudget):
    """``limit``, ``used`` and ``left`` are numbers of cards."""

    code = "too_many_cards"
    detail = "The limit of cards is reached. Delete some first."
    status_code = status.HTTP_409_CONFLICT


class CardsFull(OverBudget):
    code = "cards_full"
    detail = "The storage for your cards is full. Delete some first."


class Size(NamedTuple):
    cards: int = 0
    bytes: int = 0

    def plus(self, other: "Size") -> "Size":
        return Size(self.cards + other.cards, self.bytes + other.bytes)

    def less(self, other: "Size") -> "Size":
        return Size(self.cards - other.cards, self.bytes - other.bytes)


def size_of(card_ids: Collection[UUID]) -> Size:
    """The number and the size of these cards: one query."""
    found = _first_row(_OF_CARDS, [list(card_ids), list(card_ids)])
    assert found is not None  # it is a sum
    return Size(*found)


def size_of_new(cards: Iterable[CardWithFaces]) -> Size:
    """The number and the size of cards that were just made: no query."""
    sizes = [
        sum(len(text.encode()) for text in (card.front, card.back, card.block_text, *card.tags))
        + FACE_BYTES * len(faces)
        for card, faces in cards
    ]
    return Size(len(sizes), sum(sizes))


@contextmanager
def changing_cards(user_id: int, card_ids: Collection[UUID], *, is_limited: bool = True) -> Iterator[None]:
    """Charge the difference that the block makes to these cards, deletions included. Raises as :func:`charge_cards`."""
    before = size_of(card_ids)
    yield
    charge_cards(user_id=user_id, grown=size_of(card_ids).less(before), is_limited=is_limited)


def charge_cards(*, user_id: int, grown: Size, is_limited: bool = True) -> None:
    """Add to the user's totals. The caller's transaction must hold the lock of the user's cards.

    Call it when the cards are written. Raises :class:`TooManyCards` and :class:`CardsFull`. A user who is over a limit
    may still make writes that do not increase the totals.
    """
    if grown == Size():
        return
    used = _first_row(_CHANGE, [*grown, user_id]) or _first_row(_COUNT, [user_id, user_id, user_id])
    assert used is not None  # taking the lock creates the row
    for error, now, more, limit in zip(
        (TooManyCards, CardsFull), used, grown, (settings.CARDS_PER_USER, settings.CARD_BYTES_PER_USER), strict=True
    ):
        if is_limited and more > 0 and now > limit:
            raise error(used=now - more, limit=limit)


def _first_row(sql: str, values: Sequence[int | list[UUID]]) -> tuple[int, int] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchone()
