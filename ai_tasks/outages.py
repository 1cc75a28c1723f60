"""A circuit breaker for each provider: one row each, shared by all workers.

A provider is out after ``OPENS_AFTER`` consecutive failures, and at once if it rejects our key or the account is out of
credit. Then one task at a time may call it, as a probe, whose success ends the outage. An error that the request caused
(a text that is too long, a refusal) only shows that the provider responds.
"""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Literal, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from ai_tasks.models import MESSAGE_MAX_LENGTH, AITask, ProviderState
from ai_tasks.providers import provider_names
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable

logger = logging.getLogger(__name__)

OPENS_AFTER = 3
"""Consecutive failures."""
FIRST_PROBE_SECONDS = 2.0
MAX_PROBE_SECONDS = 30.0
MAX_RETRY_AFTER_SECONDS = 3600.0
MAX_COUNT = 1000

OPENS_AT_ONCE = frozenset({"provider_key_invalid", "provider_quota_exhausted"})
"""No request can succeed until an operator acts."""
_OF_EACH_REQUEST = frozenset({"provider_rate_limited"})
"""The provider is up and limits this caller: no outage."""
_OF_ONE_REQUEST_PERHAPS = frozenset({"provider_failed", "provider_timeout", "provider_connection_lost"})
"""The request may be the cause. So of consecutive failures of one task only the first counts."""


Standing = Literal["well", "gone out", "out"]


class Outage(NamedTuple):
    """A provider that is out, and why."""

    name: str
    error_code: str
    error_detail: str


def read_states(names: Iterable[str]) -> dict[str, ProviderState]:
    """The states of those providers that have one. One query."""
    return ProviderState.objects.in_bulk(list(names))


def providers_out(names: Collection[str] | None = None) -> list[Outage]:
    """Which of these, or of all that are configured, are out; in the order of the names. One query."""
    names = provider_names() if names is None else names
    rows = ProviderState.objects.filter(name__in=names, out_since__isnull=False)
    found = {row.name: Outage(row.name, row.error_code, row.error_detail) for row in rows}
    return [found[name] for name in names if name in found]


def standing_of_all() -> dict[str, str]:
    """``ok`` or ``out`` for each provider that is configured, in the order in which they are asked. One query."""
    names = provider_names()
    out = {outage.name for outage in providers_out(names)} if names else set()
    return {name: "out" if name in out else "ok" for name in names}


def is_one_well(standing: Mapping[str, str]) -> bool:
    """Whether any provider is up. True if none is configured: answers are then made offline."""
    return not standing or "ok" in standing.values()


def may_probe(names: Collection[str]) -> bool:
    """Whether one of these is due for a probe and none is running."""
    return _to_be_probed().filter(name__in=names).exists()


def take_probe(name: str, task_id: UUID, attempt: int) -> bool:
    """Claim the probe of a provider that is out; false if none is due or another task has it."""
    taken = (
        _to_be_probed()
        .filter(name=name)
        .update(probe_task=task_id, probe_attempt=attempt, next_probe_at=Now() + timedelta(seconds=MAX_PROBE_SECONDS))
    )
    if taken:
        logger.info("Task %s probes the AI provider %s", task_id, name)
    return bool(taken)


def record_failure(name: str, task_id: UUID, error: ProviderError, *, was_probe: bool) -> Standing:
    """Count a failed call. Returns whether the provider is out now, and whether this failure is the cause."""
    with transaction.atomic():
        ProviderState.objects.bulk_create([ProviderState(name=name)], ignore_conflicts=True)
        state = ProviderState.objects.select_for_update(no_key=True).get(pk=name)
        if not _is_providers_fault(error):
            record_success(name, was_probe=was_probe)  # it responded
            return "out" if state.out_since is not None and not was_probe else "well"
        was_out = state.out_since is not None
        if was_probe or error.code not in _OF_EACH_REQUEST:
            _count(state, task_id, error, was_probe=was_probe)
            state.save()
    if was_out:
        return "out"
    return "well" if state.out_since is None else "gone out"


def record_success(name: str, *, was_probe: bool) -> bool:
    """Record that a provider answers again. Returns whether that ended an outage."""
    states = ProviderState.objects.filter(pk=name)
    well = {
        "failures": 0, "failed_task": None, "error_code": "", "error_detail": "", "failed_probes": 0,
        "next_probe_at": None, "probe_task": None, "probe_attempt": None, "out_since": None,
    }  # fmt: skip
    if not was_probe:
        states.filter(out_since=None).update(**well)
        return False
    ended = states.filter(out_since__isnull=False).update(**well)
    if ended:
        logger.warning("The AI provider %s answers again", name)
    return bool(ended)


def _to_be_probed() -> QuerySet[ProviderState]:
    prober = AITask.objects.filter(
        pk=OuterRef("probe_task"),
        attempt=OuterRef("probe_attempt"),
        status__in=[AITask.Status.RUNNING, AITask.Status.CANCELLING],
        lease_expires_at__gt=Now(),
    )
    return ProviderState.objects.filter(~Exists(prober), out_since__isnull=False, next_probe_at__lte=Now())


def _is_providers_fault(error: ProviderError) -> bool:
    """Whether the provider caused the error, and not the request."""
    return isinstance(error, ProviderUnavailable) or error.code in OPENS_AT_ONCE


def _count(state: ProviderState, task_id: UUID, error: ProviderError, *, was_probe: bool) -> None:
    if state.failed_task != task_id or error.code not in _OF_ONE_REQUEST_PERHAPS:
        state.failures = min(state.failures + 1, MAX_COUNT)
    state.failed_task = task_id
    is_new = state.out_since is None and (state.failures >= OPENS_AFTER or error.code in OPENS_AT_ONCE)
    if is_new:
        state.out_since, state.failed_probes = Now(), 0
        logger.error("The AI provider %s is out: %s", state.name, error.code)
    elif was_probe:
        state.failed_probes = min(state.failed_probes + 1, MAX_COUNT)
    else:
        return  # a call from before the outage
    state.error_code, state.error_detail = error.code, error.detail[:MESSAGE_MAX_LENGTH]
    state.next_probe_at = Now() + timedelta(seconds=_pause(state.failed_probes, error))


def _pause(failed_probes: int, error: ProviderError) -> float:
    """Seconds until the next probe: they double, but are at least the provider's ``Retry-After``, up to an hour."""
    retry_after = error.retry_after if isinstance(error, ProviderUnavailable) else None
    pause = min(MAX_PROBE_SECONDS, FIRST_PROBE_SECONDS * 2 ** min(failed_probes, 10))
    return max(pause, min(retry_after or 0.0, MAX_RETRY_AFTER_SECONDS))
