"""What Redis remembers of sessions, so that most requests read no session from the database.

A session's state is believed for at most 60 s. Ending a session, or raising its user's token version, leaves a mark
that lives at least as long and wins over any state, also over one that a slow reader stores afterwards. With Redis
unreachable every request reads the database.
"""

import logging
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from accounts.models import Session
from utils.admission import STATE_SECONDS, Subject, revoked_key, state_key, version_key
from utils.compiled_reads import read_rows
from utils.redis import RedisUnavailable, redis_guard
from utils.redis_scripts import Script

logger = logging.getLogger(__name__)

MARK_SECONDS = STATE_SECONDS + 5

_RAISE_VERSION = Script(
    """
local marked = tonumber(redis.call('GET', KEYS[1]) or 0)
if tonumber(ARGV[1]) > marked then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""
)


def read_state(subject: Subject) -> bool | None:
    """Read a session from the database: whether its user is staff, or None if the session or the token is over."""
    rows = read_rows(
        "session", _session, session_id=subject.session_id, user_id=subject.user_id, token_version=subject.token_version
    )
    return rows[0]["user__is_staff"] if rows else None


def _session(session_id: int, user_id: int, token_version: int) -> QuerySet[Session, Any]:
    live = Session.objects.live().filter(pk=session_id, user_id=user_id, user__token_version=token_version)
    return live.values("user__is_staff")


def session_revoked(session_ids: Iterable[int]) -> None:
    """Make these sessions' access tokens fail on the next request, on every process. Call after COMMIT."""
    try:
        with redis_guard() as client:
            pipeline = client.pipeline(transaction=False)
            for session_id in session_ids:
                pipeline.set(revoked_key(session_id), 1, ex=MARK_SECONDS)
                pipeline.delete(state_key(session_id))
            pipeline.execute()
    except RedisUnavailable:
        logger.warning("Sessions were revoked while Redis was unreachable; their state may be believed for 60 s more.")


def token_version_raised(user_id: int, version: int) -> None:
    """Make the user's older access tokens fail on the next request, on every process. Call after COMMIT."""
    try:
        with redis_guard() as client:
            _RAISE_VERSION.run(client, keys=[version_key(user_id)], args=[version, MARK_SECONDS])
    except RedisUnavailable:
        logger.warning("A token version was raised while Redis was unreachable; old tokens may pass for 60 s more.")
