"""The start of every write to a student's cards: their settings' row is locked, so such writes come one by one.

An import may take a minute, and no review should wait for that. So imports come one by one by a lock of their own, and
write without the other one what nobody else can see or touch yet.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from study.models import StudySettings
from study.services.statements import lock_settings


@contextmanager
def studying(user_id: int) -> Iterator[StudySettings]:
    """A transaction that holds the lock of the user's cards, with the user's settings: one query."""
    with transaction.atomic():
        yield _locked(user_id)


@contextmanager
def importing(user_id: int) -> Iterator[None]:
    """A transaction in which the user has no other import of cards. Enter it before :func:`studying`."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"study.importing {user_id}"])
        yield


def _locked(user_id: int) -> StudySettings:
    found = lock_settings(user_id)
    if found is None:
        StudySettings.objects.bulk_create([StudySettings(user_id=user_id)], ignore_conflicts=True)
        found = lock_settings(user_id)
        assert found is not None
    return found
