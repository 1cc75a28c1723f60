"""The live inbox of each user in Redis: unread notifications, newest first, at most ``CAPACITY``.

An inbox is a hash of entries by id and a sorted set of their ids by time. The hash has two more fields. The
*completeness marker* says that the inbox has all unread notifications of the table. It is valid until a deadline and
for one epoch of the page cache, so a new epoch makes inboxes incomplete, too. The *token* changes with every change of
the inbox.

Without a completeness marker a pending list is read from the table as well, and merged into the inbox. :func:`merge`
refuses if the token has changed since the inbox was read: an entry was put or read meanwhile, and the data of the table
may be out of date.

A request that marks notifications as read removes the completeness marker before the first row changes. Until the inbox
is updated, too, the request has a *reader marker* with a deadline in the user's set of readers; while there is one,
no completeness marker is set. So if its process dies in between, the next pending list is read from the table.

Redis may evict either key of an inbox: their sizes then differ, and the inbox is emptied.

Entries that have no row yet are also in the *outbox*, a stream that :func:`notifications.services.drain` writes to the
table.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from django.conf import settings

from notifications.entries import InvalidEntry, NotificationEntry
from utils.admission.gate import Subject, state_key, version_key
from utils.page_cache.invalidation import epoch_bump
from utils.page_cache.keys import new_token
from utils.redis.client import EPOCH_KEY, RedisUnavailable, redis_guard
from utils.redis.scripts import Script, ScriptCall, run_surely
from utils.streaming.user_events import APPEND_USER_EVENT, user_stream

CAPACITY = 100
INBOX_SECONDS = 24 * 3600
MARKER_MILLISECONDS = settings.CACHE_TTL_LIST * 1000
"""As long as a cached page: within it another process may still show a notification that was read."""
READER_MILLISECONDS = 60 * 1000
"""Longer than any transaction: statements end after ``QUERY_TIMEOUT``."""

# The outbox has the only copy of entries without a row. It has no TTL, so that Redis does not evict it. When it is
# full, callers write rows themselves.
OUTBOX_KEY = "notifications:outbox"
OUTBOX_LIMIT = 100_000

_LIBRARY = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function has_readers(readers)
  return redis.call('ZCOUNT', readers, now(), '+inf') > 0
end
local function remove(entries, order, id)
  redis.call('HDEL', entries, id)
  redis.call('ZREM', order, id)
end
local function drop_oldest(entries, order, capacity)
  for _, id in ipairs(redis.call('ZRANGE', order, 0, -(capacity + 1))) do remove(entries, order, id) end
end
"""

_PUT = Script(
    _LIBRARY
    + APPEND_USER_EVENT
    + """
local entries, order, events, outbox = unpack(KEYS)
local id, score, body, token, capacity, ttl = unpack(ARGV)
local user, channel, outbox_limit = unpack(ARGV, 7)

if tonumber(outbox_limit) > 0 then
  if redis.call('XLEN', outbox) >= tonumber(outbox_limit) then return 0 end
  redis.call('XADD', outbox, '*', 'user_id', user, 'body', body)
end
if redis.call('HSETNX', entries, id, body) == 0 then return 1 end
redis.call('ZADD', order, score, id)
redis.call('HSET', entries, '@token', token)
drop_oldest(entries, order, tonumber(capacity))
redis.call('EXPIRE', entries, ttl)
redis.call('EXPIRE', order, ttl)
append_user_event(events, channel, 'notification', body, '{"event":"notification","data":' .. body .. '}')
return 1
"""
)

_READ = Script(
    _LIBRARY
    + """
local entries, order, epoch_key, state_key, version_key = unpack(KEYS)
local new_token, ttl, claimed_version = unpack(ARGV)

local token, marker = redis.call('HGET', entries, '@token'), redis.call('HGET', entries, '@marker')
local fields = (token and 1 or 0) + (marker and 1 or 0)
if redis.call('HLEN', entries) - fields ~= redis.call('ZCARD', order) then
  redis.call('DEL', entries, order)
  token, marker = false, false
end
-- Write nothing if the access token is no longer valid, as its user may have been deleted.
local is_valid = state_key == '' or (redis.call('EXISTS', state_key) == 1
  and tonumber(redis.call('GET', version_key) or 0) <= tonumber(claimed_version))
if not token and is_valid then
  token = new_token
  redis.call('HSET', entries, '@token', token)
  redis.call('EXPIRE', entries, ttl)
end
local epoch = redis.call('GET', epoch_key) or ''
local expires, marked_epoch = string.match(marker or '', '^(%d+):(.*)$')
local complete = expires and tonumber(expires) > now() and marked_epoch == epoch
local ids, scores, bodies = redis.call('ZREVRANGE', order, 0, -1), {}, {}
if #ids > 0 then bodies = redis.call('HMGET', entries, unpack(ids)) end
if complete then return {1, token, epoch, bodies} end
for i, id in ipairs(ids) do scores[i] = redis.call('ZSCORE', order, id) end
return {0, token or '', epoch, bodies, ids, scores}
"""
)

