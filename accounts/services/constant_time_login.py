"""Constant-time login: a failed login does the same work for every kind of password hash.

An imported hash may take ten times as long to check as a current one, which would reveal that the account exists.
Sleeping hides the difference only on an idle machine. So a failed login checks one dummy hash of every outdated kind in
the database. Usually there is none, and the cost is one query.
"""

import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.contrib.auth.hashers import verify_password
from django.db.models import CharField, F, Func, Value

from accounts.hashers import kind_of
from accounts.models import HAS_OUTDATED_HASH, User
from utils.http.errors import Unavailable

RETRY_AFTER_SECONDS = 2

_check_slots = threading.BoundedSemaphore(max(1, settings.WEB_THREADS // 4))
"""Limits concurrent checks of outdated hashes: many at once take seconds, and would occupy all threads."""

_PBKDF2 = "pbkdf2_sha256$"
_DUMMY_SUFFIX = "$c2FsdHNhbHRzYWx0$" + "A" * 43
"""Salt and digest that complete any hash kind to a hash that no password matches."""


class TooManyChecks(Unavailable):
    """The limit of concurrent checks of outdated hashes is reached."""

    code = "too_many_checks"
    detail = "Too many passwords are being checked. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


@contextmanager
def checking_outdated_hashes() -> Iterator[None]:
    """Hold a slot for checking outdated hashes. Raises ``TooManyChecks``."""
    if not _check_slots.acquire(blocking=False):
        raise TooManyChecks
    try:
        yield
    finally:
        _check_slots.release()


def outdated_hash_kinds() -> set[str]:
    """The kinds of outdated hashes in the database. Reads only the rows that have one, by a partial index."""
    kind = Func(
        F("password"), Value(r"\$[^$]*\$[^$]*$"), Value(""), function="regexp_replace", output_field=CharField()
    )
    kinds = User.objects.filter(HAS_OUTDATED_HASH).values_list(kind, flat=True).distinct()
    return {kind for kind in kinds if kind_of(kind + _DUMMY_SUFFIX)}


def check_dummy_hashes(password: str, kinds: Collection[str], *, done: str | None) -> None:
    """Check a dummy hash of each kind, except ``done``, a hash of which was already checked.

    PBKDF2's work is proportional to its iterations, so one dummy makes up the difference to the slowest PBKDF2 kind.
    """
    missing_iterations = max(map(_iterations, kinds), default=0) - (_iterations(done) if done else 0)
    others = [kind for kind in kinds if kind != done and not kind.startswith(_PBKDF2)]
    if missing_iterations > 0:
        others.append(f"{_PBKDF2}{missing_iterations}")
    for kind in others:
        verify_password(password, kind + _DUMMY_SUFFIX)


def _iterations(kind: str) -> int:
    return int(kind.removeprefix(_PBKDF2)) if kind.startswith(_PBKDF2) else 0
