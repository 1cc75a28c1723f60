"""The live inbox of each user in Redis: unread notifications, newest first, at most ``CAPACITY``.

An inbox is a hash of entries by id and a sorted set of their ids by time. The hash holds two fields more. The *marker*
says that the inbox shows all that the table knows: until a time, and for one epoch of the page cache, so whatever makes
pages unreachable makes inboxes incomplete. The *token* changes with every change of the inbox.

Without a marker a reader completes the inbox from the table, a moment after it has answered. :func:`merge_call` refuses
if the token is another than before the table was read: somebody put or read an entry meanwhile, and what the table said
may be out of date.

A request that marks notifications as read takes the marker away before the first row changes. Until the inbox has
followed it stands in the user's set of *readers*, with a deadline; while anybody stands there, nobody puts a marker. So
if its process dies in between, the next pending list is made from the table.

Redis may evict either key of an inbox: their sizes then differ, and the inbox begins anew.

Entries that have no row yet are also in the *outbox*, a stream that :func:`notifications.services.drain` writes to the
table.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from notifications.entries import Entry, InvalidEntry
from utils.caching import debt, new_token
from utils.redis import EPOCH_KEY, RedisUnavailable, channel, redis_guard
from utils.redis_scripts import Script, ScriptCall, run_together

CAPACITY = 100
INBOX_SECONDS = 24 * 3600
MARKER_MILLISECONDS = 180 * 1000  # as long as a page: the longest that another process may show what has been read
READER_MILLISECONDS = 60 * 1000
"""Longer than any transaction: statements end after ``QUERY_TIMEOUT``."""

USER_EVENTS_KEPT = 200
USER_EVENTS_SECONDS = 3600

# It has no TTL: it holds the only copy of what has no row yet, so it must not be evicted. Past its limit callers write
# rows themselves.
OUTBOX_KEY = "notifications:outbox"
OUTBOX_LIMIT = 100_000

_LIBRARY = """
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function somebody_reads(readers)
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
    + """
local entries, order, events, outbox = unpack(KEYS)
local id, score, body, token, capacity, ttl = unpack(ARGV)
local user, channel, events_kept, events_ttl, outbox_limit = unpack(ARGV, 7)

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
redis.call('XADD', events, 'MAXLEN', '~', events_kept, '*', 'event', 'notification', 'data', body)
redis.call('EXPIRE', events, events_ttl)
redis.call('PUBLISH', channel, '{"event":"notification","data":' .. body .. '}')
return 1
"""
)

_READ = Script(
    _LIBRARY
    + """
local entries, order, epoch_key = unpack(KEYS)
local new_token, ttl = unpack(ARGV)

local token, marker = redis.call('HGET', entries, '@token'), redis.call('HGET', entries, '@marker')
local fields = (token and 1 or 0) + (marker and 1 or 0)
if redis.call('HLEN', entries) - fields ~= redis.call('ZCARD', order) then
  redis.call('DEL', entries, order)
  token, marker = false, false
end
if not token then
  token = new_token
  redis.call('HSET', entries, '@token', token)
  redis.call('EXPIRE', entries, ttl)
end
local epoch = redis.call('GET', epoch_key) or ''
local expires, marked_epoch = string.match(marker or '', '^(%d+):(.*)$')
local complete = expires and tonumber(expires) > now() and marked_epoch == epoch
local ids, scores, bodies = {}, {}, {}
for i, value in ipairs(redis.call('ZREVRANGE', order, 0, -1, 'WITHSCORES')) do
  if i % 2 == 1 then ids[#ids + 1] = value else scores[#scores + 1] = value end
end
if #ids > 0 then bodies = redis.call('HMGET', entries, unpack(ids)) end
return {complete and 1 or 0, token, epoch, ids, scores, bodies}
"""
)

# After the fixed arguments: the ids to drop, then id, score and body of each entry to add.
_MERGE = Script(
    _LIBRARY
    + """
local entries, order, readers = unpack(KEYS)
local token, epoch, marker_ms, ttl, capacity, drops = unpack(ARGV)

if redis.call('HGET', entries, '@token') ~= token or somebody_reads(readers) then return 0 end
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

# After the fixed arguments: the ids, unless all are meant.
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

# After the fixed arguments: the ids. The marker comes back only if nobody else touched the inbox, and if it was not
# full: behind a full one the table may have older unread rows.
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
if marker ~= '' and unchanged and not full and not somebody_reads(readers) then
  redis.call('HSET', entries, '@marker', marker)
else
  redis.call('HDEL', entries, '@marker')
end
redis.call('EXPIRE', entries, ttl)
"""
)

# Each new row's inbox is a key after the outbox. After the fixed arguments: the ids of the outbox's items, then of the
# new rows. An inbox that has lost such an entry, by eviction or for being full, is not complete any more.
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


Kept = dict[str, tuple[int, bytes]]
"""Entries as an inbox keeps them: by id, each with its score and its body."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An inbox as it was: its entries, newest first. ``complete``: there are no others."""

    complete: bool
    token: bytes
    epoch: bytes
    entries: Kept


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """What the write-behind stream holds, not yet looked at."""

    id: bytes
    fields: dict[bytes, bytes]

    def entry(self) -> Entry:
        """Raises ``InvalidEntry``."""
        try:
            return Entry.from_body(int(self.fields[b"user_id"]), self.fields[b"body"])
        except (KeyError, ValueError) as error:
            raise InvalidEntry(f"{type(error).__name__}: {error}") from error


