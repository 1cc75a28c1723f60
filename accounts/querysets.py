"""How sessions and password resets are looked up."""

from datetime import timedelta
from typing import Self

from django.db import models
from django.db.models.functions import Now

RESET_LIFETIME = timedelta(hours=1)
MAIL_INTERVAL = timedelta(minutes=1)
"""A user is sent no second reset mail within this time."""
SENDING = timedelta(minutes=5)
"""Longer than a mail takes whose server answers each of some twenty steps just within ``EMAIL_TIMEOUT``."""


class SessionQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def live(self) -> Self:
        """Sessions that can still be refreshed: neither revoked nor expired, of a user who is active."""
        return self.filter(revoked_at=None, expires_at__gt=Now(), user__is_active=True)


class PasswordResetQuerySet(models.QuerySet):
    def live(self) -> Self:
        """Resets whose mail still opens the account: unused, an hour old at most, and the user's newest."""
        newer = self.model._default_manager.filter(user=models.OuterRef("user"), pk__gt=models.OuterRef("pk"))
        return self.filter(
            ~models.Exists(newer), used_at=None, created_at__gt=Now() - RESET_LIFETIME, user__is_active=True
        )

    def due(self) -> Self:
        """Live resets whose mail is not out, and of whose user none is being sent or was a moment ago."""
        claimed = self.model._default_manager.filter(user=models.OuterRef("user"), claimed_until__gt=Now())
        return self.live().filter(~models.Exists(claimed), mailed_at=None)
