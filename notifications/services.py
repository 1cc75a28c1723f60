"""Notifications: creating them, pushing them to the live inbox, listing and marking them, draining the outbox.

There are two kinds. The notification of a finished task is a row of the task's transaction and is pushed afterwards; it
cannot be lost. A notification of :func:`create` is first in Redis and becomes a row within seconds.
"""

import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.db import DataError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from notifications import inbox, quarantine
from notifications.entries import InvalidEntry, NotificationEntry
from notifications.inbox import CAPACITY, OutboxItem
from notifications.models import ACTION_ID_MAX_LENGTH, MESSAGE_MAX_LENGTH, TITLE_MAX_LENGTH, Notification
from utils.database.compiled_queries import read_rows
from utils.page_cache.invalidation import record_bump
from utils.redis.client import RedisUnavailable

logger = logging.getLogger(__name__)

DRAIN_LIMIT = 1000

# Rows are inserted in the order of their ids, so that two of these statements cannot deadlock. The lock makes the
# statement wait for a running deletion of the user; if the user is deleted, nothing is inserted.
_INSERT = """
INSERT INTO notifications_notification (id, user_id, type, title, message, action_id, created_at, read_at, notified_at)
SELECT entry.*, {read_at}, {notified_at}
FROM unnest(%s::uuid[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[])
  AS entry (id, user_id, type, title, message, action_id, created_at)
JOIN accounts_user ON accounts_user.id = entry.user_id
ORDER BY entry.id
FOR KEY SHARE OF accounts_user
"""
_INSERT_DELIVERED = (
    _INSERT.format(read_at="NULL", notified_at="now()") + "ON CONFLICT (id) DO NOTHING RETURNING user_id, id"
)
_INSERT_UNDELIVERED = _INSERT.format(read_at="NULL", notified_at="NULL") + "ON CONFLICT (id) DO NOTHING"
_UPSERT_READ = (
    _INSERT.format(read_at="now()", notified_at="now()")
    + """ON CONFLICT (id) DO UPDATE SET read_at = EXCLUDED.read_at
WHERE notifications_notification.read_at IS NULL AND notifications_notification.user_id = EXCLUDED.user_id"""
)


def create(
    *, user_id: int, title: str, message: str, notification_type: str = Notification.Type.INFO, action_id: str = ""
) -> UUID:
    """Put a notification into its user's inbox without a database query, and return its id.

    Its row is written when the outbox is drained. If Redis loses its data in those seconds, the notification is lost;
    one that must not be lost belongs in a transaction, as with :func:`record_for_task`. If Redis is unavailable, or the
    outbox full, the row is written at once. Text that is too long is truncated; a user who does not exist gets no row.
    Raises ``ValueError`` for an unknown type or an action id that is too long.
    """
    action_id = str(action_id)
    if len(action_id) > ACTION_ID_MAX_LENGTH:
        raise ValueError(f"An action id has at most {ACTION_ID_MAX_LENGTH} characters.")
    entry = NotificationEntry(
        id=uuid4(),
        user_id=user_id,
        type=Notification.Type(notification_type).value,
        title=_cut(title, TITLE_MAX_LENGTH),
        message=_cut(message, MESSAGE_MAX_LENGTH),
        action_id=action_id,
        created_at=timezone.now(),
    )
    try:
        if inbox.put(entry, has_row=False):
            return entry.id
        logger.warning("The outbox of notifications is full: no worker drains it.")
    except RedisUnavailable:
        pass  # if Redis has it nevertheless, the drain finds that its row exists
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_UNDELIVERED, _columns([entry]))
    return entry.id


def record_for_task(*, user_id: int, task_id: UUID, type: str, title: str, message: str) -> Notification:
    """Write the notification of a finished task in the caller's transaction; writing it again changes nothing.

    Pass the result to :func:`push` after COMMIT.
    """
    notification = Notification(
        id=uuid5(task_id, "notification"),
        user_id=user_id,
        type=Notification.Type(type),
        title=_cut(title, TITLE_MAX_LENGTH),
        message=_cut(message, MESSAGE_MAX_LENGTH),
        action_id=str(task_id),
        created_at=timezone.now(),
    )
    Notification.objects.bulk_create([notification], ignore_conflicts=True)
    return notification


def push(notification: Notification) -> None:
    """Put a committed row into its user's inbox, once. If Redis is unavailable, :func:`push_unpushed` does it later."""
    _push(Notification.objects.filter(pk=notification.pk), limit=1)


def push_unpushed(limit: int = 500) -> int:
    """Push the oldest unread rows that were not pushed yet, and return how many."""
    return _push(Notification.objects.order_by("created_at"), limit=limit)


def _push(rows: QuerySet[Notification], *, limit: int) -> int:
    """The rows are locked until the push ends, so that no other process pushes them or marks them as read meanwhile."""
    unpushed = rows.filter(notified_at=None, read_at=None)
    try:
        with transaction.atomic(durable=True):
            locked = unpushed.select_for_update(no_key=True, skip_locked=True)
            claimed = [NotificationEntry(*row) for row in locked.values_list(*NotificationEntry.__slots__)[:limit]]
            for entry in claimed:
                inbox.put(entry, has_row=True)
            Notification.objects.filter(pk__in=[entry.id for entry in claimed]).update(notified_at=Now())
    except RedisUnavailable:
        return 0
    return len(claimed)


