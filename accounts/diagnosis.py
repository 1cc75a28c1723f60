"""Accounts that should not be there."""

from collections.abc import Iterator

from django.conf import settings

from accounts.services.demo_accounts import existing_demo_accounts, what_is_wrong_with
from utils.diagnosis import Options, Result, check


@check("accounts", needs=("postgresql", "migrations"))
def look(_options: Options) -> Iterator[Result]:
    found = existing_demo_accounts()
    if settings.IS_PRODUCTION and found:
        yield False, what_is_wrong_with(found)
    else:
        yield True, f"{len(found)} demo accounts"
