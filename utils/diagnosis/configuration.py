"""Checks of the settings that need no other service."""

from collections.abc import Iterator

from django.conf import settings

from utils.diagnosis import Options, Result, check


@check("settings")
def look(_options: Options) -> Iterator[Result]:
    yield True, f"environment {settings.ENVIRONMENT}, DEBUG {'on' if settings.DEBUG else 'off'}"
    enough = settings.DB_POOL_MAX >= settings.WEB_THREADS
    yield enough, f"DB_POOL_MAX {settings.DB_POOL_MAX} for WEB_THREADS {settings.WEB_THREADS}"
