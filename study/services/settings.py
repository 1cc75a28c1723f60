"""Reads and writes a student's settings."""

from collections.abc import Collection
from typing import Any

from django.db.models import QuerySet

from study.models import StudySettings
from study.services.locking import studying
from utils.database.compiled_queries import read_rows
from utils.http.errors import PreconditionFailed


class SettingsChanged(PreconditionFailed):
    """The response has ``current_version``."""

    detail = "The settings have changed since you read them."


def get_settings(*, user_id: int) -> StudySettings:
    """The user's settings, or the defaults: one query."""
    rows = read_rows(_settings, user_id=user_id)
    return StudySettings(**rows[0]) if rows else StudySettings(user_id=user_id)


def _settings(user_id: int) -> QuerySet[StudySettings, Any]:
    columns = [field.attname for field in StudySettings._meta.concrete_fields]
    return StudySettings.objects.filter(user_id=user_id).values(*columns)


def update_settings(*, user_id: int, changes: dict[str, Any], if_match: Collection[int] | None = None) -> StudySettings:
    """Change settings, effective from the next review. Unchanged values do not increase the version.

    Raises :class:`SettingsChanged`.
    """
    with studying(user_id) as settings:
        if if_match is not None and settings.version not in if_match:
            raise SettingsChanged(current_version=settings.version)
        changed = [name for name, value in changes.items() if getattr(settings, name) != value]
        if changed:
            for name in changed:
                setattr(settings, name, changes[name])
            settings.version += 1
            settings.save(update_fields=[*changed, "version"])
        return settings
