"""Limits of guessing: attempts are counted by account and address, and each limit that is hit shuts for longer.

The scope ``login`` gives the number of attempts that an account has from one address, and its window. An address has
five times as many for all accounts together, an account ten times as many from all addresses together. Hitting a limit
shuts for one window, hitting it again within the hour for two, then four, up to a quarter of an hour, which makes
guessing hopeless. Attempts made while it is shut neither count nor prolong it.

So nobody shuts an account for others than themselves, unless from ten addresses, and those who signed in from an
address within a month are not shut out there by what comes from elsewhere.

Refresh tokens cannot be guessed. Their exchange has a limit by address, wide enough for the many who may share one, and
hitting it shuts for one window only.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from utils import throttling
from utils.admission import Admission
from utils.client_address import client_address
from utils.redis import RedisUnavailable, redis_guard
from utils.redis_scripts import Script
from utils.throttling import Limit, Usage

ADDRESS_FACTOR = 5
ACCOUNT_FACTOR = 10
REFRESH_FACTOR = 60
"""A session is refreshed once in a quarter of an hour: at 10 a minute for an account, 9,000 may share an address."""
MAX_SHUT_SECONDS = 15 * 60
STRIKES_SECONDS = 3600
KNOWN_SECONDS = 30 * 24 * 3600

Kind = Literal["email", "reset", "user", "token"]
"""What is attempted, each counted apart: a login or registration, a reset, a user's own password, a mailed code."""

# Three keys for each limit: shut, attempts, strikes. If one more is named and exists, the last limit does not hold.
_COUNT = Script(
    """
local max_shut_ms, strikes_seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local answer, shut, limits = {}, false, math.floor(#KEYS / 3)
if #KEYS % 3 == 1 and redis.call('EXISTS', KEYS[#KEYS]) == 1 then limits = limits - 1 end
for i = 1, limits do
  local left = redis.call('PTTL', KEYS[3 * i - 2])
  if left > 0 then shut = true end
  answer[i] = {tonumber(redis.call('GET', KEYS[3 * i - 1]) or 0), math.max(left, 0), 0}
end
if shut then return answer end
for i = 1, limits do
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


def count_attempt(request: HttpRequest | Request, *, kind: Kind, name: object) -> None:
    """Count an attempt at an account, by its email or another name of it, from the request's address.

    Leaves where the client stands on the request, for the ``RateLimit-*`` headers. Raises ``TooManyRequests``.
    """
    limits = throttling.limits_of(["login"])
    if not limits:
        return
    limit = limits[0]
    account = f"account:{_digest(f'{kind}:{name}')}"
    network = _network(client_address(request))
    counted = [(f"{account}@{network}", limit)]
    if network:
        counted.append((f"address:{network}", replace(limit, count=limit.count * ADDRESS_FACTOR)))
        counted.append((account, replace(limit, count=limit.count * ACCOUNT_FACTOR)))
    _tell(request, *_count(counted, known_keys=[_known_key(name, network)]))


def remember_address(request: HttpRequest | Request, *, email: str) -> None:
    """Somebody signed in from the request's address: others' attempts at their account no longer shut them out here."""
    if network := _network(client_address(request)):
        with suppress(RedisUnavailable), redis_guard() as client:
            client.set(_known_key(email, network), 1, ex=KNOWN_SECONDS)


def count_refresh(request: HttpRequest | Request) -> None:
    """Count an exchange of a refresh token at the request's address. Otherwise like :func:`count_attempt`."""
    limits = throttling.limits_of(["login"])
    network = _network(client_address(request))
    if not limits or not network:
        return
    limit = replace(limits[0], count=limits[0].count * REFRESH_FACTOR)
    _tell(request, *_count([(f"refresh:{network}", limit)], max_shut_seconds=0))


def _tell(request: HttpRequest | Request, denied: Usage | None, usage: list[Usage]) -> None:
    plain_request = request._request if isinstance(request, Request) else request
    plain_request.admission = Admission("admitted", denied=denied, usage=usage)  # type: ignore[attr-defined]
    if denied is not None:
        raise throttling.too_many_requests(denied)


def _count(
    counted: Sequence[tuple[str, Limit]], *, known_keys: Sequence[str] = (), max_shut_seconds: int = MAX_SHUT_SECONDS
) -> tuple[Usage | None, list[Usage]]:
    parts = [f"login:{part}:{subject}" for subject, _ in counted for part in ("shut", "attempts", "strikes")]
    try:
        with redis_guard() as client:
            answers = _COUNT.run(
                client,
                keys=[*parts, *known_keys],
                args=[
                    max_shut_seconds * 1000,
                    STRIKES_SECONDS,
                    *(value for _, limit in counted for value in (limit.count, limit.seconds * 1000)),
                ],
            )
    except RedisUnavailable:
        return _count_here(counted)
    usage, denials = [], []
    for (_, limit), (used, shut_ms, reset_ms) in zip(counted, answers, strict=False):
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


def _known_key(name: object, network: str) -> str:
    return f"login:known:{_digest(str(name))}@{network}"


def _digest(account: str) -> str:
    """Redis need not know who tries to sign in."""
    return salted_hmac("accounts.login-throttle", account, algorithm="sha256").hexdigest()[:32]


def _network(address: str) -> str:
    """What one subscriber has: an IPv4 address, or the 64 bits of an IPv6 prefix. Empty if the server knows none."""
    if address and isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False).network_address)
    return address
