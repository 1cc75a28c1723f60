"""Checks for accounts that must not exist in production."""

from collections.abc import Iterator

from django.conf import settings

from accounts.services.demo_accounts import demo_accounts_warning, existing_demo_accounts
from utils.diagnosis import Options, Result, check


@check("accounts", needs=("postgresql", "migrations"))
def look(_options: Options) -> Iterator[Result]:
    found = existing_demo_accounts()
    if settings.IS_PRODUCTION and found:
        yield False, demo_accounts_warning(found)
    else:
        yield True, f"{len(found)} demo accounts"
