"""Limits per user and scope: exact under concurrency, counted in Redis, with a fallback in this process.

A window begins with a user's first request in it and lasts the limit's whole period. Requests are counted by
:mod:`utils.admission.gate`, in the round trip that also checks the session.
"""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import ceil
from typing import Any, NamedTuple, cast

from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from utils.http.errors import TooManyRequests
from utils.http.query import refuse_unknown_parameters
from utils.page_cache.fast_reads import ReadSpec

DEFAULT_SCOPES = ("burst", "sustained")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Limit:
    """At most ``count`` requests in ``seconds``."""

    scope: str
    count: int
    seconds: int
    name: str = ""
    """The name of the limit in the headers, unique within its scope."""

    @cached_property
    def quoted_name(self) -> str:
        """Its name in the headers."""
        return f'"{self.name or self.scope}"'

    @cached_property
    def policy(self) -> str:
        """What ``RateLimit-Policy`` tells of it."""
        return f"{self.quoted_name};q={self.count};w={self.seconds}"

    @cached_property
    def key_prefix(self) -> str:
        """What stands before the subject in the keys of its counts."""
        return f"limit:{self.scope}:"

    def key(self, subject: object) -> str:
        return f"{self.key_prefix}{subject}"


class LimitUsage(NamedTuple):
    """The usage of a limit: ``used`` includes this request if it was admitted; the window ends in ``reset_ms``."""

    limit: Limit
    used: int
    reset_ms: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit.count - self.used)

    @property
    def reset_seconds(self) -> int:
        return max(1, ceil(self.reset_ms / 1000))


def limits_of(scopes: Iterable[str]) -> list[Limit]:
    """The configured limits of these scopes; a scope whose rate is ``none`` has no limit."""
    rates = cast(dict[str, str | None], api_settings.DEFAULT_THROTTLE_RATES)
    return [limit for scope in scopes if (limit := parse_rate(scope, rates[scope])) is not None]


def limits_for(view: Any, spec: ReadSpec | None = None) -> list[Limit]:
    """The limits that a request counts against: of its fast read's scopes, else of its view's ``throttle_scopes``."""
    scopes = getattr(view, "throttle_scopes", DEFAULT_SCOPES) if spec is None else spec.scopes or DEFAULT_SCOPES
    return limits_of(scopes)


@cache
def parse_rate(scope: str, rate: str | None) -> Limit | None:
    """Parse a rate in DRF's format, as ``60/min``."""
    if rate is None:
        return None
    count, _, period = rate.partition("/")
    return Limit(scope, int(count), _PERIODS[period[0]])


class LocalCounters:
    """Counts in this process's memory while Redis is unavailable. The number of counters is bounded."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._windows: dict[str, tuple[int, float]] = {}
        self._max_keys = max_keys
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many windows are kept."""
        return len(self._windows)

    def clear(self) -> None:
        """Drop all counters, as if the process had just started."""
        with self._lock:
            self._windows.clear()

    def count(self, subject: object, limits: Sequence[Limit]) -> tuple[LimitUsage | None, list[LimitUsage]]:
        """Count one request; return the exceeded limit, if any, and the usage of all limits."""
        now = time.monotonic()
        with self._lock:
            if len(self._windows) > self._max_keys:
                self._windows = {key: window for key, window in self._windows.items() if window[1] > now}
                if len(self._windows) > self._max_keys:
                    self._windows.clear()
            current = []
            for limit in limits:
                used, ends = self._windows.get(limit.key(subject), (0, 0.0))
                current.append((used, ends) if ends > now else (0, now + limit.seconds))
            denied = next((i for i, limit in enumerate(limits) if current[i][0] >= limit.count), None)
            if denied is None:
                current = [(used + 1, ends) for used, ends in current]
                self._windows.update(
                    {limit.key(subject): window for limit, window in zip(limits, current, strict=True)}
                )
        usage = [
            LimitUsage(limit, used, int((ends - now) * 1000))
            for limit, (used, ends) in zip(limits, current, strict=True)
        ]
        return (None if denied is None else usage[denied]), usage


local_counters = LocalCounters()


def too_many_requests(denied: LimitUsage) -> TooManyRequests:
    return TooManyRequests(
        f"The limit of {denied.limit.count} requests per {denied.limit.seconds} seconds is reached.",
        retry_after=denied.reset_seconds,
        scope=denied.limit.scope,
    )


class AdmissionThrottle(BaseThrottle):
    """Raises the 429 for a request whose admission was denied, and the 400 for unknown query parameters.

    REST framework calls it after authentication and permissions, so a stranger learns nothing about the view.

    Unauthenticated requests have no admission; public routes have limits of their own.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        admission = getattr(request._request, "admission", None)
        if admission is not None and admission.denied is not None:
            raise too_many_requests(admission.denied)
        refuse_unknown_parameters(request, view)
        return True


def rate_limit_headers(usages: Sequence[LimitUsage]) -> dict[str, str]:
    """The ``RateLimit-*`` headers.

    ``RateLimit-Policy`` and ``RateLimit`` tell of each limit, as draft-ietf-httpapi-ratelimit-headers-11 has it; three
    older headers tell of the limit that has the fewest requests left.
    """
    if not usages:
        return {}
    policies, states = [], []
    tightest, least, soonest = usages[0].limit, -1, 0
    for usage in usages:
        limit, remaining, reset = usage.limit, usage.remaining, usage.reset_seconds
        policies.append(limit.policy)
        states.append(f"{limit.quoted_name};r={remaining};t={reset}")
        if least < 0 or remaining < least:
            tightest, least, soonest = limit, remaining, reset
    return {
        "RateLimit-Policy": ", ".join(policies),
        "RateLimit": ", ".join(states),
        "RateLimit-Limit": str(tightest.count),
        "RateLimit-Remaining": str(least),
        "RateLimit-Reset": str(soonest),
    }
