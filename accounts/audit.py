"""Writes sign-ins and changes of accounts to the audit log."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.dispatch import receiver
from django.http import HttpRequest
from rest_framework.request import Request

from accounts.models import User
from utils.http.client_address import client_address
from utils.http.errors import ApplicationError, TooManyRequests
from utils.monitoring import audit

THROTTLED = "throttled"
WAS_THROTTLED = "noteassist.login-throttled"
"""A key of ``request.META``: set by the admin's backend if a login failed because it was throttled."""


class Audited:
    """The subject of an audit line. ``user_id`` may be set once it is known."""

    def __init__(self, user_id: int | None) -> None:
        self.user_id = user_id


@contextmanager
def audited(
    request: Request, what: str, *, email: str = "", user_id: int | None = None, failures_only: bool = False
) -> Iterator[Audited]:
    """Log the action in the block with its outcome. An ``ApplicationError`` is logged and raised again."""
    subject = Audited(user_id)
    try:
        yield subject
    except ApplicationError as error:
        outcome = THROTTLED if isinstance(error, TooManyRequests) else error.code
        _record(request, what, outcome, subject, email)
        raise
    if not failures_only:
        _record(request, what, "ok", subject, email)


def _record(request: Request, what: str, outcome: str, subject: Audited, email: str) -> None:
    known = subject.user_id is not None
    audit.record(what, outcome, user_id=subject.user_id, email="" if known else email, address=client_address(request))


@receiver(user_logged_in)
def _admin_login(request: HttpRequest, user: User, **_kwargs: Any) -> None:
    audit.record("admin_sign_in", "ok", user_id=user.pk, address=client_address(request))


@receiver(user_login_failed)
def _failed_admin_login(credentials: dict[str, Any], request: HttpRequest | None = None, **_kwargs: Any) -> None:
    if request is not None:
        outcome = THROTTLED if WAS_THROTTLED in request.META else "invalid_credentials"
        email = str(credentials.get("username") or "")
        audit.record("admin_sign_in", outcome, email=email, address=client_address(request))


def second_factor(request: HttpRequest, outcome: str) -> None:
    """Log that an operator entered a second factor after the correct password."""
    audit.record("admin_second_factor", outcome, user_id=request.user.pk, address=client_address(request))


def no_operator(request: HttpRequest | None, user: User) -> None:
    """Log a correct password at the admin of a user who is not an operator."""
    address = "" if request is None else client_address(request)
    audit.record("admin_sign_in", "no_operator", user_id=user.pk, address=address)
