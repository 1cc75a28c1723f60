"""Limits against password guessing, by account and address, with lockouts that grow longer.

The throttle scope ``login`` sets how many login attempts an account has from one address in one window. An address has
five times as many for all accounts together, an account ten times as many from all addresses together. Exceeding a
limit locks it for one window; exceeding it again within the hour locks it for two windows, then four, up to 15 minutes.
Attempts made during a lockout are not counted and do not extend it.

An attacker therefore needs ten addresses to lock an account for its owner. An address from which the owner signed in
within the last 30 days is exempt from the limit over all addresses.

Refresh tokens cannot be guessed. Their exchange has one limit by address, high enough for many users who share one
address, and its lockouts last one window only. All other public requests together have a second limit of the same kind;
they are counted before their bodies are read.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Literal

from django.http import HttpRequest
from django.utils.crypto import salted_hmac
from rest_framework.request import Request

from utils.admission import throttling
from utils.admission.gate import Admission
from utils.admission.throttling import Limit, LimitUsage
from utils.http.client_address import client_address
from utils.redis.client import RedisUnavailable, redis_guard
from utils.redis.scripts import Script

ADDRESS_FACTOR = 5
ACCOUNT_FACTOR = 10
REFRESH_FACTOR = 60
"""A session is refreshed every 15 minutes: at 10 login attempts a minute, 9,000 sessions may share one address."""
MAX_LOCKOUT_SECONDS = 15 * 60
STRIKES_SECONDS = 3600
KNOWN_ADDRESS_SECONDS = 30 * 24 * 3600

AttemptKind = Literal["email", "reset", "user", "token", "factor", "share"]
"""Each kind is counted separately: a login or registration, a password reset, the user's own password, a mailed code,
an operator's second factor, the password of a shared note.
"""

# Each limit has three keys: shut (the lockout), attempts, strikes (how often the limit was exceeded). If there is an
# extra key at the end, and it exists in Redis, the last limit is disabled.
_COUNT = Script(
    """
