"""The faces of a card: each is one question with its own schedule.

A basic card has one face. A reversed card has two: 1 asks for the back, 2 for the front. A cloze card has one face per
deletion number, in Anki's syntax: ``{{c1::Paris}}`` or ``{{c1::Paris::a city}}``.
"""

import re
from collections.abc import Sequence

FACES_MAX = 50
_DELETION = re.compile(r"\{\{c(\d{1,9})::")


class InvalidCloze(ValueError):
    """A cloze card without deletions, with too many, or with one whose number is out of range."""


def faces_of(kind: str, front: str) -> Sequence[int]:
    """The numbers of the card's faces, in order. Raises :class:`InvalidCloze`."""
    if kind == "basic":
        return (1,)
    if kind == "reversed":
        return (1, 2)
    numbers = sorted({int(number) for number in _DELETION.findall(front)})
    if not numbers:
        raise InvalidCloze("A cloze card needs a deletion, such as {{c1::Paris}}.")
    if len(numbers) > FACES_MAX or numbers[0] < 1 or numbers[-1] > 500:
        raise InvalidCloze(f"A cloze card has at most {FACES_MAX} deletions, numbered from 1 to 500.")
    return numbers
