"""The session state cached in Redis, so that most requests read no session from the database.

A cached state is valid for at most 60 s. Revoking a session, or raising its user's token version, sets a *revocation
marker* that lives longer than that and takes precedence over any state, also over one that a slow reader stores
afterwards. While Redis is unavailable, every request reads the database.
"""

import logging
from collections.abc import Iterable
from typing import Any

from django.db.models import QuerySet

from accounts.models import Session
from utils.admission.gate import STATE_SECONDS, Subject, revoked_key, state_key, version_key
from utils.database.compiled_queries import read_rows
from utils.redis.client import RedisUnavailable
from utils.redis.scripts import Script, run_surely

logger = logging.getLogger(__name__)

MARKER_SECONDS = STATE_SECONDS + 5

_MARKS_TOGETHER = 100

_MARK_REVOKED = Script(
    """
redis.call('SET', KEYS[1], 1, 'EX', ARGV[1])
redis.call('DEL', KEYS[2])
"""
)
_RAISE_VERSION = Script(
    """
local current = tonumber(redis.call('GET', KEYS[1]) or 0)
if tonumber(ARGV[1]) > current then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""
)


def read(subject: Subject) -> bool | None:
    """Read a session from the database: whether its user is staff, or None if the session or the token is not valid."""
    rows = read_rows(
        _session, session_id=subject.session_id, user_id=subject.user_id, token_version=subject.token_version
    )
    return rows[0]["user__is_staff"] if rows else None


def _session(session_id: int, user_id: int, token_version: int) -> QuerySet[Session, Any]:
    live = Session.objects.live().filter(pk=session_id, user_id=user_id, user__token_version=token_version)
    return live.values("user__is_staff")


def mark_revoked(session_ids: Iterable[int]) -> None:
    """Make these sessions' access tokens invalid from the next request on, in every process. Call after COMMIT."""
    calls = [
        _MARK_REVOKED.call(keys=[revoked_key(session_id), state_key(session_id)], args=[MARKER_SECONDS])
        for session_id in session_ids
    ]
    try:
        for first in range(0, len(calls), _MARKS_TOGETHER):
            run_surely(*calls[first : first + _MARKS_TOGETHER])
    except RedisUnavailable:
        logger.warning("Sessions were revoked while Redis was unreachable; their tokens may be accepted for 60 s more.")


def mark_token_version_raised(user_id: int, version: int) -> None:
    """Make the user's older access tokens invalid from the next request on, in every process. Call after COMMIT."""
    try:
        run_surely(_RAISE_VERSION.call(keys=[version_key(user_id)], args=[version, MARKER_SECONDS]))
    except RedisUnavailable:
        logger.warning("A token version was raised while Redis was down; old tokens may be accepted for 60 s more.")
