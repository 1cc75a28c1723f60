"""Registration and login."""

from dataclasses import dataclass
from http import HTTPStatus

import psycopg.errors
from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction

from accounts.models import User, normalize_email
from accounts.services import passwords
from accounts.services.sessions import Device, SessionNotOpened, TokenPair, open_session
from utils.http.errors import ApplicationError


class InvalidCredentials(ApplicationError):
    """No active user has this email and password. The response does not say which of them is wrong."""

    code = "invalid_credentials"
    status_code = HTTPStatus.UNAUTHORIZED
    detail = "The email or the password is wrong."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


class EmailTaken(ApplicationError):
    code = "email_taken"
    status_code = HTTPStatus.BAD_REQUEST
    detail = "An account with this email already exists."

    def __init__(self) -> None:
        super().__init__(errors=[{"pointer": "/email", "code": self.code, "detail": self.detail}])


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    tokens: TokenPair


def register(*, email: str, name: str, password: str, device: Device) -> SignedIn:
    """Create an account and begin its first session. Raises ``EmailTaken``, ``UnacceptablePassword``."""
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
    """Begin a session: one read and one write, or two of each if the stored hash is outdated.

    Raises ``InvalidCredentials``, always after the same work, and ``TooManyChecks``.
    """
    user = passwords.authenticate(email=email, password=password)
    if user is None:
        raise InvalidCredentials
    try:
        tokens = open_session(user_id=user.pk, token_version=user.token_version, device=device)
    except SessionNotOpened as error:
        raise InvalidCredentials from error
    return SignedIn(user, tokens)
