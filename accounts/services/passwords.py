"""Passwords: checking, choosing and changing them."""

from http import HTTPStatus

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password, verify_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.hashers import CURRENT_KIND, kind_of
from accounts.models import User, normalize_email
from accounts.services import constant_time_login
from accounts.services.sessions import Device, SessionNotOpened, TokenPair, end_all_sessions, open_session
from utils.http.errors import ApplicationError, InvalidRequest

MAX_LENGTH = 1024


class WrongPassword(ApplicationError):
    """The signed-in user did not confirm the request with their current password."""

    code = "wrong_password"
    status_code = HTTPStatus.BAD_REQUEST
    detail = "The password is wrong."

    def __init__(self, field: str) -> None:
        super().__init__(errors=[{"pointer": f"/{field}", "code": self.code, "detail": self.detail}])


class UnacceptablePassword(InvalidRequest):
    """The new password breaks a rule; ``errors`` say which."""

    def __init__(self, field: str, error: ValidationError) -> None:
        super().__init__(
            errors=[
                {"pointer": f"/{field}", "code": reason.code or "invalid", "detail": reason.messages[0]}
                for reason in error.error_list
            ]
        )


def authenticate(*, email: str, password: str) -> User | None:
    """Return the active user with this email and password, or None; an outdated hash is upgraded.

    Every failure takes the same work. Raises ``TooManyChecks``.
    """
    user = User.objects.filter(email=normalize_email(email)).first()
    encoded = user.password if user is not None else UNUSABLE_PASSWORD_PREFIX
    kind = kind_of(encoded)
    is_outdated = kind not in (None, CURRENT_KIND)
    may_sign_in = user is not None and user.is_active
    # A hash of the current kind is always checked first, so that a request refused by TooManyChecks has done the same
    # work as any other. For an unusable password Django checks a dummy hash.
    is_correct, _ = verify_password(password, UNUSABLE_PASSWORD_PREFIX if is_outdated else encoded)
    if not is_correct or not may_sign_in:
        kinds = constant_time_login.outdated_hash_kinds() | ({kind} if kind and is_outdated else set())
        if kinds:
            with constant_time_login.checking_outdated_hashes():
                if is_outdated:
                    is_correct, _ = verify_password(password, encoded)
                constant_time_login.check_dummy_hashes(password, kinds, done=kind)
    if user is None or not may_sign_in or not is_correct:
        return None
    if is_outdated:
        upgrade(user=user, password=password)
    return user


def upgrade(*, user: User, password: str) -> None:
    """Hash a verified password with the current hasher and store it, unless the password was changed meanwhile."""
    encoded = make_password(password)
    if User.objects.filter(pk=user.pk, password=user.password).update(password=encoded):
        user.password = encoded


def require_acceptable(*, password: str, user: User, field: str) -> None:
    """Raise ``UnacceptablePassword``, pointing at ``field``, unless the password passes every validator."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise UnacceptablePassword(field, error) from error


def confirm(*, user_id: int, password: str, field: str) -> User:
    """Return the signed-in user if the password is correct. Raises ``WrongPassword``, pointing at ``field``."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not verify_password(password, user.password)[0]:
        raise WrongPassword(field)
    return user


def change(*, user_id: int, old_password: str, new_password: str, device: Device) -> TokenPair:
    """Change the user's own password: all sessions end, and a new one begins on this device.

    Raises ``WrongPassword``, ``UnacceptablePassword``.
    """
    user = confirm(user_id=user_id, password=old_password, field="old_password")
    require_acceptable(password=new_password, user=user, field="new_password")
    encoded = make_password(new_password)
    try:
        with transaction.atomic():
            if not User.objects.filter(pk=user_id, password=user.password).update(password=encoded):
                raise WrongPassword("old_password")
            version = end_all_sessions(user_id=user_id)
            return open_session(user_id=user_id, token_version=version, device=device)
    except SessionNotOpened as error:
        raise WrongPassword("old_password") from error


def replace(*, user_id: int, encoded: str) -> None:
    """Store a password hash without checking the old password; all sessions end. Call it inside a transaction."""
    User.objects.filter(pk=user_id).update(password=encoded)
    end_all_sessions(user_id=user_id)
