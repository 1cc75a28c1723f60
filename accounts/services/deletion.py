"""Account deletion: removes all data of a user from the database and from Redis."""

import logging
from collections.abc import Callable, Iterable
from functools import partial

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.cached_db import SessionStore
from django.contrib.sessions.models import Session as AdminSession
from redis import Redis

from accounts.models import User
from accounts.services import passwords
from accounts.services.sessions import end_all_sessions
from utils.admission.throttling import limits_of
from utils.database.batching import batch_query, deleted_batches
from utils.page_cache.invalidation import changing_pages_of
from utils.page_cache.keys import pattern_of_pages, token_key, writers_key
from utils.page_cache.lookup import drop_pages_of
from utils.personal_data import parts
from utils.redis.client import RedisUnavailable, redis_guard
from utils.streaming.user_events import user_events_key

logger = logging.getLogger(__name__)

BATCH_SIZE = 500


def delete_my_account(*, user_id: int, password: str) -> None:
    """Delete the signed-in user and all their data. Raises ``WrongPassword``."""
    passwords.confirm(user_id=user_id, password=password, field="password")
    delete_account(user_id=user_id)


def delete_account(*, user_id: int) -> None:
    """Delete a user and all their data in bounded batches, referencing rows before referenced ones.

    The user's tokens are revoked first, so that no new data is written meanwhile. If the deletion is interrupted, the
    user can sign in and delete the rest. A worker that runs one of their AI tasks finds its row gone and stops.
    Raises ``User.DoesNotExist``.
    """
    end_all_sessions(user_id=user_id)
    registered = list(reversed(parts()))  # referencing rows first
    finish = [part.prepare_deletion(user_id) for part in registered if part.prepare_deletion is not None]
    for rows in (rows for part in registered for rows in part.rows(user_id)):
        for ids in deleted_batches(
            rows.queryset, batch_size=BATCH_SIZE, transaction_of=partial(changing_pages_of, user_id)
        ):
            _unlink(rows.redis_keys(ids))
    _delete_admin_sessions(user_id)
    with changing_pages_of(user_id):
        # Waits for writers that were admitted before the revocation; the cascade deletes what they wrote.
        user = User.objects.select_for_update().get(pk=user_id)
        user.delete()
        # The admin's log of changes to the account is kept, without its email address.
        about_users = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User))
        about_users.filter(object_id=str(user_id)).update(object_repr="")
    _delete_redis_keys(user_id, finish)


def _delete_admin_sessions(user_id: int) -> None:
    """Scan all admin sessions, as the user id is in their encoded data. There are few: only operators have any."""
    for batch in batch_query(AdminSession.objects.all(), batch_size=BATCH_SIZE):
        for session in batch:
            if session.get_decoded().get(SESSION_KEY) == str(user_id):
                SessionStore(session.session_key).delete()  # also deletes the cached copy


def _delete_redis_keys(user_id: int, finish: Iterable[Callable[[], None]]) -> None:
    """Delete the user's keys in Redis, except the revocation markers of their tokens, which expire."""
    scopes: dict[str, str | None] = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    try:
        with redis_guard() as client:
            for finish_part in finish:
                finish_part()
            client.unlink(
                *(key for part in parts() for key in part.redis_keys(user_id)),
                user_events_key(user_id),
                token_key(user_id),
                writers_key(user_id),
                *(limit.key(user_id) for limit in limits_of(scopes)),
            )
            drop_pages_of(user_id)
            # Pages of the previous release can only be found by a scan over all keys; deletions are rare enough for it.
            _unlink_matching(client, pattern_of_pages(user_id))
    except RedisUnavailable:
        logger.warning("User %d was deleted while Redis was unreachable; their keys in Redis will expire.", user_id)


def _unlink_matching(client: Redis, pattern: str) -> None:
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, match=pattern, count=BATCH_SIZE)
        if keys:
            client.unlink(*keys)
        if cursor == 0:
            return


def _unlink(keys: Iterable[str]) -> None:
    if not (unwanted := list(keys)):
        return
    try:
        with redis_guard() as client:
            client.unlink(*unwanted)
    except RedisUnavailable:
        return  # all of these keys expire
