"""Forgotten passwords: a row for each request, a mail that workers send once, a token that only the row gives back."""

import logging
import smtplib
import time
from functools import partial
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
from accounts.querysets import MAIL_INTERVAL, RESET_LIFETIME, SENDING
from accounts.services import passwords
from accounts.services.steady_time import wait_out
from utils.exceptions import ApplicationError
from utils.messaging import publish

logger = logging.getLogger(__name__)

SEND_TASK = "accounts.send_password_reset"
_DUE_LIMIT = 500
_NOBODY = 0

# One statement, so that an address without an account takes the same path. A request that comes right after another
# leaves that one's mail good.
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
    """Have a reset mail sent if an active user has this address. Takes the same time if not, and tells nobody."""
    started = time.monotonic()
    params: dict[str, Any] = {"email": normalize_email(email), "interval": MAIL_INTERVAL}
    with connection.cursor() as cursor:
        cursor.execute(_REQUEST, params)
        row = cursor.fetchone()
    reset_id = row[0] if row else _NOBODY
    transaction.on_commit(partial(publish, SEND_TASK, reset_id), robust=True)
    wait_out(started)


def confirm_reset(*, token: str, new_password: str) -> None:
    """Set a new password by a mail's token; every session ends.

    Raises ``InvalidResetToken``, ``UnacceptablePassword``.
    """
    reset = _find(token)
    passwords.require_acceptable(password=new_password, user=reset.user, field="new_password")
    encoded = make_password(new_password)
    with transaction.atomic():
        # The user's row is locked first, as everywhere, and the token is spent last but under that lock.
        _lock_user(reset.user_id)
        if not PasswordReset.objects.live().filter(pk=reset.pk).update(used_at=Now()):
            raise InvalidResetToken
        passwords.replace(user_id=reset.user_id, encoded=encoded)


def send_mail(reset_id: int) -> bool:
    """Send the mail of one request unless that is done, under way or pointless; whether it was sent.

    Safe to call any number of times: the row is claimed under its user's lock for as long as a send may take. The claim
    ends ``MAIL_INTERVAL`` after the send; then a mail that its server did not take is due again.
    """
    reset = PasswordReset.objects.select_related("user").filter(pk=reset_id).first()
    if reset is None:
        return False
    with transaction.atomic():
        _lock_user(reset.user_id)
        if not PasswordReset.objects.due().filter(pk=reset_id).update(claimed_until=Now() + SENDING):
            return False
    try:
        sanitize_address(reset.user.email, settings.DEFAULT_CHARSET)
    except ValueError:
        logger.warning("The mail of password reset %d has an address that no server can take.", reset_id)
        PasswordReset.objects.filter(pk=reset_id).update(used_at=Now())
        return False
    try:
        _message(reset).send()
    except (smtplib.SMTPException, OSError) as error:
        logger.warning("The mail of password reset %d was not sent: %s", reset_id, type(error).__name__)
        PasswordReset.objects.filter(pk=reset_id).update(claimed_until=Now() + MAIL_INTERVAL)
        return False
    PasswordReset.objects.filter(pk=reset_id).update(mailed_at=Now(), claimed_until=Now() + MAIL_INTERVAL)
    return True


def publish_due() -> int:
    """Queue the mails that nobody sent, such as those asked for while the broker was away; return how many."""
    due = list(PasswordReset.objects.due().order_by("pk").values_list("pk", flat=True)[:_DUE_LIMIT])
    return sum(publish(SEND_TASK, reset_id) for reset_id in due)


def token_of(reset: PasswordReset) -> str:
    """The token in the request's mail: the row's id and an HMAC of the row and its user's address."""
    return f"{reset.pk}-{_signature(reset)}"


def _lock_user(user_id: int) -> None:
    User.objects.select_for_update(no_key=True).filter(pk=user_id).first()


def _signature(reset: PasswordReset) -> str:
    # With the address that it was sent to: who reads there may no longer be the user.
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
    # Without the user's name: whoever registers somebody else's address chooses it, and would write in our mail.
    context = {"token": token_of(reset), "minutes": int(RESET_LIFETIME.total_seconds() // 60)}
    message = EmailMultiAlternatives(
        subject="Choose a new password for NoteAssist AI",
        body=render_to_string("accounts/password_reset.txt", context),
        from_email=settings.DEFAULT_FROM_EMAIL,
        to=[reset.user.email],
    )
    message.attach_alternative(render_to_string("accounts/password_reset.html", context), "text/html")
    return message
