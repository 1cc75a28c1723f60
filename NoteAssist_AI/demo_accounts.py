"""Production refuses to start with the demo accounts of development."""

import sys

from django.db import Error, connections
from psycopg_pool import PoolTimeout

from accounts.services.demo_accounts import demo_accounts_warning, existing_demo_accounts
from NoteAssist_AI.env import BOOT_FAILED


def stop_with_demo_accounts() -> None:
    """Exit if demo accounts exist. If the database is unavailable, or has no tables yet, the process may start."""
    try:
        found = existing_demo_accounts()
    except (Error, PoolTimeout):
        return
    finally:
        connections.close_all()
    if found:
        sys.stderr.write(f"{demo_accounts_warning(found)}\n")
        raise SystemExit(BOOT_FAILED)