def entries_key(user_id: int) -> str:
    return f"inbox:{user_id}:entries"


def order_key(user_id: int) -> str:
    return f"inbox:{user_id}:order"


def readers_key(user_id: int) -> str:
    return f"inbox:{user_id}:readers"


def user_events_key(user_id: int) -> str:
    """The capped stream of what a user's open pages are told: ``event`` and ``data`` (JSON) of each."""
    return f"events:user:{user_id}"


def user_channel(user_id: int) -> str:
    """Where new events of the user's stream are announced."""
    return channel(f"user:{user_id}")


def put(entry: Entry, *, has_row: bool) -> bool:
    """Put an entry into its user's inbox and tell the user's open pages; one that is there already changes nothing.

    Without a row it goes into the outbox as well; False if that is full, and nothing was done.
    Raises ``RedisUnavailable``, after which it may or may not have been put.
    """
    user_id = entry.user_id
    with redis_guard() as client:
        return bool(
            _PUT.run(
                client,
                keys=[entries_key(user_id), order_key(user_id), user_events_key(user_id), OUTBOX_KEY],
                args=[
                    str(entry.id),
                    entry.score,
                    entry.body(),
                    new_token(),
                    CAPACITY,
                    INBOX_SECONDS,
                    user_id,
                    user_channel(user_id),
                    USER_EVENTS_KEPT,
                    USER_EVENTS_SECONDS,
                    0 if has_row else OUTBOX_LIMIT,
                ],
            )
        )


def read_call(user_id: int) -> ScriptCall:
    """Reads the inbox; :func:`snapshot` understands its answer."""
    return _READ.call(
        keys=[entries_key(user_id), order_key(user_id), EPOCH_KEY],
        args=[new_token(), INBOX_SECONDS],
    )


def snapshot(answer: list[Any]) -> Snapshot:
    complete, token, epoch, ids, scores, bodies = answer
    entries = {id_.decode(): (int(float(score)), body) for id_, score, body in zip(ids, scores, bodies, strict=True)}
    return Snapshot(bool(complete), token, epoch, entries)


def read(user_id: int) -> Snapshot:
    """The inbox in one round trip. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        return snapshot(run_together(client, read_call(user_id))[0])


def as_kept(entries: Iterable[Entry]) -> Kept:
    return {str(entry.id): (entry.score, entry.body()) for entry in entries}


def merge_call(user_id: int, seen: Snapshot, *, unread: Kept, read_ids: Collection[UUID]) -> ScriptCall:
    """Completes the inbox with what the table said after ``seen``; answers 0 if the inbox has changed since."""
    return _MERGE.call(
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


@contextmanager
def reading(user_id: int, ids: Collection[UUID] | None) -> Iterator[list[Entry]]:
    """Around the transaction that marks notifications as read (all of them: ``ids=None``): yields those in the inbox.

    They leave the inbox once the block ends well; after an exception the inbox is held to be incomplete for a minute.
    With Redis away nothing is yielded, and this process owes a new epoch, without which no inbox is complete.
    """
    keys = [entries_key(user_id), order_key(user_id), readers_key(user_id)]
    reader = new_token()
    wanted = [str(read_id) for read_id in ids or ()]
    begun, token, marker, bodies = False, b"", b"", []
    try:
        with redis_guard() as client:
            token, marker, bodies = _BEGIN_READING.run(
                client, keys=keys, args=[reader, READER_MILLISECONDS, int(ids is None), *wanted]
            )
        begun = True
    except RedisUnavailable:
        debt.incur()
    entries = [Entry.from_body(user_id, body) for body in bodies if body is not None]
    yield entries
    gone = wanted if ids is not None else [str(entry.id) for entry in entries]
    try:
        with redis_guard() as client:
            _END_READING.run(
                client, keys=keys, args=[reader, token, marker, new_token(), CAPACITY, INBOX_SECONDS, *gone]
            )
    except RedisUnavailable:
        if not begun:  # else the inbox has no marker, and gets none while its reader stands there
            debt.incur()  # again: the first debt may have been paid before COMMIT


def outbox(limit: int) -> list[OutboxItem]:
    """The oldest entries that have no row yet. They stay until they are settled. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        items = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(OUTBOX_KEY, count=limit))
    return [OutboxItem(item_id, fields) for item_id, fields in items]


def settle(items: Sequence[OutboxItem], new_rows: Sequence[tuple[int, UUID]]) -> int:
    """Take items off the outbox whose rows are committed; ``new_rows`` (user, id) are those that were not there before.

    Returns how many were still in the outbox. Raises ``RedisUnavailable``.
    """
    with redis_guard() as client:
        return int(
            _SETTLE.run(
                client,
                keys=[OUTBOX_KEY, *(entries_key(user_id) for user_id, _ in new_rows)],
                args=[new_token(), len(items), *(item.id for item in items), *(str(row_id) for _, row_id in new_rows)],
            )
        )
