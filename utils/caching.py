"""The page cache: rendered answers of one user, which never show less than that user's last write.

A page lives under the global epoch, its user's token and its own name. Both are random, and a reader takes them
*before* it reads the database, so what it stores after somebody else's write goes where nobody looks any more.

A writer marks its user as changing before COMMIT (a dirty mark with a deadline of its own) and at the same time gives
the user a new token; while a mark stands, readers bypass the cache and store nothing. After COMMIT it removes its mark
and sets another token. So a writer that dies in between leaves nothing stale: its mark holds readers off until the
deadline, and no page exists under the token that it set.

A writer that cannot reach Redis commits all the same, and its process then owes a new epoch: it trusts no page until
it has made every page of everybody unreachable. Other processes may show a page of up to its TTL meanwhile; that is
the one residue of the promise.
"""

import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import redis
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction

from utils.redis import EPOCH_KEY, RedisUnavailable, redis_guard
from utils.redis_scripts import Script, run_later
from utils.rendering import Rendered

logger = logging.getLogger(__name__)

DIRTY_SECONDS = 60
"""Longer than any transaction: statements end after ``QUERY_TIMEOUT``."""
TOKEN_SECONDS = 24 * 3600
FILLER_MILLISECONDS = 2000
"""How long the one request that renders a missing page keeps others from rendering it, too."""
_LOOK_SECONDS = 0.01
_WAIT_SECONDS = 0.3

_BEGIN_CHANGE = Script(
    """
redis.call('ZADD', KEYS[1], ARGV[2], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[4])
redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[5])
"""
)
_END_CHANGE = Script(
    """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
"""
)
_STORE = Script(
    """
redis.call('HSET', KEYS[1], 'etag', ARGV[1], 'body', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('DEL', KEYS[1] .. ':filler')
"""
)
_LOOK = Script(
    """
local page = redis.call('HMGET', KEYS[1], 'etag', 'body')
return {page[1], page[2], redis.call('EXISTS', KEYS[1] .. ':filler')}
"""
)


class _Debt:
    """Whether this process committed a write without having been able to mark it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed = 0
        self._paid = 0
        self._unmarked = 0

    @property
    def is_growing(self) -> bool:
        """Whether an unmarked write is going on: this process must not use pages, paid or not."""
        return self._unmarked > 0

    def incur(self) -> None:
        with self._lock:
            self._owed += 1

    def begin_unmarked(self) -> None:
        with self._lock:
            self._unmarked += 1

    def end_unmarked(self) -> None:
        """Owe a new epoch from now on: one that was made while the write was going on was too early."""
        with self._lock:
            self._unmarked -= 1
            self._owed += 1

    def pay(self, client: redis.Redis) -> None:
        """Make all pages unreachable if a write went unmarked; a failure leaves the debt standing."""
        owed = self._owed
        if owed != self._paid:
            client.set(EPOCH_KEY, new_token())
            with self._lock:
                self._paid = max(self._paid, owed)


debt = _Debt()


def new_token() -> str:
    return secrets.token_hex(8)


def token_key(user_id: int) -> str:
    return f"pages:token:{user_id}"


def dirty_key(user_id: int) -> str:
    return f"pages:dirty:{user_id}"


@contextmanager
def changing_pages_of(*user_ids: int) -> Iterator[None]:
    """Open a transaction that changes what these users' pages show.

    Marks them before the transaction and gives them new tokens right after COMMIT, before any other ``on_commit``
    callback runs. May be nested, also in a transaction of the caller's: the marks then stand until the outermost
    COMMIT.
    """
    marks = {user_id: new_token() for user_id in sorted(set(user_ids))}
    unmarked = sum(not _begin_change(user_id, mark) for user_id, mark in marks.items())
    try:
        with transaction.atomic():
            transaction.on_commit(lambda: _end_changes(marks), robust=True)
            yield
    except (OperationalError, InterfaceError):
        # The connection may have broken during COMMIT, which may still take effect: the marks stand until their
        # deadline.
        raise
    except BaseException:
        _end_changes(marks)
        raise
    finally:
        for _ in range(unmarked):
            debt.end_unmarked()


def forget_pages_of(user_id: int) -> None:
    """Make every cached page of the user unreachable, for a change that was made already.

    In a transaction, whose change nobody sees yet, readers bypass the cache until its COMMIT; if it is rolled back,
    until the mark's deadline.
    """
    with changing_pages_of(user_id):
        pass


def store_page(key: str, *, etag: str, body: bytes, ttl: int) -> None:
    """Keep a rendered page under the key that :func:`utils.admission.admit` gave to its reader. ``ttl`` in seconds.

    A moment later: however late it is, a page goes where its reader's key leads. If it is lost, the next reader renders
    it again.
    """
    run_later(_STORE.call(keys=[key], args=[etag, body, ttl]))


def abandon_page(key: str) -> None:
    """Let another request render the page: this one cannot."""
    try:
        with redis_guard() as client:
            client.delete(f"{key}:filler")
    except RedisUnavailable:
        return  # it is let go after FILLER_MILLISECONDS


def await_page(key: str) -> Rendered | None:
    """Wait a moment for the page that another request is rendering; None: render it oneself."""
    until = time.monotonic() + _WAIT_SECONDS
    try:
        while time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)
            with redis_guard() as client:
                etag, body, is_coming = _LOOK.run(client, keys=[key])
            if etag is not None:
                return Rendered(body, etag.decode())
            if not is_coming:
                return None
    except RedisUnavailable:
        return None
    return None


def _begin_change(user_id: int, mark: str) -> bool:
    """Mark a user as changing. False if Redis was not told: then call ``debt.end_unmarked`` after the write."""
    if not settings.PAGE_CACHE_ENABLED:
        return True
    deadline_ms = int((time.time() + DIRTY_SECONDS) * 1000)
    try:
        with redis_guard() as client:
            _BEGIN_CHANGE.run(
                client,
                keys=[dirty_key(user_id), token_key(user_id)],
                args=[mark, deadline_ms, new_token(), DIRTY_SECONDS, TOKEN_SECONDS],
            )
    except RedisUnavailable:
        debt.begin_unmarked()
        return False
    return True


def _end_changes(marks: dict[int, str]) -> None:
    if not settings.PAGE_CACHE_ENABLED:
        return
    try:
        with redis_guard() as client:
            for user_id, mark in marks.items():
                _END_CHANGE.run(
                    client, keys=[dirty_key(user_id), token_key(user_id)], args=[mark, new_token(), TOKEN_SECONDS]
                )
    except RedisUnavailable:
        # A mark that was set still holds readers off; one that was not is owed already, or is owed now.
        debt.incur()