def pending(*, user_id: int, read: list[Any] | None = None) -> list[bytes]:
    """The user's unread notifications as JSON objects, newest first, at most ``CAPACITY``.

    ``read`` is the reply to ``inbox.read_call``, if the script was run already. If the inbox is complete, the table is
    not read. If Redis is unavailable, only the table is read, which lacks what :func:`create` has put into Redis since
    the last drain.
    """
    try:
        seen = inbox.read(user_id) if read is None else inbox.snapshot(read)
    except RedisUnavailable:
        return [entry.body() for entry in _unread_entries(user_id)]
    if seen.complete:
        return seen.bodies
    unread = inbox.as_inbox_entries(_unread_entries(user_id))
    read_ids = _read_among(user_id, seen.entries)
    # If the merge fails, the list below is still correct, and the next request tries again.
    with suppress(RedisUnavailable):
        inbox.merge(user_id, seen, unread=unread, read_ids=read_ids)
    found = seen.entries | unread
    for read_id in read_ids:
        found.pop(str(read_id), None)
    newest = sorted(((score, entry_id, body) for entry_id, (score, body) in found.items()), reverse=True)
    return [body for _, _, body in newest[:CAPACITY]]


def _unread_entries(user_id: int) -> list[NotificationEntry]:
    return [NotificationEntry.from_values(**row) for row in read_rows(_unread, user_id=user_id)]


def _unread(user_id: int) -> QuerySet[Notification, Any]:
    unread = Notification.objects.filter(user_id=user_id, read_at=None).order_by("-created_at", "-id")
    return unread[:CAPACITY].values(*NotificationEntry.__slots__)


def _read_among(user_id: int, ids: Collection[str]) -> list[UUID]:
    if not ids:
        return []
    return list(
        Notification.objects.filter(user_id=user_id, pk__in=ids, read_at__isnull=False).values_list("pk", flat=True)
    )


def mark_read(*, user_id: int, ids: Collection[UUID] | None = None) -> int:
    """Mark these notifications of the user as read, or all of them, and return how many were unread.

    Unknown ids, and other users' ids, are ignored. An entry without a row gets one here, so that the drain cannot
    insert it as unread.
    """
    with inbox.marking_as_read(user_id, ids) as marking, transaction.atomic(durable=True):
        if not marking.is_announced:
            record_bump()
        # One request of a user at a time: two of them could deadlock by locking the same rows in different orders.
        list(User.objects.select_for_update(no_key=True).filter(pk=user_id).values_list("pk"))
        with connection.cursor() as cursor:
            cursor.execute(_UPSERT_READ, _columns(marking.entries))
            count = cursor.rowcount
        unread = Notification.objects.filter(user_id=user_id, read_at=None)
        if ids is not None:
            unread = unread.filter(pk__in=ids)
        return count + unread.update(read_at=Now())


def drain(limit: int = DRAIN_LIMIT) -> int:
    """Write the oldest entries of the outbox to the table and return how many were removed from it.

    Safe to run concurrently and to be killed at any point: a row is inserted once, by its id, and an entry is removed
    from the outbox after COMMIT. An entry that cannot be stored is moved to the quarantine.
    """
    try:
        waiting, removed = [], 0
        for item in inbox.outbox(limit):
            try:
                waiting.append((item, item.entry()))
            except InvalidEntry as error:
                removed += _quarantine(item, error)
        try:
            return removed + _store(waiting)
        except DataError:
            return removed + sum(_store_or_quarantine(item, entry) for item, entry in waiting)
    except RedisUnavailable:
        return 0


def _store(waiting: Sequence[tuple[OutboxItem, NotificationEntry]]) -> int:
    if not waiting:
        return 0
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_INSERT_DELIVERED, _columns([entry for _, entry in waiting]))
        new_rows = cursor.fetchall()
    return inbox.settle([item for item, _ in waiting], new_rows)


def _store_or_quarantine(item: OutboxItem, entry: NotificationEntry) -> int:
    try:
        return _store([(item, entry)])
    except DataError as error:
        return _quarantine(item, error)


def _quarantine(item: OutboxItem, error: Exception) -> int:
    if not quarantine.put(item, str(error)):
        return 0
    logger.error("Notification %s cannot be stored and is in quarantine: %s", item.id.decode(), error)
    return 1


def _columns(entries: Sequence[NotificationEntry]) -> list[list[Any]]:
    return [
        [getattr(entry, name) for entry in entries]
        for name in ("id", "user_id", "type", "title", "message", "action_id", "created_at")
    ]


def _cut(text: str, length: int) -> str:
    """Truncate the text and remove null characters, which PostgreSQL cannot store."""
    return text.replace("\x00", "")[:length]
