"""Notifications: made, pushed to the live inbox, listed while unread, marked as read, and moved into their table.

Two kinds come here. Those of finished tasks are rows of the task's own transaction and are pushed afterwards; they
cannot be lost. Those of :func:`create` are in Redis first and become rows within seconds.
"""

import logging
from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID, uuid4, uuid5

from django.db import DataError, connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import User
from notifications import inbox, quarantine
from notifications.entries import Entry, InvalidEntry
from notifications.inbox import CAPACITY, OutboxItem
from notifications.models import ACTION_ID_MAX_LENGTH, MESSAGE_MAX_LENGTH, TITLE_MAX_LENGTH, Notification
from utils.compiled_reads import read_rows
from utils.redis import RedisUnavailable
from utils.redis_scripts import run_later

logger = logging.getLogger(__name__)

DRAIN_LIMIT = 1000

# Both lists are in the order of their ids, so that two of these statements cannot wait for each other. The lock lets a
# user who is being deleted go first: there is no row for a user who is gone.
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
    """Put a notification into its user's inbox without touching the database, and return its id.

    Its row follows when the outbox is drained. Should Redis lose its data in those seconds, the notification is lost:
    what must not be lost belongs into a transaction, as with :func:`record_for_task`. With Redis away, or its outbox
    full, the row is written at once. Text that is too long is cut; there is no row for a user who does not exist.
    Raises ``ValueError`` for an unknown type or an action id that is too long.
    """
    action_id = str(action_id)
    if len(action_id) > ACTION_ID_MAX_LENGTH:
        raise ValueError(f"An action id has at most {ACTION_ID_MAX_LENGTH} characters.")
    entry = Entry(
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
        logger.warning("The outbox of notifications is full: nobody drains it.")
    except RedisUnavailable:
        pass  # it may have been put all the same: then the drain finds its row
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_UNDELIVERED, _columns([entry]))
    return entry.id


def record_for_task(*, user_id: int, task_id: UUID, type: str, title: str, message: str) -> Notification:
    """Write the one notification of a finished task, in the caller's transaction; writing it again changes nothing.

    Give the answer to :func:`push` after COMMIT.
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
    """Put a committed row into its user's inbox, once. With Redis away it waits for :func:`push_unpushed`."""
    _push(Notification.objects.filter(pk=notification.pk), limit=1)


def push_unpushed(limit: int = 500) -> int:
    """Push the oldest unread rows that no inbox has had, and return how many."""
    return _push(Notification.objects.order_by("created_at"), limit=limit)


def _push(rows: QuerySet[Notification], *, limit: int) -> int:
    """The rows stay locked meanwhile: nobody else pushes them, and who marks one as read does so before or after."""
    unpushed = rows.filter(notified_at=None, read_at=None)
    try:
        with transaction.atomic(durable=True):
            claimed = list(unpushed.select_for_update(no_key=True, skip_locked=True)[:limit])
            for row in claimed:
                inbox.put(Entry.from_row(row), has_row=True)
            Notification.objects.filter(pk__in=[row.pk for row in claimed]).update(notified_at=Now())
    except RedisUnavailable:
        return 0
    return len(claimed)


def pending(*, user_id: int, read: list[Any] | None = None) -> list[bytes]:
    """The user's unread notifications as JSON objects, newest first, at most ``CAPACITY``.

    ``read`` is what ``inbox.read_call`` was answered, if it was asked already. A complete inbox answers alone. With
    Redis away the table answers, which does not know what :func:`create` put into Redis a moment ago.
    """
    try:
        seen = inbox.read(user_id) if read is None else inbox.snapshot(read)
    except RedisUnavailable:
        return [entry.body() for entry in _unread_entries(user_id)]
    if seen.complete:
        return [body for _, body in seen.entries.values()]
    unread = inbox.as_kept(_unread_entries(user_id))
    read_ids = _read_among(user_id, seen.entries)
    # Whether or not it is completed so, what follows is right, and the next reader tries again.
    run_later(inbox.merge_call(user_id, seen, unread=unread, read_ids=read_ids))
    found = seen.entries | unread
    for read_id in read_ids:
        found.pop(str(read_id), None)
    newest = sorted(((score, entry_id, body) for entry_id, (score, body) in found.items()), reverse=True)
    return [body for _, _, body in newest[:CAPACITY]]


def _unread_entries(user_id: int) -> list[Entry]:
    return [Entry.from_values(**row) for row in read_rows("unread notifications", _unread, user_id=user_id)]


def _unread(user_id: int) -> QuerySet[Notification, Any]:
    unread = Notification.objects.filter(user_id=user_id, read_at=None).order_by("-created_at", "-id")
    return unread[:CAPACITY].values(*Entry.__slots__)


def _read_among(user_id: int, ids: Collection[str]) -> list[UUID]:
    if not ids:
        return []
    return list(
        Notification.objects.filter(user_id=user_id, pk__in=ids, read_at__isnull=False).values_list("pk", flat=True)
    )


def mark_read(*, user_id: int, ids: Collection[UUID] | None = None) -> int:
    """Mark these notifications of the user as read, or all of them, and return how many were unread.

    Ids of others and of nobody are ignored. What has no row yet gets it here, so that the drain cannot bring it back.
    """
    with inbox.reading(user_id, ids) as entries, transaction.atomic(durable=True):
        # One request of a user at a time: two tabs would lock the same rows in different orders.
        list(User.objects.select_for_update(no_key=True).filter(pk=user_id).values_list("pk"))
        with connection.cursor() as cursor:
            cursor.execute(_UPSERT_READ, _columns(entries))
            count = cursor.rowcount
        unread = Notification.objects.filter(user_id=user_id, read_at=None)
        if ids is not None:
            unread = unread.filter(pk__in=ids)
        return count + unread.update(read_at=Now())


def drain(limit: int = DRAIN_LIMIT) -> int:
    """Write the oldest entries of the outbox to the table and return how many left it.

    Safe to run twice at once and to be killed anywhere: a row is inserted once, by its id, and an entry leaves the
    outbox after COMMIT. What can never become a row goes to the quarantine.
    """
    try:
        waiting, left = [], 0
        for item in inbox.outbox(limit):
            try:
                waiting.append((item, item.entry()))
            except InvalidEntry as error:
                left += _quarantine(item, error)
        try:
            return left + _store(waiting)
        except DataError:
            return left + sum(_store_or_quarantine(item, entry) for item, entry in waiting)
    except RedisUnavailable:
        return 0


def _store(waiting: Sequence[tuple[OutboxItem, Entry]]) -> int:
    if not waiting:
        return 0
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(_INSERT_DELIVERED, _columns([entry for _, entry in waiting]))
        new_rows = cursor.fetchall()
    return inbox.settle([item for item, _ in waiting], new_rows)


def _store_or_quarantine(item: OutboxItem, entry: Entry) -> int:
    try:
        return _store([(item, entry)])
    except DataError as error:
        return _quarantine(item, error)


def _quarantine(item: OutboxItem, error: Exception) -> int:
    if not quarantine.put(item, str(error)):
        return 0
    logger.error("Notification %s cannot be stored and is in quarantine: %s", item.id.decode(), error)
    return 1


def _columns(entries: Sequence[Entry]) -> list[list[Any]]:
    return [
        [getattr(entry, name) for entry in entries]
        for name in ("id", "user_id", "type", "title", "message", "action_id", "created_at")
    ]


def _cut(text: str, length: int) -> str:
    """Without null characters, which Postgres does not store."""
    return text.replace("\x00", "")[:length]
