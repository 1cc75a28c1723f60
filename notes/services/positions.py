"""Places among siblings: ``order`` runs from 0 without gaps.

Each change is one UPDATE. The caller holds the note. Uniqueness is checked at COMMIT: siblings may collide on the way.
"""

from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Case, F, Model, QuerySet, Value, When

from utils.exceptions import InvalidRequest

CHAPTERS_MAX = 100
TOPICS_MAX = 100

ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, slots=True)
class Children:
    """A kind of children, and how many of them one parent may have."""

    name: str
    parent: str
    maximum: int


CHAPTERS = Children("chapters", parent="note", maximum=CHAPTERS_MAX)
TOPICS = Children("topics", parent="chapter", maximum=TOPICS_MAX)


class OrderOutOfRange(InvalidRequest):
    def __init__(self, last: int) -> None:
        detail = f"order must be a whole number from 0 to {last}."
        super().__init__(errors=[{"pointer": "/order", "code": "max_value", "detail": detail}])


class TooManyChildren(InvalidRequest):
    code = "too_many"

    def __init__(self, children: Children) -> None:
        detail = f"A {children.parent} has at most {children.maximum} {children.name}."
        super().__init__(detail, errors=[{"pointer": f"/{children.parent}", "code": self.code, "detail": detail}])


def place(order: int, *, last: int) -> int:
    """The place that is asked for. Raises :class:`OrderOutOfRange`."""
    if not 0 <= order <= last:
        raise OrderOutOfRange(last)
    return order


def make_room(siblings: QuerySet[ModelT], order: int | None, children: Children) -> int:
    """Free a place for one more among the siblings, the last one if ``order`` is None; the place.

    Raises :class:`TooManyChildren` and :class:`OrderOutOfRange`.
    """
    count = siblings.count()
    if count >= children.maximum:
        raise TooManyChildren(children)
    if order is None:
        return count
    siblings.filter(order__gte=place(order, last=count)).update(order=F("order") + 1)
    return order


def close_gap(siblings: QuerySet[ModelT], order: int) -> None:
    siblings.filter(order__gt=order).update(order=F("order") - 1)


def shift(siblings: QuerySet[ModelT], *, pk: int, old: int, new: int) -> None:
    """Move one of the siblings to another place; those between make room."""
    step = 1 if new < old else -1
    siblings.filter(order__range=sorted((old, new))).update(
        order=Case(When(pk=pk, then=Value(new)), default=F("order") + step)
    )