# After the fixed arguments: the ids to drop, then id, score and body of each entry to add.
_MERGE = Script(
    _LIBRARY
    + """
local entries, order, readers = unpack(KEYS)
local token, epoch, marker_ms, ttl, capacity, drops = unpack(ARGV)

if redis.call('HGET', entries, '@token') ~= token or has_readers(readers) then return 0 end
for i = 7, 6 + drops do remove(entries, order, ARGV[i]) end
for i = 7 + drops, #ARGV, 3 do
  redis.call('HSET', entries, ARGV[i], ARGV[i + 2])
  redis.call('ZADD', order, ARGV[i + 1], ARGV[i])
end
drop_oldest(entries, order, tonumber(capacity))
redis.call('HSET', entries, '@marker', string.format('%.0f:%s', now() + marker_ms, epoch))
redis.call('EXPIRE', entries, ttl)
redis.call('EXPIRE', order, ttl)
return 1
"""
)

# After the fixed arguments: the ids, unless all entries are read.
_BEGIN_READING = Script(
    _LIBRARY
    + """
local entries, order, readers = unpack(KEYS)
local reader, reader_ms, all = unpack(ARGV)

redis.call('ZREMRANGEBYSCORE', readers, '-inf', now())
redis.call('ZADD', readers, now() + reader_ms, reader)
redis.call('PEXPIRE', readers, reader_ms)
local marker, bodies = redis.call('HGET', entries, '@marker') or '', {}
redis.call('HDEL', entries, '@marker')
local ids = all == '1' and redis.call('ZRANGE', order, 0, -1) or {unpack(ARGV, 4)}
if #ids > 0 then bodies = redis.call('HMGET', entries, unpack(ids)) end
return {redis.call('HGET', entries, '@token') or '', marker, bodies}
"""
)

# After the fixed arguments: the ids. The completeness marker is restored only if the inbox was not changed by another
# request, and if it was not full: when it is full, the table may have older unread rows.
_END_READING = Script(
    _LIBRARY
    + """
local entries, order, readers = unpack(KEYS)
local reader, token, marker, new_token, capacity, ttl = unpack(ARGV)

local unchanged = redis.call('HGET', entries, '@token') == token
local full = redis.call('ZCARD', order) >= tonumber(capacity)
redis.call('ZREM', readers, reader)
for i = 7, #ARGV do remove(entries, order, ARGV[i]) end
redis.call('HSET', entries, '@token', new_token)
if marker ~= '' and unchanged and not full and not has_readers(readers) then
  redis.call('HSET', entries, '@marker', marker)
else
  redis.call('HDEL', entries, '@marker')
end
redis.call('EXPIRE', entries, ttl)
"""
)

# The keys after the outbox are the inboxes of the new rows. After the fixed arguments: the ids of the outbox's items,
# then of the new rows. An inbox that has lost such an entry, by eviction or because it was full, becomes incomplete.
_SETTLE = Script(
    """
local outbox, new_token, items, taken = KEYS[1], ARGV[1], tonumber(ARGV[2]), 0
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 and redis.call('HEXISTS', KEYS[i], ARGV[1 + items + i]) == 0 then
    redis.call('HDEL', KEYS[i], '@marker')
    redis.call('HSET', KEYS[i], '@token', new_token)
  end
end
for i = 3, 2 + items do taken = taken + redis.call('XDEL', outbox, ARGV[i]) end
return taken
"""
)


InboxEntries = dict[str, tuple[int, bytes]]
"""Entries as stored in an inbox: score and body by id."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an inbox. If ``complete``, the table has no other unread ones, and ``entries`` is left empty."""

    complete: bool
    token: bytes
    epoch: bytes
    bodies: list[bytes]
    """Newest first."""
    entries: InboxEntries


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """An item of the outbox, before parsing."""

    id: bytes
    fields: dict[bytes, bytes]

    def entry(self) -> NotificationEntry:
        """Parse the item. Raises ``InvalidEntry``."""
        try:
            return NotificationEntry.from_body(int(self.fields[b"user_id"]), self.fields[b"body"])
        except (KeyError, ValueError) as error:
            raise InvalidEntry(f"{type(error).__name__}: {error}") from error


def entries_key(user_id: int) -> str:
    return f"inbox:{user_id}:entries"


def order_key(user_id: int) -> str:
    return f"inbox:{user_id}:order"


def readers_key(user_id: int) -> str:
    return f"inbox:{user_id}:readers"


def put(entry: NotificationEntry, *, has_row: bool) -> bool:
    """Put an entry into its user's inbox and publish it to the user's event stream, unless it is there already.

    An entry without a row is also added to the outbox. Returns False, and does nothing, if the outbox is full.
    Raises ``RedisUnavailable``; the entry may have been put nevertheless.
    """
    user_id = entry.user_id
    events, channel = user_stream(user_id)
    is_put = _PUT.run(
        keys=[entries_key(user_id), order_key(user_id), events, OUTBOX_KEY],
        args=[
            str(entry.id),
            *entry.stored(),
            new_token(),
            CAPACITY,
            INBOX_SECONDS,
            user_id,
            channel,
            0 if has_row else OUTBOX_LIMIT,
        ],
    )
    return bool(is_put)


