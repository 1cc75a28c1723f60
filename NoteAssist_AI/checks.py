"""System checks: find configurations that start but do not work well."""

from typing import Any

from django.conf import settings
from django.core import checks


@checks.register(checks.Tags.security, deploy=True)
def connections_are_enough(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Each thread of a process may need one connection at a time."""
    if settings.DB_POOL_MAX >= settings.WEB_THREADS:
        return []
    return [
        checks.Warning(
            f"DB_POOL_MAX ({settings.DB_POOL_MAX}) is below WEB_THREADS ({settings.WEB_THREADS}).",
            hint="Threads will wait for a connection and respond with 503 after 5 seconds.",
            id="noteassist.W001",
        )
    ]


KNOWN_TO_FAST_READS = {
    "utils.middleware.RequestMiddleware",
    "utils.middleware.ContentSecurityPolicyMiddleware",
    "utils.middleware.ProblemDetailsMiddleware",
    "utils.middleware.HostMiddleware",
    "utils.middleware.BodyLimitMiddleware",
    "corsheaders.middleware.CorsMiddleware",
    "utils.middleware.RefusePlainHttpMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "utils.middleware.QueryCountDebugMiddleware",
    "utils.middleware.AdminSessionMiddleware",
    "utils.middleware.ContentLengthMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "utils.middleware.AdminAuthenticationMiddleware",
    "utils.middleware.AdminMessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "debug_toolbar.middleware.DebugToolbarMiddleware",  # active on browser pages only
}
"""Middleware that only adds headers which depend on the kind of client, or does nothing for a fast read."""


@checks.register(checks.Tags.compatibility)
def middleware_is_known_to_fast_reads(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Fast reads run the middleware once for each kind of client; one that must handle each request does not work."""
    return [
        checks.Error(
            f"Fast reads do not know the middleware {name}.",
            hint="It runs once for each kind of client, not for each fast read (NoteAssist_AI/before_django.py). If "
            "that is enough, add it to KNOWN_TO_FAST_READS; if not, implement it there as well.",
            id="noteassist.E002",
        )
        for name in settings.MIDDLEWARE
        if name not in KNOWN_TO_FAST_READS
    ]


DEFAULTS_OF_FAST_READS = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.SessionJWTAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["utils.admission.throttling.AdmissionThrottle"],
}
"""The checks that fast reads make themselves."""


@checks.register(checks.Tags.compatibility)
def defaults_are_known_to_fast_reads(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Fast reads must make all checks that the settings make views do by default."""
    return [
        checks.Error(
            f"Fast reads do not make the checks of REST_FRAMEWORK[{name!r}].",
            hint=f"They make those of {', '.join(known)}. Implement others in NoteAssist_AI/before_django.py, too, and "
            "add them to DEFAULTS_OF_FAST_READS.",
            id="noteassist.E003",
        )
        for name, known in DEFAULTS_OF_FAST_READS.items()
        if list(settings.REST_FRAMEWORK[name]) != known
    ]


@checks.register(checks.Tags.security, deploy=True)
def signing_keys_differ(**_kwargs: Any) -> list[checks.CheckMessage]:
    if settings.SECRET_KEY != settings.JWT_SIGNING_KEY:
        return []
    return [
        checks.Error(
            "SECRET_KEY and JWT_SIGNING_KEY are the same.",
            hint="Use different keys, so that either can be changed alone.",
            id="noteassist.E001",
        )
    ]
