"""The accounts of development. Everybody knows their password, so production refuses to start with them."""

import sys
from collections.abc import Iterable

from django.db import Error, connections
from psycopg_pool import PoolTimeout

from accounts.models import User
from accounts.services.deletion import delete_account
from NoteAssist_AI.env import BOOT_FAILED

DEMO_EMAIL = "demo@noteassist.local"
DEMO_ADMIN_EMAIL = "admin@noteassist.local"
DEMO_PASSWORD = "demo-password"
DEMO_EMAILS = (DEMO_EMAIL, DEMO_ADMIN_EMAIL)
"""Nobody can register them, which would keep production from starting: ``validate_new_email`` refuses their domain."""


def existing_demo_accounts() -> list[str]:
    """The addresses of those that exist, in alphabetical order."""
    return list(User.objects.filter(email__in=DEMO_EMAILS).order_by("email").values_list("email", flat=True))


def remove_demo_accounts() -> list[str]:
    """Delete them with all their data; the addresses of those that there were."""
    found = existing_demo_accounts()
    for email in found:
        delete_account(user_id=User.objects.only("pk").get(email=email).pk)
    return found


def what_is_wrong_with(found: Iterable[str]) -> str:
    return f"Demo accounts with a public password: {', '.join(found)}. Run `python manage.py remove_demo`."


def stop_with_demo_accounts() -> None:
    """End the process if there are any. A database that does not answer, or has no tables yet, keeps nobody from it."""
    try:
        found = existing_demo_accounts()
    except (Error, PoolTimeout):
        return
    finally:
        connections.close_all()
    if found:
        sys.stderr.write(f"{what_is_wrong_with(found)}\n")
        raise SystemExit(BOOT_FAILED)
