"""The quarantine: notifications that cannot be stored as rows, kept for an operator. Bounded in number and time."""

from typing import cast

from notifications.inbox import OUTBOX_KEY, OutboxItem
from utils.redis.client import redis_guard
from utils.redis.scripts import Script

QUARANTINE_KEY = "notifications:quarantine"
MAX_ITEMS = 1000
TTL_SECONDS = 30 * 24 * 3600
"""Counted from the newest item."""

_PUT = Script(
    """
local outbox, quarantine = unpack(KEYS)
local item, max_items, ttl = unpack(ARGV)

if redis.call('XDEL', outbox, item) == 0 then return 0 end
redis.call('XADD', quarantine, 'MAXLEN', '~', max_items, '*', unpack(ARGV, 4))
redis.call('EXPIRE', quarantine, ttl)
return 1
"""
)


def put(item: OutboxItem, reason: str) -> bool:
    """Move an item from the outbox to the quarantine; False if it is not in the outbox. Raises ``RedisUnavailable``."""
    fields = [part for field in item.fields.items() for part in field]
    arguments = [item.id, MAX_ITEMS, TTL_SECONDS, "reason", reason, *fields]
    return bool(_PUT.run(keys=[OUTBOX_KEY, QUARANTINE_KEY], args=arguments))


def forget(user_id: int) -> None:
    """Delete a user's items. Raises ``RedisUnavailable``."""
    with redis_guard() as client:
        items = cast(list[tuple[bytes, dict[bytes, bytes]]], client.xrange(QUARANTINE_KEY))
        theirs = [item_id for item_id, fields in items if fields.get(b"user_id") == str(user_id).encode()]
        if theirs:
            client.xdel(QUARANTINE_KEY, *theirs)
