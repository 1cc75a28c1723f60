"""Querysets of sessions and password resets."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models.functions import Now

RESET_LIFETIME = timedelta(hours=1)
MAIL_INTERVAL = timedelta(minutes=1)
"""The shortest time between two reset mails to one user."""
SEND_TIMEOUT = timedelta(minutes=5)
"""Longer than the slowest successful send: about twenty SMTP steps of just under ``EMAIL_TIMEOUT`` each."""


class SessionQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def live(self) -> Self:
        """Sessions that can still be refreshed: neither revoked nor expired, of a user who is active."""
        return self.filter(revoked_at=None, expires_at__gt=Now(), user__is_active=True)


class PasswordResetQuerySet(models.QuerySet):
    def live(self) -> Self:
        """Resets whose token is still valid: unused, at most an hour old, and the user's newest."""
        newer = self.model._default_manager.filter(user=models.OuterRef("user"), pk__gt=models.OuterRef("pk"))
        return self.filter(
            ~models.Exists(newer), used_at=None, created_at__gt=Now() - RESET_LIFETIME, user__is_active=True
        )

    def due(self) -> Self:
        """Live resets whose mail is not sent, of users to whom no mail is being sent or was sent just before."""
        claimed = self.model._default_manager.filter(user=models.OuterRef("user"), claimed_until__gt=Now())
        return self.live().filter(~models.Exists(claimed), mailed_at=None)

    def unsent(self) -> Self:
        """Resets that ended without a mail: no server accepted this one's mail, nor that of a newer one."""
        newer = self.model._default_manager.filter(user=models.OuterRef("user"), pk__gt=models.OuterRef("pk"))
        return self.filter(~models.Exists(newer), mailed_at=None, used_at=None, user__is_active=True)