local max_shut_ms, strikes_seconds = tonumber(ARGV[1]), tonumber(ARGV[2])
local reply, shut, limits = {}, false, math.floor(#KEYS / 3)
if #KEYS % 3 == 1 and redis.call('EXISTS', KEYS[#KEYS]) == 1 then limits = limits - 1 end
for i = 1, limits do
  local left = redis.call('PTTL', KEYS[3 * i - 2])
  if left > 0 then shut = true end
  reply[i] = {tonumber(redis.call('GET', KEYS[3 * i - 1]) or 0), math.max(left, 0), 0}
end
if shut then return reply end
for i = 1, limits do
  local limit, window_ms = tonumber(ARGV[1 + 2 * i]), tonumber(ARGV[2 + 2 * i])
  local used = redis.call('INCR', KEYS[3 * i - 1])
  if used == 1 then redis.call('PEXPIRE', KEYS[3 * i - 1], window_ms) end
  reply[i] = {used, 0, redis.call('PTTL', KEYS[3 * i - 1])}
  if used > limit then
    local strikes = redis.call('INCR', KEYS[3 * i])
    redis.call('EXPIRE', KEYS[3 * i], strikes_seconds)
    local shut_ms = math.min(window_ms * 2 ^ math.min(strikes - 1, 20), math.max(max_shut_ms, window_ms))
    redis.call('SET', KEYS[3 * i - 2], 1, 'PX', string.format('%d', shut_ms))
    redis.call('DEL', KEYS[3 * i - 1])
    reply[i][2] = shut_ms
  end
end
return reply
"""
)


def count_login_attempt(request: HttpRequest | Request, *, kind: AttemptKind, name: object) -> None:
    """Count an attempt to guess a secret of the account ``name`` from the request's address.

    Stores the usage of the limits on the request, for the ``RateLimit-*`` headers. Raises ``TooManyRequests``.
    """
    limits = throttling.limits_of(["login"])
    if not limits:
        return
    limit = limits[0]
    account = f"account:{_digest(f'{kind}:{name}')}"
    network = _network(client_address(request))
    counted = [(f"{account}@{network}", limit)]
    if network:
        counted.append((f"address:{network}", replace(limit, count=limit.count * ADDRESS_FACTOR, name="login-address")))
        counted.append((account, replace(limit, count=limit.count * ACCOUNT_FACTOR, name="login-account")))
    _store_usage(request, *_count(counted, known_keys=[_known_address_key(name, network)]))


def remember_address(request: HttpRequest | Request, *, email: str) -> None:
    """Exempt the request's address from the account's limit over all addresses. Call after a successful login."""
    if network := _network(client_address(request)):
        with suppress(RedisUnavailable), redis_guard() as client:
            client.set(_known_address_key(email, network), 1, ex=KNOWN_ADDRESS_SECONDS)


def count_refresh(request: HttpRequest | Request) -> None:
    """Count an exchange of a refresh token at the request's address. Otherwise like :func:`count_login_attempt`."""
    _count_at_address(request, "refresh")


def count_by_address(request: HttpRequest | Request) -> None:
    """Count an unauthenticated request before its body is read. Otherwise like :func:`count_refresh`."""
    _count_at_address(request, "public")


def _count_at_address(request: HttpRequest | Request, kind: Literal["refresh", "public"]) -> None:
    limits = throttling.limits_of(["login"])
    network = _network(client_address(request))
    if not limits or not network:
        return
    limit = replace(limits[0], count=limits[0].count * REFRESH_FACTOR, name=f"{kind}-address")
    _store_usage(request, *_count([(f"{kind}:{network}", limit)], max_lockout_seconds=0))


def _store_usage(request: HttpRequest | Request, denied: LimitUsage | None, usage: list[LimitUsage]) -> None:
    plain_request = request._request if isinstance(request, Request) else request
    plain_request.admission = Admission("admitted", denied=denied, usage=usage)  # type: ignore[attr-defined]
    if denied is not None:
        raise throttling.too_many_requests(denied)


def _count(
    counted: Sequence[tuple[str, Limit]],
    *,
    known_keys: Sequence[str] = (),
    max_lockout_seconds: int = MAX_LOCKOUT_SECONDS,
) -> tuple[LimitUsage | None, list[LimitUsage]]:
    parts = [f"login:{part}:{subject}" for subject, _ in counted for part in ("shut", "attempts", "strikes")]
    try:
        replies = _COUNT.run(
            keys=[*parts, *known_keys],
            args=[
                max_lockout_seconds * 1000,
                STRIKES_SECONDS,
                *(value for _, limit in counted for value in (limit.count, limit.seconds * 1000)),
            ],
        )
    except RedisUnavailable:
        return _count_locally(counted)
    usage, denials = [], []
    for (_, limit), (used, lockout_ms, reset_ms) in zip(counted, replies, strict=False):
        if lockout_ms:
            denials.append(LimitUsage(limit, limit.count, lockout_ms))
            usage.append(denials[-1])
        else:
            usage.append(LimitUsage(limit, used, reset_ms))
    return max(denials, key=lambda denial: denial.reset_ms, default=None), usage


def _count_locally(counted: Sequence[tuple[str, Limit]]) -> tuple[LimitUsage | None, list[LimitUsage]]:
    """Count in this process's memory while Redis is unavailable, in fixed windows without lockouts."""
    usage = []
    for subject, limit in counted:
        denied, used = throttling.local_counters.count(subject, [limit])
        usage += used
        if denied is not None:
            return denied, usage
    return None, usage


def _known_address_key(name: object, network: str) -> str:
    return f"login:known:{_digest(str(name))}@{network}"


def _digest(account: str) -> str:
    """A keyed hash, so that Redis holds no email addresses."""
    return salted_hmac("accounts.login-throttle", account, algorithm="sha256").hexdigest()[:32]


def _network(address: str) -> str:
    """The network of one subscriber: an IPv4 address, or an IPv6 /64 prefix. Empty if the address is unknown."""
    if address and isinstance(ip_address(address), IPv6Address):
        return str(ip_network(f"{address}/64", strict=False).network_address)
    return address
