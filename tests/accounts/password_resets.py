"""Steps of the tests of password resets."""

from datetime import timedelta

from django.db.models import F

from accounts.models import PasswordReset

REQUEST = "/api/auth/password/reset/"
CONFIRM = "/api/auth/password/reset/confirm/"
NEW = "another rather long secret"


def ask(client, email="alice@example.com"):
    return client.post(REQUEST, {"email": email}, format="json", headers={"X-Request-ID": "1"})


def confirm(client, token, new_password=NEW):
    return client.post(CONFIRM, {"token": token, "new_password": new_password}, format="json")


def make_older(reset: PasswordReset, **delta: float) -> None:
    """Move everything about the request into the past."""
    by = timedelta(**delta)
    PasswordReset.objects.filter(pk=reset.pk).update(
        **{field: F(field) - by for field in ("created_at", "claimed_until", "mailed_at")}
    )
    reset.refresh_from_db()
