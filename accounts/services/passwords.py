"""Passwords: checking, choosing and changing them."""

from http import HTTPStatus

from django.contrib.auth.hashers import UNUSABLE_PASSWORD_PREFIX, make_password, verify_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.hashers import CURRENT_KIND, kind_of
from accounts.models import User, normalize_email
from accounts.services import equal_work
from accounts.services.sessions import Device, SessionNotOpened, TokenPair, end_all_sessions, open_session
from utils.exceptions import ApplicationError, InvalidRequest

MAX_LENGTH = 1024


class WrongPassword(ApplicationError):
    """The signed-in user's own password, asked for once more, is another one."""

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
    """The active user with this address and this password, whose outdated hash is replaced.

    Whatever is wrong, finding nobody takes the same work. Raises ``TooManyChecks``.
    """
    user = User.objects.filter(email=normalize_email(email)).first()
    encoded = user.password if user is not None else UNUSABLE_PASSWORD_PREFIX
    kind = kind_of(encoded)
    is_outdated = kind not in (None, CURRENT_KIND)
    may_enter = user is not None and user.is_active
    # Our own kind comes first, whatever is stored: who is turned away then has done the same as everybody. For a
    # password that nobody can enter, Django hashes for nothing.
    is_correct, _ = verify_password(password, UNUSABLE_PASSWORD_PREFIX if is_outdated else encoded)
    if not is_correct or not may_enter:
        kinds = equal_work.outdated_kinds() | ({kind} if kind and is_outdated else set())
        if kinds:
            with equal_work.turn():
                if is_outdated:
                    is_correct, _ = verify_password(password, encoded)
                equal_work.spend(password, kinds, done=kind)
    if user is None or not may_enter or not is_correct:
        return None
    if is_outdated:
        upgrade(user=user, password=password)
    return user


def upgrade(*, user: User, password: str) -> None:
    """Store a password that was just found right by the preferred hasher, unless it was changed meanwhile."""
    encoded = make_password(password)
    if User.objects.filter(pk=user.pk, password=user.password).update(password=encoded):
        user.password = encoded


def require_acceptable(*, password: str, user: User, field: str) -> None:
    """Raise ``UnacceptablePassword``, pointing at ``field``, unless the password keeps every rule."""
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise UnacceptablePassword(field, error) from error


def confirm(*, user_id: int, password: str, field: str) -> User:
    """Return the signed-in user if the password is theirs. Raises ``WrongPassword`` at ``field``."""
    user = User.objects.filter(pk=user_id, is_active=True).first()
    if user is None or not verify_password(password, user.password)[0]:
        raise WrongPassword(field)
    return user


def change(*, user_id: int, old_password: str, new_password: str, device: Device) -> TokenPair:
    """Replace the user's own password: every session ends, and a new one begins on this device.

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
    """Store a password by its hash, whatever the old one was; every session ends. Inside the caller's transaction."""
    User.objects.filter(pk=user_id).update(password=encoded)
    end_all_sessions(user_id=user_id)
