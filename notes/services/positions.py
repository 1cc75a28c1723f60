"""Positions of siblings: ``order`` counts from 0 without gaps.

Each change is one UPDATE. The caller has claimed the note. Uniqueness is checked at COMMIT, as orders may collide
temporarily.
"""

from dataclasses import dataclass
from typing import TypeVar

from django.db.models import Case, F, Model, QuerySet, Value, When

from utils.http.errors import InvalidRequest

CHAPTERS_MAX = 100
TOPICS_MAX = 100

ModelT = TypeVar("ModelT", bound=Model)


@dataclass(frozen=True, slots=True)
class Children:
    """A type of children, and their maximum number in one parent."""

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
    detail = "The limit is reached. No more can be added here."

    def __init__(self, children: Children) -> None:
        detail = f"A {children.parent} has at most {children.maximum} {children.name}."
        super().__init__(detail, errors=[{"pointer": f"/{children.parent}", "code": self.code, "detail": detail}])


def check_order(order: int, *, last: int) -> int:
    """Return the order if it is from 0 to ``last``. Raises :class:`OrderOutOfRange`."""
    if not 0 <= order <= last:
        raise OrderOutOfRange(last)
    return order


def make_room(siblings: QuerySet[ModelT], order: int | None, children: Children) -> int:
    """Free a position for one more sibling, the last one if ``order`` is None; return its order.

    Raises :class:`TooManyChildren` and :class:`OrderOutOfRange`.
    """
    count = siblings.count()
    if count >= children.maximum:
        raise TooManyChildren(children)
    if order is None:
        return count
    siblings.filter(order__gte=check_order(order, last=count)).update(order=F("order") + 1)
    return order


def close_gap(siblings: QuerySet[ModelT], order: int) -> None:
    siblings.filter(order__gt=order).update(order=F("order") - 1)


def shift(siblings: QuerySet[ModelT], *, pk: int, old: int, new: int) -> None:
    """Move one of the siblings to another position; those in between are shifted by one."""
    step = 1 if new < old else -1
    siblings.filter(order__range=sorted((old, new))).update(
        order=Case(When(pk=pk, then=Value(new)), default=F("order") + step)
    )
