"""Notifications that can never become rows, kept for a person who finds out why: the newest, and not for ever."""

from typing import cast

from notifications.inbox import OUTBOX_KEY, OutboxItem
from utils.redis import redis_guard
from utils.redis_scripts import Script

QUARANTINE_KEY = "notifications:quarantine"
KEPT = 1000
KEPT_SECONDS = 30 * 24 * 3600
"""After the last one came."""

_PUT = Script(
    """
local outbox, quarantine = unpack(KEYS)
local item, kept, seconds = unpack(ARGV)

if redis.call('XDEL', outbox, item) == 0 then return 0 end
redis.call('XADD', quarantine, 'MAXLEN', '~', kept, '*', unpack(ARGV, 4))
redis.call('EXPIRE', quarantine, seconds)
return 1
"""
)


def put(item: OutboxItem, reason: str) -> bool:
    """Move an item that can never become a row out of the way; False if it is gone. Raises ``RedisUnavailable``."""
    fields = [part for field in item.fields.items() for part in field]
    with redis_guard() as client:
        return bool(
            _PUT.run(
                client,
                keys=[OUTBOX_KEY, QUARANTINE_KEY],
                args=[item.id, KEPT, KEPT_SECONDS, "reason", reason, *fields],
            )
        )


def forget(user_id: int) -> None:
    """Drop what is there of a user. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        items = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(QUARANTINE_KEY))
        theirs = [item_id for item_id, fields in items if fields.get(b"user_id") == str(user_id).encode()]
        if theirs:
            client.xdel(QUARANTINE_KEY, *theirs)