def read_call(subject: Subject) -> ScriptCall:
    """The extra script that reads a user's inbox in the admission's round trip; :func:`snapshot` parses its reply."""
    user_id = subject.user_id
    return _READ.call(
        keys=[*_read_keys(user_id), state_key(subject.session_id), version_key(user_id)],
        args=[new_token(), INBOX_SECONDS, subject.token_version],
    )


def _read_keys(user_id: int) -> list[str]:
    return [entries_key(user_id), order_key(user_id), EPOCH_KEY]


def snapshot(reply: list[Any]) -> Snapshot:
    complete, token, epoch, bodies, *order = reply
    if complete:
        return Snapshot(True, token, epoch, bodies, {})
    ids, scores = order
    entries = {id_.decode(): (int(float(score)), body) for id_, score, body in zip(ids, scores, bodies, strict=True)}
    return Snapshot(False, token, epoch, bodies, entries)


def read(user_id: int) -> Snapshot:
    """Read the inbox in one round trip. Raises ``RedisUnavailable``."""
    return snapshot(_READ.run(keys=[*_read_keys(user_id), "", ""], args=[new_token(), INBOX_SECONDS, 0]))


def as_inbox_entries(entries: Iterable[NotificationEntry]) -> InboxEntries:
    return {str(entry.id): entry.stored() for entry in entries}


def merge(user_id: int, seen: Snapshot, *, unread: InboxEntries, read_ids: Collection[UUID]) -> bool:
    """Complete the inbox with the table's data, read after ``seen``; False if the inbox has changed since ``seen``.

    Raises ``RedisUnavailable``.
    """
    merged = _MERGE.run(
        keys=[entries_key(user_id), order_key(user_id), readers_key(user_id)],
        args=[
            seen.token,
            seen.epoch,
            MARKER_MILLISECONDS,
            INBOX_SECONDS,
            CAPACITY,
            len(read_ids),
            *(str(read_id) for read_id in read_ids),
            *(part for entry_id, (score, body) in unread.items() for part in (entry_id, score, body)),
        ],
    )
    return bool(merged)


@dataclass(frozen=True, slots=True)
class Marking:
    """The entries of the inbox that are being marked as read, and whether the inbox has a reader marker for it."""

    entries: list[NotificationEntry]
    is_announced: bool


@contextmanager
def marking_as_read(user_id: int, ids: Collection[UUID] | None) -> Iterator[Marking]:
    """Wrap the transaction that marks notifications as read (``None``: all of them); yield those in the inbox.

    They are removed from the inbox after the block; after an exception the inbox is incomplete for a minute.
    If Redis is unavailable there are none, and the transaction must call ``record_bump``: until the epoch is bumped an
    inbox may wrongly count as complete.
    """
    keys = [entries_key(user_id), order_key(user_id), readers_key(user_id)]
    reader = new_token()
    wanted = [str(read_id) for read_id in ids or ()]
    is_announced, token, marker, bodies = False, b"", b"", []
    try:
        [(token, marker, bodies)] = run_surely(
            _BEGIN_READING.call(keys=keys, args=[reader, READER_MILLISECONDS, int(ids is None), *wanted])
        )
        is_announced = True
    except RedisUnavailable:
        pass  # the caller sees is_announced
    entries = [NotificationEntry.from_body(user_id, body) for body in bodies if body is not None]
    try:
        yield Marking(entries, is_announced)
    except BaseException:
        if not is_announced:
            epoch_bump.request()  # a COMMIT may have taken effect although its connection broke
        raise
    gone = wanted if ids is not None else [str(entry.id) for entry in entries]
    try:
        run_surely(
            _END_READING.call(keys=keys, args=[reader, token, marker, new_token(), CAPACITY, INBOX_SECONDS, *gone])
        )
    except RedisUnavailable:
        if not is_announced:  # otherwise the reader marker prevents a completeness marker
            epoch_bump.request()


def outbox(limit: int) -> list[OutboxItem]:
    """The oldest entries without a row. They stay in the outbox until :func:`settle`. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        items = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(OUTBOX_KEY, count=limit))
    return [OutboxItem(item_id, fields) for item_id, fields in items]


def settle(items: Sequence[OutboxItem], new_rows: Sequence[tuple[int, UUID]]) -> int:
    """Remove items from the outbox whose rows are committed. ``new_rows``: (user, id) of the rows that were inserted.

    Returns how many items were still in the outbox. Raises ``RedisUnavailable``.
    """
    taken = _SETTLE.run(
        keys=[OUTBOX_KEY, *(entries_key(user_id) for user_id, _ in new_rows)],
        args=[new_token(), len(items), *(item.id for item in items), *(str(row_id) for _, row_id in new_rows)],
    )
    return int(taken)
