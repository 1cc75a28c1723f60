"""Sessions: one for each login on each device, renewed by refresh tokens that are derived from their rows."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts import session_state
from accounts.models import PasswordReset, Session, User
from accounts.querysets import RESET_LIFETIME
from accounts.tokens import REFRESH_LIFETIME, InvalidToken, issue_access, issue_refresh, read_refresh
from utils.database.batching import delete_in_batches
from utils.monitoring import audit

logger = logging.getLogger(__name__)

RETRY_WINDOW = timedelta(seconds=10)
"""How long the previous refresh token still works, as its response may not have reached the client."""
MAX_AGE = timedelta(days=90)
"""How long a session may be renewed after its sign-in. Then the user signs in again."""
BATCH_SIZE = 1000

# The user's row is share-locked. So a session begins either before a change of password, which then revokes it, or
# after it; then the token version is not the one that the caller checked the password at, and no row is inserted.
_OPEN = """
INSERT INTO accounts_session (user_id, generation, user_agent, ip, rotated_at, created_at, expires_at)
SELECT id, 1, %(user_agent)s::varchar, %(ip)s::inet, now(), now(), now() + %(lifetime)s::interval
  FROM accounts_user
 WHERE id = %(user)s AND token_version = %(version)s AND is_active
   FOR SHARE
RETURNING id, generation, rotated_at, expires_at
"""

# One statement handles both the current generation, which it replaces, and a retry, which finds it replaced already. Of
# concurrent requests the first rotates; the others read its row once it is committed.
_ROTATE = """
UPDATE accounts_session AS session
   SET generation = %(generation)s + 1,
       rotated_at = CASE WHEN generation = %(generation)s THEN now() ELSE rotated_at END,
       expires_at = CASE
           WHEN generation = %(generation)s
           THEN LEAST(now() + %(lifetime)s::interval, created_at + %(max_age)s::interval)
           ELSE expires_at
       END
  FROM accounts_user AS owner
 WHERE session.id = %(session)s AND owner.id = session.user_id AND owner.is_active
   AND revoked_at IS NULL AND expires_at > now() AND created_at > now() - %(max_age)s::interval
   AND (generation = %(generation)s
        OR (generation = %(generation)s + 1 AND rotated_at > now() - %(retry_window)s::interval))
RETURNING session.id, generation, rotated_at, expires_at, owner.id, token_version
"""


@dataclass(frozen=True, slots=True)
class Device:
    """The device that a session is used from, as far as the request's headers show it."""

    user_agent: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class TokenPair:
    access: str
    refresh: str


class SessionNotOpened(Exception):
    """The user was disabled or deleted, or the password was changed, during the request."""


def open_session(*, user_id: int, token_version: int, device: Device) -> TokenPair:
    """Begin a session of a user whose password was checked while ``token_version`` was current.

    Raises ``SessionNotOpened``.
    """
    row = _fetch_row(
        _OPEN,
        {
            "user": user_id,
            "version": token_version,
            "user_agent": device.user_agent[:300],
            "ip": device.address or None,
            "lifetime": REFRESH_LIFETIME,
        },
    )
    if row is None:
        raise SessionNotOpened
    return _pair(*row, user_id=user_id, token_version=token_version)


def refresh(*, token: str) -> TokenPair:
    """Exchange a session's refresh token for its next token pair.

    For ``RETRY_WINDOW`` the previous token returns the current pair again. Any other token of the session shows that it
    was copied, and revokes the session. Raises ``InvalidToken``.
    """
    claims = read_refresh(token)
    row = _fetch_row(
        _ROTATE,
        {
            "session": claims.session_id,
            "generation": claims.generation,
            "lifetime": REFRESH_LIFETIME,
            "max_age": MAX_AGE,
            "retry_window": RETRY_WINDOW,
        },
    )
    if row is None:
        _revoke_replayed(claims.session_id, claims.generation)
        raise InvalidToken
    *session, user_id, token_version = row
    return _pair(*session, user_id=user_id, token_version=token_version)


def revoke(*, session_id: int, user_id: int) -> bool:
    """End one session of the user; False if the user has no such live session."""
    revoked = Session.objects.owned_by(user_id).filter(pk=session_id, revoked_at=None, expires_at__gt=Now())
    if not revoked.update(revoked_at=Now()):
        return False
    _mark_revoked([session_id])
    return True


def end_all_sessions(*, user_id: int) -> int:
    """Revoke all of the user's sessions, access tokens and password resets; return their new token version.

    Opens a transaction, or joins the caller's, so that the change which requires this commits together with it.
    """
    with transaction.atomic():
        version = raise_token_version(user_id=user_id)
        Session.objects.owned_by(user_id).filter(revoked_at=None).update(revoked_at=Now())
        PasswordReset.objects.filter(user_id=user_id, used_at=None).update(used_at=Now())
    return version


def raise_token_version(*, user_id: int) -> int:
    """Invalidate the user's access tokens, which their sessions may renew; return the new version."""
    with transaction.atomic():
        User.objects.filter(pk=user_id).update(token_version=F("token_version") + 1)
        version = User.objects.values_list("token_version", flat=True).get(pk=user_id)
        transaction.on_commit(lambda: session_state.mark_token_version_raised(user_id, version), robust=True)
    return version


def purge_expired() -> int:
    """Delete expired sessions and password resets in bounded batches; return the number of deleted rows."""
    expired_resets = PasswordReset.objects.filter(created_at__lt=Now() - RESET_LIFETIME)
    unsent = list(expired_resets.unsent().order_by("pk").values_list("pk", flat=True)[:BATCH_SIZE])
    if unsent:
        logger.error("No mail could be sent for %d password resets, which have ended: %s", len(unsent), unsent[:20])
    expired_sessions = Session.objects.filter(expires_at__lt=Now())
    return sum(delete_in_batches(rows, batch_size=BATCH_SIZE) for rows in (expired_sessions, expired_resets))


def _revoke_replayed(session_id: int, generation: int) -> None:
    # The current generation fails only if the session ended or its user is disabled: then the token was not copied.
    replayed = Session.objects.filter(pk=session_id, revoked_at=None).exclude(generation=generation)
    if replayed.update(revoked_at=Now()):
        logger.warning("A refresh token of session %d was used twice; the session is revoked.", session_id)
        user_id = Session.objects.filter(pk=session_id).values_list("user_id", flat=True).first()
        audit.record("session_revoked", "refresh_token_replayed", user_id=user_id)
        _mark_revoked([session_id])


def _mark_revoked(session_ids: Iterable[int]) -> None:
    transaction.on_commit(lambda: session_state.mark_revoked(session_ids), robust=True)


def _fetch_row(sql: str, params: dict[str, Any]) -> tuple[Any, ...] | None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchone()


def _pair(
    session_id: int,
    generation: int,
    rotated_at: datetime,
    expires_at: datetime,
    *,
    user_id: int,
    token_version: int,
) -> TokenPair:
    """The token pair of a session's row; the same row always gives the same pair."""
    return TokenPair(
        access=issue_access(user_id=user_id, token_version=token_version, session_id=session_id, issued_at=rotated_at),
        refresh=issue_refresh(session_id=session_id, generation=generation, expires_at=expires_at),
    )
