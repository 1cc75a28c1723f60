"""Coming in: registering and logging in."""

import time
from dataclasses import dataclass
from http import HTTPStatus

import psycopg.errors
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction

from accounts.models import User, normalize_email
from accounts.services import passwords
from accounts.services.sessions import Device, SessionNotOpened, TokenPair, open_session
from accounts.services.steady_time import wait_out
from utils.exceptions import ApplicationError


class InvalidCredentials(ApplicationError):
    """No active user has this address and this password; which of the three it is, nobody is told."""

    code = "invalid_credentials"
    status_code = HTTPStatus.UNAUTHORIZED
    detail = "The email or the password is wrong."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class EmailTaken(ApplicationError):
    code = "email_taken"
    status_code = HTTPStatus.BAD_REQUEST
    detail = "There is an account with this email already."

    def __init__(self) -> None:
        super().__init__(errors=[{"pointer": "/email", "code": self.code, "detail": self.detail}])


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    tokens: TokenPair


def register(*, email: str, name: str, password: str, device: Device) -> SignedIn:
    """Make an account and begin its first session. Raises ``EmailTaken``, ``UnacceptablePassword``."""
    user = User(email=normalize_email(email), name=name)
    passwords.require_acceptable(password=password, user=user, field="password")
    user.password = make_password(password)
    try:
        with transaction.atomic():
            user.save(force_insert=True)
            tokens = open_session(user_id=user.pk, token_version=user.token_version, device=device)
    except IntegrityError as error:
        if isinstance(error.__cause__, psycopg.errors.UniqueViolation):
            raise EmailTaken from error
        raise
    return SignedIn(user, tokens)


def log_in(*, email: str, password: str, device: Device) -> SignedIn:
    """Begin a session: one read and one write, or two if the stored password is out of date.

    Raises ``InvalidCredentials``, after the same time whatever is wrong, also for a password whose old hash takes
    longer to check.
    """
    started = time.monotonic()
    user = User.objects.filter(email=normalize_email(email)).first()
    verdict = passwords.check(password=password, user=user)
    if user is None or not user.is_active or not verdict.is_correct:
        wait_out(started)
        raise InvalidCredentials
    if verdict.is_outdated:
        passwords.upgrade(user=user, password=password)
    try:
        tokens = open_session(user_id=user.pk, token_version=user.token_version, device=device)
    except SessionNotOpened as error:
        wait_out(started)
        raise InvalidCredentials from error
    return SignedIn(user, tokens)
