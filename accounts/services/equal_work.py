"""Failed logins take the same work, however the password is stored that they were compared with.

A hash from elsewhere may take ten times as long to check as ours. Waiting hides that only while the machine is idle, so
whoever fails does the work of each kind of hash that anybody still has. Where all are ours, which is the rule, that is
a query more and nothing else.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import verify_password
from django.db.models import CharField, F, Func, Value

from accounts.hashers import kind_of
from accounts.models import HAS_OUTDATED_HASH, User
from utils.exceptions import Unavailable

RETRY_AFTER_SECONDS = 2

_turns = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))
"""Held while outdated hashes are checked: it takes seconds when many do so at once, and threads must be left."""

_PBKDF2 = "pbkdf2_sha256$"
_REST = "$c2FsdHNhbHRzYWx0$" + "A" * 43
"""Makes any kind a whole hash, of no password."""


class TooManyChecks(Unavailable):
    """As many outdated hashes are being checked as may be at a time."""

    code = "too_many_checks"

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


@contextmanager
def turn() -> Iterator[None]:
    """Check outdated hashes inside this block. Raises ``TooManyChecks``."""
    if not _turns.acquire(blocking=False):
        raise TooManyChecks
    try:
        yield
    finally:
        _turns.release()


def outdated_kinds() -> set[str]:
    """The kinds of outdated hashes that anybody has. Reads their rows only, by an index of them."""
    kind = Func(
        F("password"), Value(r"\$[^$]*\$[^$]*$"), Value(""), function="regexp_replace", output_field=CharField()
    )
    kinds = User.objects.filter(HAS_OUTDATED_HASH).values_list(kind, flat=True).distinct()
    return {kind for kind in kinds if kind_of(kind + _REST)}


def spend(password: str, kinds: Collection[str], *, done: str | None) -> None:
    """Do the work of checking one hash of each kind but ``done``, which was checked.

    Of PBKDF2 the slowest kind counts: its iterations can be made up for.
    """
    rest = max(map(_iterations, kinds), default=0) - (_iterations(done) if done else 0)
    others = [kind for kind in kinds if kind != done and not kind.startswith(_PBKDF2)]
    if rest > 0:
        others.append(f"{_PBKDF2}{rest}")
    for kind in others:
        verify_password(password, kind + _REST)


def _iterations(kind: str) -> int:
    return int(kind.removeprefix(_PBKDF2)) if kind.startswith(_PBKDF2) else 0
