"""What writers do so that no page shows less than what they wrote."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, OperationalError, connections, transaction
from psycopg_pool import PoolTimeout

from utils.models import PendingEpochBump
from utils.monitoring import metrics
from utils.page_cache.keys import TOKEN_SECONDS, change_keys, new_token
from utils.redis.client import EPOCH_KEY, RedisUnavailable
from utils.redis.scripts import Script, run_surely

logger = logging.getLogger(__name__)

MARKER_SECONDS = 60
"""Longer than any transaction: statements end after ``QUERY_TIMEOUT``."""
RETRY_SECONDS = 0.5

# KEYS: the user's writer markers and token. ARGV: marker, new token, its TTL, and of a new marker its deadline and TTL.
_ADD_MARKER = Script(
    """
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[5])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
"""
)
_REMOVE_MARKER = Script(
    """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
"""
)
_BUMP_EPOCH = Script("redis.call('SET', KEYS[1], ARGV[1])")


class EpochBump:
    """Whether this process must set a new epoch before it uses the page cache again."""

    def __init__(self) -> None:
        self.is_pending = False
        self._requests = 0
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def request(self) -> None:
        """Set a new epoch as soon as Redis can be reached. Call after the change that pages may not show."""
        with self._lock:
            self._requests += 1
            self.is_pending = True
        self._start_thread()

    def carry_out(self) -> None:
        """Set a new epoch if one is pending; after a failure it stays pending. Raises ``RedisUnavailable``.

        It is pending until the epoch is set: a request that comes meanwhile must not look up a page of the old one.
        """
        if not self.is_pending:
            return
        requests = self._requests
        set_new_epoch()
        with self._lock:
            if requests == self._requests:  # what was requested meanwhile needs another one
                self.is_pending = False

    def _start_thread(self) -> None:
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._retry, name="epoch-bump", daemon=True)
                self._thread.start()

    def _retry(self) -> None:
        """Requests carry it out, too, but a process may have none, as a worker."""
        while True:
            while self.is_pending:
                try:
                    self.carry_out()
                except RedisUnavailable:
                    time.sleep(RETRY_SECONDS)
            try:
                carry_out_recorded_bumps()
            except (Error, PoolTimeout, RedisUnavailable) as error:
                logger.warning("Recorded epoch bumps are left to the workers: %s", error)
            finally:
                connections[DEFAULT_DB_ALIAS].close()  # this thread's own
            with self._lock:
                if not self.is_pending:  # else it was requested meanwhile, of a thread that was still alive
                    self._thread = None
                    return


epoch_bump = EpochBump()


@contextmanager
def changing_pages_of(*user_ids: int) -> Iterator[None]:
    """Open a transaction that changes what these users' pages show.

    Marks them before the transaction and gives them new tokens right after COMMIT, before any other ``on_commit``
    callback runs. If Redis cannot be told, the transaction records that the epoch must be bumped; so it is known to
    every process even if this one dies. May be nested, also in a transaction of the caller's: the markers then stand
    until the outermost COMMIT.
    """
    markers = {user_id: new_token() for user_id in sorted(set(user_ids))}
    is_marked = add_markers(markers)
    try:
        with transaction.atomic():
            if not is_marked:
                record_bump()
            transaction.on_commit(lambda: remove_markers(markers), robust=True)
            yield
    except (OperationalError, InterfaceError):
        # The connection may have broken during COMMIT, which may still take effect: the markers stand until their
        # deadline, and what was recorded is found once it is committed.
        if not is_marked:
            epoch_bump.request()
        raise
    except BaseException:
        remove_markers(markers)
        raise


def forget_pages_of(user_id: int) -> None:
    """Make every cached page of the user unreachable, for a change that was made already.

    In a transaction, whose change nobody sees yet, readers bypass the cache until its COMMIT; if it is rolled back,
    until the marker's deadline.
    """
    with changing_pages_of(user_id):
        pass


def record_bump() -> None:
    """Have the epoch bumped after this transaction commits, by this process or by any other."""
    PendingEpochBump.objects.create()


def carry_out_recorded_bumps() -> int:
    """Set a new epoch if a transaction recorded that it must be; how many had done so.

    Raises ``RedisUnavailable``, after which they are still recorded.
    """
    recorded = list(PendingEpochBump.objects.values_list("pk", flat=True))
    if recorded:
        set_new_epoch()
        PendingEpochBump.objects.filter(pk__in=recorded).delete()
    return len(recorded)


def set_new_epoch() -> None:
    """Make every page of everybody unreachable. Raises ``RedisUnavailable``."""
    run_surely(_BUMP_EPOCH.call(keys=[EPOCH_KEY], args=[new_token()]))
    metrics.epoch_bumps.inc()


def add_markers(markers: Mapping[int, str]) -> bool:
    """Mark these users as changing. False if Redis could not be told."""
    if not settings.PAGE_CACHE_ENABLED:
        return True
    deadline_ms = int((time.time() + MARKER_SECONDS) * 1000)
    try:
        _run_for_each(_ADD_MARKER, markers, deadline_ms, MARKER_SECONDS)
    except RedisUnavailable:
        return False
    return True


def remove_markers(markers: Mapping[int, str]) -> None:
    """End the change of these users: remove each one's marker and set a new token, or else request an epoch bump."""
    if not settings.PAGE_CACHE_ENABLED:
        return
    try:
        _run_for_each(_REMOVE_MARKER, markers)
    except RedisUnavailable:
        epoch_bump.request()


def _run_for_each(script: Script, markers: Mapping[int, str], *arguments: int) -> None:
    """Run a script that gives a new token, for each of these users and markers: one round trip."""
    run_surely(
        *(
            script.call(keys=change_keys(user_id), args=[marker, new_token(), TOKEN_SECONDS, *arguments])
            for user_id, marker in markers.items()
        )
    )
