"""System checks of a deployment: what makes a configuration that boots a bad one all the same."""

from typing import Any

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security, deploy=True)
def connections_are_enough(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Each thread of a process may hold one connection at a time."""
    if settings.DB_POOL_MAX >= settings.WEB_THREADS:
        return []
    return [
        checks.Warning(
            f"DB_POOL_MAX ({settings.DB_POOL_MAX}) is below WEB_THREADS ({settings.WEB_THREADS}).",
            hint="Threads will wait for a connection and answer 503 after 5 seconds.",
            id="noteassist.W001",
        )
    ]


@checks.register(checks.Tags.security, deploy=True)
def signing_keys_differ(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.SECRET_KEY != settings.JWT_SIGNING_KEY:
        return []
    return [
        checks.Error(
            "SECRET_KEY and JWT_SIGNING_KEY are the same.",
            hint="Give access tokens a key of their own, so that either can be changed alone.",
            id="noteassist.E001",
        )
    ]
