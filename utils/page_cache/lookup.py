"""Looking up pages, storing them, and waiting for a page that another request renders."""

import time
from collections.abc import Sequence
from typing import Literal, NamedTuple

from django.conf import settings

from utils.event_loop import pause
from utils.http.rendering import Rendered
from utils.page_cache.keys import (
    FILL_LOCK_SUFFIX,
    PAGE_KEY,
    SIZES_KEY,
    STORED_KEY,
    TOTAL_KEY,
    fill_lock_key,
    pages_key,
    pages_key_of,
)
from utils.redis.client import RedisUnavailable
from utils.redis.scripts import Script, run_without_reply

_POLL_SECONDS = 0.01
_WAIT_SECONDS = 0.3

LOOK_UP = f"""
local function look_up_page(epoch_key, token_key, writers_key, user, name, tags, new_token, token_seconds, lock_ms, now)
  local epoch = redis.call('GET', epoch_key)
  if not epoch then
    epoch = new_token
    redis.call('SET', epoch_key, epoch)
  end
  redis.call('ZREMRANGEBYSCORE', writers_key, '-inf', now)
  if redis.call('EXISTS', writers_key) == 1 then return {{'bypass'}} end
  local token = redis.call('GET', token_key)
  if not token then
    token = new_token
    redis.call('SET', token_key, token, 'EX', token_seconds)
  end
  local key = {PAGE_KEY}
  local etag = redis.call('HGET', key, 'etag')
  if not etag then
    local has_lock = redis.call('SET', key .. '{FILL_LOCK_SUFFIX}', '1', 'NX', 'PX', lock_ms)
    return {{has_lock and 'miss' or 'busy', key}}
  end
  if string.find(tags, '\\n' .. etag .. '\\n', 1, true) or string.find(tags, '\\n*\\n', 1, true) then
    return {{'same', etag}}
  end
  return {{'hit', etag, redis.call('HGET', key, 'body')}}
end
"""
"""A Lua function for scripts that also look up a page; ``read_page`` parses its result."""

USER_PAGES_MAX = 20
"""Stored pages of one user, those included that a write has made unreachable."""
PAGE_OVERHEAD_BYTES = 2200
"""What a page counts besides its body: its key, its entries in the bookkeeping, and Redis's own. Measured."""

_FORGET = """
local function forget(key)
  local known = tonumber(redis.call('HGET', sizes, key) or 0)
  redis.call('HDEL', sizes, key)
  redis.call('ZREM', stored, key)
  redis.call('DECRBY', total, known)
  redis.call('UNLINK', key)
end
"""
# Pages have a budget of their own, so that they do not evict sessions, limits and strikes, whatever anybody reads. The
# bookkeeping has no TTL, so Redis does not evict it; the pages that it names all expire.
_STORE = Script(
    f"""
local page, stored, sizes, total, of_user = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local ttl, now = tonumber(ARGV[3]), tonumber(ARGV[4])
local budget, user_pages, size = tonumber(ARGV[5]), tonumber(ARGV[6]), string.len(ARGV[2]) + tonumber(ARGV[7])
redis.call('DEL', page .. '{FILL_LOCK_SUFFIX}')

{_FORGET}
for _, key in ipairs(redis.call('ZRANGEBYSCORE', stored, '-inf', now, 'LIMIT', 0, 20)) do forget(key) end
forget(page)
redis.call('ZREM', of_user, page)
while redis.call('ZCARD', of_user) >= user_pages do forget(redis.call('ZPOPMIN', of_user)[1]) end
for _ = 1, 50 do
  if tonumber(redis.call('GET', total) or 0) + size <= budget then break end
  local soonest = redis.call('ZRANGE', stored, 0, 0)[1]
  if not soonest then break end
  forget(soonest)
end
if tonumber(redis.call('GET', total) or 0) + size > budget then return end

redis.call('HSET', page, 'etag', ARGV[1], 'body', ARGV[2])
redis.call('EXPIRE', page, ttl)
redis.call('ZADD', stored, now + ttl * 1000, page)
redis.call('HSET', sizes, page, size)
redis.call('INCRBY', total, size)
redis.call('ZADD', of_user, now, page)
redis.call('EXPIRE', of_user, ttl)
"""
)
_FORGET_ALL = Script(
    f"""
local stored, sizes, total, of_user = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
{_FORGET}
for _, key in ipairs(redis.call('ZRANGE', of_user, 0, -1)) do forget(key) end
redis.call('DEL', of_user)
"""
)
_ABANDON = Script("redis.call('DEL', KEYS[1])")
_POLL = Script(
    f"""
local page = redis.call('HMGET', KEYS[1], 'etag', 'body')
return {{page[1], page[2], redis.call('EXISTS', KEYS[1] .. '{FILL_LOCK_SUFFIX}')}}
"""
)


class CachedPage(NamedTuple):
    """The result of a lookup in the page cache.

    ``hit``: body and ETag. ``same``: the client has this ETag. ``miss``: not cached; the caller has the fill lock and
    stores the page at ``key``. ``busy``: not cached; another request has the fill lock of ``key``. ``bypass``: the
    cache must not be used for this request. ``none``: no lookup.
    """

    outcome: Literal["hit", "same", "miss", "busy", "bypass", "none"]
    etag: str = ""
    body: bytes = b""
    key: str = ""


NO_PAGE = CachedPage("none")


def read_page(reply: Sequence[bytes]) -> CachedPage:
    """Parse the result of ``look_up_page``."""
    outcome = reply[0].decode()
    match outcome:
        case "hit":
            return CachedPage("hit", etag=reply[1].decode(), body=reply[2])
        case "same":
            return CachedPage("same", etag=reply[1].decode())
        case "miss" | "busy":
            return CachedPage(outcome, key=reply[1].decode())
        case "bypass":
            return CachedPage("bypass")
    return NO_PAGE


def store_page(key: str, *, etag: str, body: bytes, ttl: int) -> None:
    """Store a rendered page at the key of its lookup, and release the fill lock. ``ttl`` is in seconds.

    If a write happened meanwhile, that key is not looked up any more. The user's oldest pages give way beyond
    ``USER_PAGES_MAX``, and those of everybody that expire soonest beyond ``PAGE_CACHE_BYTES``.
    """
    run_without_reply(
        _STORE.call(
            keys=[key, STORED_KEY, SIZES_KEY, TOTAL_KEY, pages_key_of(key)],
            args=[
                etag,
                body,
                ttl,
                int(time.time() * 1000),
                settings.PAGE_CACHE_BYTES,
                USER_PAGES_MAX,
                PAGE_OVERHEAD_BYTES,
            ],
        )
    )


def drop_pages_of(user_id: int) -> None:
    """Delete all stored pages of a user, and what the bookkeeping knows of them. Raises ``RedisUnavailable``."""
    _FORGET_ALL.run(keys=[STORED_KEY, SIZES_KEY, TOTAL_KEY, pages_key(user_id)])


def abandon_page(key: str) -> None:
    """Release the fill lock without storing a page, so that another request renders it."""
    run_without_reply(_ABANDON.call(keys=[fill_lock_key(key)]))  # otherwise the lock expires


def await_page(key: str) -> Rendered | None:
    """Wait up to ``_WAIT_SECONDS`` for the page that another request renders; None: the caller must render it."""
    until = time.monotonic() + _WAIT_SECONDS
    try:
        while time.monotonic() < until:
            pause(_POLL_SECONDS)
            etag, body, is_locked = _POLL.run(keys=[key])
            if etag is not None:
                return Rendered(body, etag.decode())
            if not is_locked:
                return None
    except RedisUnavailable:
        return None
    return None
