"""The page cache's keys in Redis. Do not change the texts: during a deploy old and new code run side by side."""

import secrets
from collections.abc import Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

import orjson
from django.conf import settings

NAME_MAX_LENGTH = 200
TOKEN_SECONDS = 24 * 3600
FILL_LOCK_MILLISECONDS = 2000
"""How long the request that renders a missing page holds its fill lock at most."""

PAGE_KEY = "'page:' .. epoch .. ':' .. user .. ':' .. token .. ':' .. name"
"""The key of a page, as a Lua expression."""
FILL_LOCK_SUFFIX = ":filler"


STORED_KEY = "pages:stored"
"""The keys of all stored pages, a sorted set by the millisecond at which each expires."""
SIZES_KEY = "pages:sizes"
"""How many bytes each of them counts, a hash."""
TOTAL_KEY = "pages:bytes"
"""The sum of these."""


def new_token() -> str:
    return secrets.token_hex(8)


def token_key(user_id: int) -> str:
    return f"pages:token:{user_id}"


def writers_key(user_id: int) -> str:
    """The user's writer markers: a sorted set by deadline in milliseconds."""
    return f"pages:dirty:{user_id}"


def change_keys(user_id: int) -> tuple[str, str]:
    """What a change of the user's pages writes to: the writer markers, and the token."""
    return writers_key(user_id), token_key(user_id)


def pages_key(user_id: int) -> str:
    """The keys of the user's stored pages: a sorted set by when each was stored."""
    return f"pages:of:{user_id}"


def pages_key_of(page_key: str) -> str:
    """As :func:`pages_key`, of the user whose page has this key."""
    return pages_key(int(page_key.split(":", 3)[2]))


def fill_lock_key(page_key: str) -> str:
    return page_key + FILL_LOCK_SUFFIX


def pattern_of_pages(user_id: int) -> str:
    """A pattern that matches the keys of all pages of a user, in any epoch and with any token."""
    return f"page:*:{user_id}:*"


def cache_key(name: str, *parts: object, **params: object) -> str:
    """A key that is the same for the same arguments in any order of ``params``, in any process.

    Printable ASCII without spaces, at most ``NAME_MAX_LENGTH`` characters: what is longer is hashed. Different
    arguments give different keys: ``1`` and ``"1"`` are different, a UUID or a time and its text are not.
    """
    described = [*parts, params] if params else list(parts)
    words = [quote(name, safe=""), *(quote(_describe(part), safe="") for part in described)]
    key = ":".join(words)
    if len(key) <= NAME_MAX_LENGTH:
        return key
    digest = blake2b(key.encode(), digest_size=20).hexdigest()
    return f"{words[0][: NAME_MAX_LENGTH - len(digest) - 1]}:{digest}"


def page_name(path: str, query: Mapping[str, list[str]]) -> str:
    """A name for a page, unique among the pages of one user, however the query's parameters are arranged.

    It tells the code that makes the page, so a deploy that changes an answer shows none of the old ones.
    """
    return f"{code_version()}:{cache_key('page', path, dict(query)) if query else path}"


@cache
def code_version() -> str:
    """The same in all processes that run the same code: a digest of the project's Python files."""
    digest = blake2b(digest_size=6)
    base = Path(settings.BASE_DIR)
    for app in sorted(base.glob("*/apps.py")):
        for file in sorted(app.parent.rglob("*.py")):
            digest.update(str(file.relative_to(base)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _describe(part: object) -> str:
    return orjson.dumps(part, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=_plain).decode()


def _plain(part: object) -> object:
    return sorted(part, key=str) if isinstance(part, (set, frozenset)) else str(part)
