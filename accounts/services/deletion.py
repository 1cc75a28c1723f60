"""Leaving: everything of a user goes, in the database and in Redis."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import SESSION_KEY
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.backends.cached_db import SessionStore
from django.contrib.sessions.models import Session as AdminSession
from django.db.models import QuerySet
from redis import Redis

from accounts.models import PasswordReset, Session, User
from accounts.services import passwords
from accounts.services.sessions import end_all_sessions
from ai_tasks import progress
from ai_tasks.models import AITask
from notes.models import Chapter, Note, NoteVersion, Topic
from notifications import inbox, quarantine
from notifications.models import Notification
from utils.batching import batch_query
from utils.caching import changing_pages_of, dirty_key, token_key
from utils.models import IdempotencyRecord
from utils.redis import RedisUnavailable, redis_guard
from utils.throttling import limits_of

logger = logging.getLogger(__name__)

BATCH = 500


def delete_my_account(*, user_id: int, password: str) -> None:
    """Delete the signed-in user with everything of theirs. Raises ``WrongPassword``."""
    passwords.confirm(user_id=user_id, password=password, field="password")
    delete_account(user_id=user_id)


def delete_account(*, user_id: int) -> None:
    """Delete a user with everything of theirs, in bounded batches, leaves first.

    Their tokens end first, so nothing new comes in meanwhile. Cut off half-way, what is left belongs to a user who can
    sign in and delete it again. A worker that is busy with one of their AI tasks finds its row gone and stops.
    Raises ``User.DoesNotExist``.
    """
    end_all_sessions(user_id=user_id)
    unfinished = AITask.objects.filter(user_id=user_id, status__in=AITask.UNFINISHED)
    unfinished_ids = list(unfinished.values_list("pk", flat=True))
    for queryset in _belongings(user_id):
        for ids in _delete_in_batches(user_id, queryset):
            if queryset.model is AITask:
                _unlink(key for task_id in ids for key in (progress.live_key(task_id), progress.events_key(task_id)))
    _delete_admin_sessions(user_id)
    with changing_pages_of(user_id):
        # Waits for writers that were let in before; what they wrote goes by the cascade.
        user = User.objects.select_for_update().get(pk=user_id)
        user.delete()
        # What operators did to the account stays on record, without the address that it had.
        about_users = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User))
        about_users.filter(object_id=str(user_id)).update(object_repr="")
    _forget_in_redis(user_id, unfinished_ids)


def _belongings(user_id: int) -> list[QuerySet[Any]]:
    """Everything that may be numerous, each before what it points to."""
    return [
        Notification.objects.filter(user_id=user_id),
        IdempotencyRecord.objects.filter(user_id=user_id),
        AITask.objects.filter(user_id=user_id),
        NoteVersion.objects.filter(note__user_id=user_id),
        Topic.objects.filter(chapter__note__user_id=user_id),
        Chapter.objects.filter(note__user_id=user_id),
        Note.objects.filter(user_id=user_id),
        PasswordReset.objects.filter(user_id=user_id),
        Session.objects.filter(user_id=user_id),
    ]


def _delete_in_batches(user_id: int, queryset: QuerySet[Any]) -> Iterator[list[Any]]:
    """Delete the rows in transactions of at most ``BATCH``, without loading their text; yield the ids that went."""
    while ids := list(queryset.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        with changing_pages_of(user_id):
            queryset.model._default_manager.filter(pk__in=ids).only("pk").delete()
        yield ids


def _delete_admin_sessions(user_id: int) -> None:
    """Only operators have any, so they are few, and only their text tells whose they are."""
    for some in batch_query(AdminSession.objects.all(), batch_size=BATCH):
        for session in some:
            if session.get_decoded().get(SESSION_KEY) == str(user_id):
                SessionStore(session.session_key).delete()  # the cached copy, too


def _forget_in_redis(user_id: int, unfinished_ids: Sequence[UUID]) -> None:
    """Remove what Redis holds under the user's id; the marks against their tokens stand until they expire."""
    scopes: dict[str, str | None] = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    try:
        with redis_guard() as client:
            progress.silence(unfinished_ids)
            quarantine.forget(user_id)
            client.unlink(
                inbox.entries_key(user_id),
                inbox.order_key(user_id),
                inbox.readers_key(user_id),
                progress.user_events_key(user_id),
                token_key(user_id),
                dirty_key(user_id),
                *(limit.key(user_id) for limit in limits_of(scopes)),
            )
            # Rendered pages expire within minutes; leaving is the one time they are worth a walk over all keys.
            _unlink_found(client, f"page:*:{user_id}:*")
    except RedisUnavailable:
        logger.warning("User %d was deleted while Redis was unreachable; what it holds of them expires.", user_id)


def _unlink_found(client: Redis, pattern: str) -> None:
    cursor = 0
    while True:
        cursor, keys = client.scan(cursor, match=pattern, count=BATCH)
        if keys:
            client.unlink(*keys)
        if cursor == 0:
            return


def _unlink(keys: Iterable[str]) -> None:
    try:
        with redis_guard() as client:
            client.unlink(*keys)
    except RedisUnavailable:
        return  # every one of them expires
