"""Password resets: a row for each request, a mail that workers send once, and a token derived from the row."""

import logging
import smtplib
import time
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import sanitize_address
from django.db import connection, transaction
from django.db.models.functions import Now
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.models import PasswordReset, User, normalize_email
from accounts.querysets import MAIL_INTERVAL, RESET_LIFETIME, SEND_TIMEOUT
from accounts.services import passwords
from accounts.services.constant_time_response import pad_response_time
from utils.http.errors import ApplicationError
from utils.redis.broker import publish

logger = logging.getLogger(__name__)

SEND_TASK = "accounts.send_password_reset"
_DUE_LIMIT = 500
_NO_RESET_ID = 0

# One statement, so that an address without an account takes the same code path. A request soon after another one
# inserts no row, so that the first mail stays valid.
_REQUEST = """
INSERT INTO accounts_passwordreset (user_id, created_at)
SELECT id, now()
  FROM accounts_user
 WHERE email = %(email)s AND is_active
   AND NOT EXISTS (SELECT FROM accounts_passwordreset AS recent
                    WHERE recent.user_id = accounts_user.id AND recent.used_at IS NULL
                      AND recent.created_at > now() - %(interval)s::interval)
RETURNING id
"""


class InvalidResetToken(ApplicationError):
    """The token is wrong, used, older than an hour, or not the newest one."""

    code = "reset_token_invalid"
    status_code = HTTPStatus.BAD_REQUEST
    detail = "The link is invalid or has expired. Ask for a new one."

    def __init__(self) -> None:
        super().__init__(errors=[{"pointer": "/token", "code": self.code, "detail": self.detail}])


def request_reset(*, email: str) -> None:
    """Queue a reset mail if an active user has this address. Without one, it returns the same after the same time."""
    started = time.monotonic()
    params: dict[str, Any] = {"email": normalize_email(email), "interval": MAIL_INTERVAL}
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST, params)
        row = cursor.fetchone()
    reset_id = row[0] if row else _NO_RESET_ID
    transaction.on_commit(lambda: publish(SEND_TASK, reset_id), robust=True)
    pad_response_time(started)


def confirm_reset(*, token: str, new_password: str) -> int:
    """Set a new password by a reset mail's token, and end all sessions; return the user's id.

    Raises ``InvalidResetToken``, ``UnacceptablePassword``.
    """
    reset = _find(token)
    passwords.require_acceptable(password=new_password, user=reset.user, field="new_password")
    encoded = make_password(new_password)
    with transaction.atomic():
        # The user's row is locked first, as everywhere; the token is used under that lock.
        _lock_user(reset.user_id)
        if not PasswordReset.objects.live().filter(pk=reset.pk).update(used_at=Now()):
            raise InvalidResetToken
        passwords.replace(user_id=reset.user_id, encoded=encoded)
    return reset.user_id


def send_mail(reset_id: int) -> bool:
    """Send a reset's mail, unless it was sent, is being sent or its token is invalid; return whether it was sent.

    Safe to call any number of times: the row is claimed, under its user's lock, for the longest time that a send may
    take. The claim ends ``MAIL_INTERVAL`` after the send; a mail that could not be made or sent is then due again,
    until its token expires. ``sessions.purge_expired`` reports mails that were never sent.
    """
    reset = PasswordReset.objects.select_related("user").filter(pk=reset_id).first()
    if reset is None:
        return False
    with transaction.atomic():
        _lock_user(reset.user_id)
        if not PasswordReset.objects.due().filter(pk=reset_id).update(claimed_until=Now() + SEND_TIMEOUT):
            return False
    try:
        sanitize_address(reset.user.email, settings.DEFAULT_CHARSET)
    except ValueError:
        logger.error("Password reset %d is given up: no mail server can take its address.", reset_id)
        PasswordReset.objects.filter(pk=reset_id).update(used_at=Now())
        return False
    try:
        _message(reset).send()
    except (smtplib.SMTPException, OSError, ValueError) as error:  # ValueError: the mail cannot be built
        logger.error(
            "The mail of password reset %d was not sent (%s). It is tried each minute until its token expires.",
            reset_id,
            type(error).__name__,
        )
        PasswordReset.objects.filter(pk=reset_id).update(claimed_until=Now() + MAIL_INTERVAL)
        return False
    PasswordReset.objects.filter(pk=reset_id).update(mailed_at=Now(), claimed_until=Now() + MAIL_INTERVAL)
    return True


def publish_due() -> int:
    """Queue mails that were not sent, such as those requested while the broker was unavailable; return how many."""
    due = list(PasswordReset.objects.due().order_by("pk").values_list("pk", flat=True)[:_DUE_LIMIT])
    return sum(publish(SEND_TASK, reset_id) for reset_id in due)


def token_of(reset: PasswordReset) -> str:
    """The token in the request's mail: the row's id and an HMAC of the row and its user's address."""
    return f"{reset.pk}-{_signature(reset)}"


def _lock_user(user_id: int) -> None:
    User.objects.select_for_update(no_key=True).filter(pk=user_id).first()


def _signature(reset: PasswordReset) -> str:
    # The signature covers the address: after a change of address, readers of the old mailbox must not use the token.
    row = f"{reset.pk}:{reset.user_id}:{reset.created_at.isoformat()}:{reset.user.email}"
    return salted_hmac("accounts.password-reset", row, algorithm="sha256").hexdigest()


def _find(token: str) -> PasswordReset:
    number, _, signature = token.partition("-")
    if not (number.isascii() and number.isdigit()):
        raise InvalidResetToken
    reset = PasswordReset.objects.live().select_related("user").filter(pk=int(number)).first()
    if reset is None or not constant_time_compare(_signature(reset), signature):
        raise InvalidResetToken
    return reset


def _message(reset: PasswordReset) -> EmailMultiAlternatives:
    # Without the user's name: someone who registers another person's address chooses the name, and could put text into
    # our mail.
    context = {"token": token_of(reset), "minutes": int(RESET_LIFETIME.total_seconds() // 60)}
    message = EmailMultiAlternatives(
        subject="Choose a new password for NoteAssist AI",
        body=render_to_string("accounts/password_reset.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[reset.user.email],
    )
    message.attach_alternative(render_to_string("accounts/password_reset.html", context), "text/html")
    return message
