"""Counts requests that no session is read for: those of signed links and of addresses."""

from django.http import HttpRequest

from utils.admission import throttling
from utils.admission.gate import Admission
from utils.redis.client import RedisUnavailable
from utils.redis.scripts import Script

_COUNT = Script(
    """
local used = tonumber(redis.call('GET', KEYS[1]) or 0)
if used >= tonumber(ARGV[1]) then return {used, redis.call('PTTL', KEYS[1]), 1} end
used = redis.call('INCR', KEYS[1])
if used == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {used, redis.call('PTTL', KEYS[1]), 0}
"""
)


def count_request(request: HttpRequest, *, scope: str, subject: object) -> None:
    """Count a request against one limit of a user or an address, and nothing else.

    Stores the usage on the request, for the ``RateLimit-*`` headers. Raises ``TooManyRequests``.
    """
    limits = throttling.limits_of([scope])
    if not limits:
        return
    limit = limits[0]
    try:
        arguments = [limit.count, limit.seconds * 1000]
        used, reset_ms, is_denied = _COUNT.run(keys=[limit.key(subject)], args=arguments)
        usage = throttling.LimitUsage(limit, used, reset_ms)
        denied = usage if is_denied else None
    except RedisUnavailable:
        denied, (usage,) = throttling.local_counters.count(subject, limits)
    request.admission = Admission("admitted", denied=denied, usage=[usage])  # type: ignore[attr-defined]
    if denied is not None:
        raise throttling.too_many_requests(denied)
