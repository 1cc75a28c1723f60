"""The demo accounts of development. Their password is public, so production refuses to start with them."""

from collections.abc import Iterable

from accounts.models import User
from accounts.services.deletion import delete_account

DEMO_EMAIL = "demo@noteassist.local"
DEMO_ADMIN_EMAIL = "admin@noteassist.local"
DEMO_PASSWORD = "demo-password"
DEMO_EMAILS = (DEMO_EMAIL, DEMO_ADMIN_EMAIL)
"""``validate_new_email`` refuses their domain: registering one would keep production from starting."""


def existing_demo_accounts() -> list[str]:
    """The addresses of existing demo accounts, in alphabetical order."""
    return list(User.objects.filter(email__in=DEMO_EMAILS).order_by("email").values_list("email", flat=True))


def remove_demo_accounts() -> list[str]:
    """Delete the demo accounts with all their data; return their addresses."""
    found = existing_demo_accounts()
    for email in found:
        delete_account(user_id=User.objects.only("pk").get(email=email).pk)
    return found


def demo_accounts_warning(found: Iterable[str]) -> str:
    return f"Demo accounts with a public password: {', '.join(found)}. Run `python manage.py remove_demo`."
