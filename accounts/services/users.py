"""Changes of an account by its user or by operators."""

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts.models import User
from accounts.services import passwords
from accounts.services.sessions import raise_token_version
from utils.monitoring import audit
from utils.page_cache.invalidation import changing_pages_of


def rename(*, user_id: int, name: str) -> None:
    """Change the user's name. Raises ``User.DoesNotExist``."""
    with changing_pages_of(user_id):
        if not User.objects.filter(pk=user_id).update(name=name):
            raise User.DoesNotExist


def change_account(*, user_id: int, email: str, name: str, is_active: bool, is_staff: bool) -> None:
    """Change an account as an operator; a change of its permissions invalidates its access tokens at once.

    Sessions are kept, so a reactivated user need not sign in again. Raises ``User.DoesNotExist``.
    """
    with changing_pages_of(user_id):
        before = User.objects.select_for_update(no_key=True).only("is_active", "is_staff").get(pk=user_id)
        User.objects.filter(pk=user_id).update(email=email, name=name, is_active=is_active, is_staff=is_staff)
        if (before.is_active, before.is_staff) != (is_active, is_staff):
            raise_token_version(user_id=user_id)


def set_password(*, user_id: int, password: str | None) -> None:
    """Set a password as an operator, or make it unusable with None; all sessions end."""
    encoded = make_password(password)
    with transaction.atomic():
        passwords.replace(user_id=user_id, encoded=encoded)
    audit.record("password_change", "by_operator", user_id=user_id)
