"""Grades the answers to a quiz."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from study.quizzes.answers import same_answer
from study.quizzes.languages import decimal_mark

TYPED_ANSWER_MAX = 2_000


class WrongShape(ValueError):
    """An answer of the wrong form: ``code``, ``detail``, and the position in the answer."""

    def __init__(self, code: str, detail: str, *place: str | int) -> None:
        self.code = code
        self.detail = detail
        self.place = place
        super().__init__(detail)


class Grade(NamedTuple):
    correct: bool
    wrong_cards: Sequence[tuple[str, int]]
    """The cards and faces that were answered wrong."""


def check_shape(question: Mapping[str, Any], answer: Any) -> None:
    """Raise :class:`WrongShape` if the answer does not have the form that its question requires."""
    match question["kind"]:
        case "choice":
            if type(answer) is not int:
                raise WrongShape("invalid", "The answer is the index of a choice.")
            if not 0 <= answer < len(question["choices"]):
                raise WrongShape("out_of_range", "There is no choice with this index.")
        case "gap":
            if not isinstance(answer, str):
                raise WrongShape("invalid", "The answer is a text.")
            if len(answer) > TYPED_ANSWER_MAX:
                raise WrongShape("max_length", f"At most {TYPED_ANSWER_MAX} characters.")
        case "order":
            _check_order(question["items"], answer)
        case "match":
            _check_match(question["pairs"], answer)


def _check_order(items: Sequence[Mapping[str, str]], answer: Any) -> None:
    if not isinstance(answer, list):
        raise WrongShape("invalid", "The answer is a list of the items' ids.")
    known = {item["id"] for item in items}
    if len(answer) > len(known):
        raise WrongShape("max_length", f"There are only {len(known)} items.")
    for at, one in enumerate(answer):
        if not isinstance(one, str):
            raise WrongShape("invalid", "An item's id is a text.", at)
        if one not in known:
            raise WrongShape("unknown_item", "There is no such item.", at)
        if one in answer[:at]:
            raise WrongShape("duplicate", "This item is listed twice.", at)
    if len(answer) < len(known):
        raise WrongShape("missing_items", "Name every item once.")


def _check_match(pairs: Mapping[str, Sequence[Mapping[str, str]]], answer: Any) -> None:
    if not isinstance(answer, dict):
        raise WrongShape("invalid", "The answer names for each left item's id that of a right one.")
    lefts, rights = ({item["id"] for item in pairs[side]} for side in ("left", "right"))
    taken = set()
    for left, right in answer.items():
        if left not in lefts:
            raise WrongShape("unknown_item", "There is no such item on the left.", left)
        if not isinstance(right, str):
            raise WrongShape("invalid", "An item's id is a text.", left)
        if right not in rights:
            raise WrongShape("unknown_item", "There is no such item on the right.", left)
        if right in taken:
            raise WrongShape("duplicate", "This item is matched twice.", left)
        taken.add(right)


def grade(question: Mapping[str, Any], solution: Mapping[str, Any], answer: Any, *, language: str) -> Grade:
    """Grade an answer that passed :func:`check_shape`. ``language`` is the student's, empty if unknown.

    In a ``match``, an omitted item is wrong.
    """
    expected = solution["expected"]
    if question["kind"] == "match":
        wrong = [left for left in expected if answer.get(left) != expected[left]]
        cards = solution.get("cards", {})
        return Grade(not wrong, [tuple(cards[left]) for left in wrong if left in cards])
    if question["kind"] == "gap":
        decimal = solution["decimal"]
        given_decimal = decimal_mark(language) if language else decimal
        correct = any(
            same_answer(one, answer, decimal=decimal, given_decimal=given_decimal)
            for one in (expected, *solution["accepted"])
        )
    else:
        correct = answer == expected
    card = solution.get("card")
    return Grade(correct, [] if correct or card is None else [tuple(card)])
