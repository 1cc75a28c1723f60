"""The lock of a student's cards: every write first locks the settings row, so writes run one after the other.

An import may take a minute, and no review should wait for it. So imports have a second lock, and write rows that are
not visible to others yet without the first one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

from study.models import StudySettings
from study.services.statements import lock_settings


@contextmanager
def studying(user_id: int) -> Iterator[StudySettings]:
    """A transaction with the lock of the user's cards; yields the settings. One query."""
    with transaction.atomic():
        yield _locked(user_id)


@contextmanager
def importing(user_id: int) -> Iterator[None]:
    """A transaction with the lock that excludes other imports of the user. Enter it before :func:`studying`."""
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
