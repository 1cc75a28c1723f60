"""Limits of guessing: attempts are counted by account and by address, and each limit that is hit shuts for longer.

The scope ``login`` gives the number of attempts for an account and its window; an address has five times as many.
Hitting a limit shuts that account or address for one window, hitting it again within the hour for two, then four, up to
a quarter of an hour: long enough to make guessing hopeless, short enough that nobody can lock a student out for a day.
Attempts made while it is shut neither count nor prolong it.

Refresh tokens cannot be guessed. Their exchange has a limit by address, wide enough for the many who may share one, and
hitting it shuts for one window only.
"""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network

from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from utils import throttling
from utils.admission import Admission
from utils.client_address import client_address
from utils.redis import RedisUnavailable, Script, redis_guard
from utils.throttling import Limit, Usage

ADDRESS_FACTOR = 5
REFRESH_FACTOR = 60
"""A session is refreshed once in a quarter of an hour: at 10 a minute for an account, 9,000 may share an address."""
MAX_SHUT_SECONDS = 15 * 60
STRIKES_SECONDS = 3600

# Three keys for each limit: shut, attempts, strikes.
_COUNT = Script(
    """
local max_shut_ms, strikes_seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer, shut = {}, false
for i = 1, #KEYS / 3 do
  local left = redis.call('PTTL', KEYS[3 * i - 2])
  if left > 0 then shut = true end
  answer[i] = {tonumber(redis.call('GET', KEYS[3 * i - 1]) or 0), math.max(left, 0), 0}
end
if shut then return answer end
for i = 1, #KEYS / 3 do
  local limit, window_ms = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local used = redis.call('INCR', KEYS[3 * i - 1])
  if used == 1 then redis.call('PEXPIRE', KEYS[3 * i - 1], window_ms) end
  answer[i] = {used, 0, redis.call('PTTL', KEYS[3 * i - 1])}
  if used > limit then
    local strikes = redis.call('INCR', KEYS[3 * i])
    redis.call('EXPIRE', KEYS[3 * i], strikes_seconds)
    local shut_ms = math.min(window_ms * 2 ^ math.min(strikes - 1, 20), math.max(max_shut_ms, window_ms))
    redis.call('SET', KEYS[3 * i - 2], 1, 'PX', string.format('%d', shut_ms))
    redis.call('DEL', KEYS[3 * i - 1])
    answer[i][2] = shut_ms
  end
end
return answer
"""
)


def count_attempt(request: HttpRequest | Request, *, account: str) -> None:
    """Count an attempt at an account (an email, or another name of it) from the request's address.

    Leaves where the client stands on the request, for the ``RateLimit-*`` headers. Raises ``TooManyRequests``.
    """
    limits = throttling.limits_of(["login"])
    if not limits:
        return
    limit = limits[0]
    counted = [(f"account:{_digest(account)}", limit)]
    if address := client_address(request):
        counted.append((f"address:{_network(address)}", replace(limit, count=limit.count * ADDRESS_FACTOR)))
    _tell(request, *_count(counted))


def count_refresh(request: HttpRequest | Request) -> None:
    """Count an exchange of a refresh token at the request's address. Otherwise like :func:`count_attempt`."""
    limits = throttling.limits_of(["login"])
    address = client_address(request)
    if not limits or not address:
        return
    limit = replace(limits[0], count=limits[0].count * REFRESH_FACTOR)
    _tell(request, *_count([(f"refresh:{_network(address)}", limit)], max_shut_seconds=0))


def _tell(request: HttpRequest | Request, denied: Usage | None, usage: list[Usage]) -> None:
    plain_request = request._request if isinstance(request, Request) else request
    plain_request.admission = Admission("admitted", denied=denied, usage=usage)  # type: ignore[attr-defined]
    if denied is not None:
        raise throttling.too_many_requests(denied)


def _count(
    counted: Sequence[tuple[str, Limit]], *, max_shut_seconds: int = MAX_SHUT_SECONDS
) -> tuple[Usage | None, list[Usage]]:
    try:
        with redis_guard() as client:
            answers = _COUNT.run(
                client,
                keys=[f"login:{part}:{subject}" for subject, _ in counted for part in ("shut", "attempts", "strikes")],
                args=[
                    max_shut_seconds * 1000,
                    STRIKES_SECONDS,
                    *(value for _, limit in counted for value in (limit.count, limit.seconds * 1000)),
                ],
            )
    except RedisUnavailable:
        return _count_here(counted)
    usage, denials = [], []
    for (_, limit), (used, shut_ms, reset_ms) in zip(counted, answers, strict=True):
        if shut_ms:
            denials.append(Usage(limit, limit.count, shut_ms))
            usage.append(denials[-1])
        else:
            usage.append(Usage(limit, used, reset_ms))
    return max(denials, key=lambda denial: denial.reset_ms, default=None), usage


def _count_here(counted: Sequence[tuple[str, Limit]]) -> tuple[Usage | None, list[Usage]]:
    """With Redis unreachable each process counts for itself, in plain windows."""
    usage = []
    for subject, limit in counted:
        denied, used = throttling.local_counters.count(subject, [limit])
        usage += used
        if denied is not None:
            return denied, usage
    return None, usage


def _digest(account: str) -> str:
    """Redis need not know who tries to sign in."""
    return salted_hmac("accounts.login-throttle", account, algorithm="sha256").hexdigest()[:32]


def _network(address: str) -> str:
    """What one subscriber has: an IPv4 address, or the 64 bits of an IPv6 prefix."""
    if isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False).network_address)
    return address
