"""How sessions are looked up."""

from typing import Self

from django.db import models
from django.db.models.functions import Now


class SessionQuerySet(models.QuerySet):
    def owned_by(self, user_id: int) -> Self:
        return self.filter(user_id=user_id)

    def live(self) -> Self:
        """Sessions that can still be refreshed: neither revoked nor expired, of a user who is active."""
        return self.filter(revoked_at=None, expires_at__gt=Now(), user__is_active=True)
