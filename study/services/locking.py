"""The start of every write to a student's cards: their settings' row is locked, so such writes come one by one."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from study.models import StudySettings
from study.services.statements import lock_settings


@contextmanager
def studying(user_id: int) -> Iterator[StudySettings]:
    """A transaction that holds the lock of the user's cards, with the user's settings: one query."""
    with transaction.atomic():
        yield _locked(user_id)


def _locked(user_id: int) -> StudySettings:
    found = lock_settings(user_id)
    if found is None:
        StudySettings.objects.bulk_create([StudySettings(user_id=user_id)], ignore_conflicts=True)
        found = lock_settings(user_id)
        assert found is not None
    return found
