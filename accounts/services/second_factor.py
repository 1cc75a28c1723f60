"""The second factor of operators: codes of an authenticator app (TOTP, RFC 6238), or recovery codes instead.

The app's secret is an HMAC of a random text in the row, so neither the database nor its backups hold a secret. A
recovery code has 80 random bits, too many to be guessed; its SHA-256 is stored.
"""

import hashlib
import re
import secrets
from base64 import b32encode
from urllib.parse import quote, urlencode

from django.contrib.postgres.fields import ArrayField
from django.db import models, transaction
from django.db.models import F, Func, Value
from django.utils.crypto import salted_hmac
from django_otp.oath import TOTP

from accounts.models import SecondFactor
from accounts.services.sessions import raise_token_version
from utils.monitoring import audit

ISSUER = "NoteAssist AI"
RECOVERY_CODES = 10

_STEPS_OF_TOLERANCE = 1  # of 30 s each, before and after: for clocks that differ, and people who type slowly
_SECRET_BYTES = 20
_RECOVERY_BYTES = 10
_APP_CODE = re.compile(r"[0-9]{6}")


class InvalidCode(Exception):
    """The code is wrong, too old or already used."""


def is_enrolled(*, user_id: int) -> bool:
    return SecondFactor.objects.filter(user_id=user_id).exists()


def new_seed() -> str:
    """The random seed of a new second factor."""
    return secrets.token_hex(16)


def secret_of(*, user_id: int, seed: str) -> bytes:
    """The secret that the authenticator app shares with the server."""
    return salted_hmac("accounts.second-factor", f"{user_id}:{seed}", algorithm="sha256").digest()[:_SECRET_BYTES]


def otpauth_uri(*, email: str, secret: bytes) -> str:
    """The content of the QR code for authenticator apps (Google's key URI format)."""
    query = urlencode({"secret": b32encode(secret).decode(), "issuer": ISSUER}, quote_via=quote)
    return f"otpauth://totp/{quote(f'{ISSUER}:{email}')}?{query}"


def key_of(secret: bytes) -> str:
    """The secret as people type it into an app: ``ABCD EFGH …``."""
    return _in_fours(b32encode(secret).decode(), " ")


def enroll(*, user_id: int, seed: str, code: str) -> list[str]:
    """Enable the second factor if the app's first code is correct; return the recovery codes, which are never shown
    again.

    Raises ``InvalidCode``, also if the user has a second factor already.
    """
    step = _step_of(code, secret_of(user_id=user_id, seed=seed))
    if step is None:
        raise InvalidCode
    codes = [_new_recovery_code() for _ in range(RECOVERY_CODES)]
    _, is_new = SecondFactor.objects.get_or_create(
        user_id=user_id, defaults={"seed": seed, "last_step": step, "recovery_codes": [_hash(code) for code in codes]}
    )
    if not is_new:
        raise InvalidCode
    return codes


def verify(*, user_id: int, code: str) -> int | None:
    """Accept a code of the app or a recovery code, each once; for a recovery code, return how many are left.

    Raises ``InvalidCode``.
    """
    code = re.sub(r"[\s-]", "", code)
    factor = SecondFactor.objects.filter(user_id=user_id)
    if not _APP_CODE.fullmatch(code):
        return _use_recovery_code(factor, _hash(code))
    found = factor.first()
    if found is None:
        raise InvalidCode
    step = _step_of(code, secret_of(user_id=user_id, seed=found.seed))
    # One statement checks whether the code is new, so of concurrent requests with it only one succeeds.
    if step is None or not factor.filter(last_step__lt=step).update(last_step=step):
        raise InvalidCode
    return None


def reset(*, user_id: int) -> bool:
    """Remove the user's second factor and end their sessions in the admin; False if there is none.

    The next sign-in there enrols a new one.
    """
    with transaction.atomic():
        removed, _ = SecondFactor.objects.filter(user_id=user_id).delete()
        if removed:
            raise_token_version(user_id=user_id)
    if removed:
        audit.record("second_factor_reset", "by_operator", user_id=user_id)
    return bool(removed)


def _step_of(code: str, secret: bytes) -> int | None:
    """The time step of the code; None if it is not near the current one."""
    if not _APP_CODE.fullmatch(code):
        return None
    totp = TOTP(secret)
    return totp.t() if totp.verify(int(code), tolerance=_STEPS_OF_TOLERANCE) else None


def _use_recovery_code(factor: models.QuerySet[SecondFactor], hashed: str) -> int:
    without = Func(
        F("recovery_codes"), Value(hashed), function="array_remove", output_field=ArrayField(models.CharField())
    )
    if not factor.filter(recovery_codes__contains=[hashed]).update(recovery_codes=without):
        raise InvalidCode
    return len(factor.get().recovery_codes)


def _new_recovery_code() -> str:
    """A random code such as ``abcd-efgh-ijkl-mnop``."""
    return _in_fours(b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode().lower(), "-")


def _in_fours(text: str, separator: str) -> str:
    return separator.join(text[first : first + 4] for first in range(0, len(text), 4))


def _hash(recovery_code: str) -> str:
    return hashlib.sha256(recovery_code.replace("-", "").lower().encode()).hexdigest()
