"""Redis: whether it responds, its version, its eviction policy, its clock."""

import time
from collections.abc import Iterator
from typing import Any

from django.conf import settings

from utils.diagnosis import Options, Result, check
from utils.diagnosis.postgresql import MAX_SKEW_SECONDS
from utils.redis.client import RedisUnavailable, redis_guard

WANTED_POLICIES = ("volatile-lru", "volatile-lfu", "noeviction")


@check("redis")
def look(_options: Options) -> Iterator[Result]:
    try:
        with redis_guard() as client:
            info: dict[str, Any] = client.info()
            asked_at = time.time()
            seconds, microseconds = client.time()
    except RedisUnavailable as error:
        yield False, f"Redis does not answer: {error}"
        return
    skew = seconds + microseconds / 1_000_000 - (asked_at + time.time()) / 2
    version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
    yield version >= (6, 2), f"Redis {info['redis_version']} (6.2 or later)"
    policy = info["maxmemory_policy"]
    yield policy in WANTED_POLICIES, f"maxmemory-policy {policy} (volatile-lru keeps the broker's queues)"
    limit = info["maxmemory_human"] if info["maxmemory"] else "no limit"
    if info["maxmemory"] and settings.PAGE_CACHE_ENABLED:
        yield (
            2 * settings.PAGE_CACHE_BYTES <= info["maxmemory"],
            f"pages may take PAGE_CACHE_BYTES={settings.PAGE_CACHE_BYTES}, and at most half of {limit} is safe: what "
            "else is there (sessions, limits, strikes, queues) must never be evicted because of pages",
        )
    yield True, f"{info['used_memory_human']} used of {limit}, {info['evicted_keys']} keys evicted so far"
    yield abs(skew) <= MAX_SKEW_SECONDS, f"Redis's clock differs by {skew:+.1f} s"
