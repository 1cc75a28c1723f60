"""Limits per user and scope: exact under concurrency, counted in Redis, with a fallback in this process.

A window begins with a user's first request in it and lasts its whole period. The counting itself happens in
:mod:`utils.admission`, in the same round trip as everything else.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Any, NamedTuple, cast

from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

from utils.exceptions import TooManyRequests

DEFAULT_SCOPES = ("burst", "sustained")
_PERIODS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``count`` requests in ``seconds``."""

    scope: str
    count: int
    seconds: int

    def key(self, subject: object) -> str:
        return f"limit:{self.scope}:{subject}"


class Usage(NamedTuple):
    """How much of a limit is used, this request included if it was admitted; ``reset_ms`` until the window ends."""

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
    """The limits that the settings give to these scopes; a scope whose rate is ``none`` has no limit."""
    rates = cast(dict[str, str | None], api_settings.DEFAULT_THROTTLE_RATES)
    return [limit for scope in scopes if (limit := parse_rate(scope, rates[scope])) is not None]


@cache
def parse_rate(scope: str, rate: str | None) -> Limit | None:
    """Read DRF's spelling: ``60/min``."""
    if rate is None:
        return None
    count, _, period = rate.partition("/")
    return Limit(scope, int(count), _PERIODS[period[0]])


class LocalCounters:
    """The same windows in this process's memory, for as long as Redis cannot be asked. Bounded."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._windows: dict[str, tuple[int, float]] = {}
        self._max_keys = max_keys
        self._lock = threading.Lock()

    def count(self, subject: object, limits: Sequence[Limit]) -> tuple[Usage | None, list[Usage]]:
        """Count one request: the usage that denies it, if any, and all usages."""
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
            Usage(limit, used, int((ends - now) * 1000)) for limit, (used, ends) in zip(limits, current, strict=True)
        ]
        return (None if denied is None else usage[denied]), usage


local_counters = LocalCounters()


def too_many_requests(denied: Usage) -> TooManyRequests:
    return TooManyRequests(
        f"The limit of {denied.limit.count} requests per {denied.limit.seconds} seconds is reached.",
        retry_after=denied.reset_seconds,
        scope=denied.limit.scope,
    )


class AdmissionThrottle(BaseThrottle):
    """REST framework's place for limits: refuses what the admission of this request denied.

    Requests that nobody signed have no admission; the routes open to them have limits of their own.
    """

    def allow_request(self, request: Request, view: Any) -> bool:
        admission = getattr(request._request, "admission", None)
        if admission is not None and admission.denied is not None:
            raise too_many_requests(admission.denied)
        return True


class RateLimitHeadersMiddleware:
    """Tell clients of throttled routes where they stand."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        admission = getattr(request, "admission", None)
        if admission is not None:
            for name, value in rate_limit_headers(admission.usage).items():
                response[name] = value
        return response


def rate_limit_headers(usages: Sequence[Usage]) -> dict[str, str]:
    """Where a client stands, by the scope that has least left."""
    if not usages:
        return {}
    tightest = min(usages, key=lambda usage: usage.remaining)
    return {
        "RateLimit-Limit": str(tightest.limit.count),
        "RateLimit-Remaining": str(tightest.remaining),
        "RateLimit-Reset": str(tightest.reset_seconds),
    }


def scopes_of(view: Any) -> Sequence[str]:
    """The scopes of the limits that a view sets for its requests: its ``throttle_scopes``."""
    return getattr(view, "throttle_scopes", DEFAULT_SCOPES)
