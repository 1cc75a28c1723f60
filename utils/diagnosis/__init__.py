"""The checks of ``manage.py doctor``. Each app's checks are in its module ``diagnosis``."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of a check. ``text`` says what was found and, if it is bad, what to do."""

    check: str
    is_well: bool
    text: str


@dataclass(frozen=True, slots=True)
class Options:
    canary: bool = False
    """Whether to send an AI task, which may cost money."""


Result = tuple[bool, str]


class _Check(NamedTuple):
    name: str
    look: Callable[[Options], Iterable[Result]]
    needs: tuple[str, ...]


_checks: list[_Check] = []


def check(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[Callable[[Options], Iterable[Result]]], None]:
    """Register a check. It yields results: whether something is in order, and what was found.

    It is skipped if a check that it ``needs`` has failed, so that one cause is reported once.
    """

    def register(look: Callable[[Options], Iterable[Result]]) -> None:
        _checks.append(_Check(name, look, needs))

    return register


def examine(options: Options) -> Iterator[Finding]:
    """Run all checks, those without prerequisites first."""
    bad: set[str] = set()
    for one in sorted(_checks, key=lambda one: len(one.needs)):
        if bad.intersection(one.needs):
            continue
        for is_well, text in one.look(options):
            if not is_well:
                bad.add(one.name)
            yield Finding(one.name, is_well, text)
