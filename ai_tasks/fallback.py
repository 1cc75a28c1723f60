"""Fallback between providers: the next one is asked when one is out or refuses."""

from contextlib import nullcontext
from typing import NamedTuple, Protocol
from uuid import UUID

from django.db import connection

from ai_tasks import outages
from ai_tasks.observed_calls import count_tokens, observed_call
from ai_tasks.providers import OFFLINE, endpoints_of
from ai_tasks.providers.base import Endpoint, Observer
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable, UnusableAnswer
from ai_tasks.runner import Answer, Job, ask, prepare

NO_ANSWER = "The AI provider does not answer."


class ProvidersOut(ProviderError):
    """All providers are out, and it was not this task's turn to probe one. It waits, and that counts as no failure."""


class Asked(NamedTuple):
    """The provider that an attempt asks. ``was_failing``: its last call, and perhaps more, had failed."""

    name: str
    is_probe: bool
    was_failing: bool


class Caller(Observer, Protocol):
    """The observer of an attempt. ``asked`` is set to the provider of the running call."""

    asked: Asked | None

    @property
    def key(self) -> tuple[UUID, int]: ...


def run(job: Job, caller: Caller) -> Answer:
    """Answer one request by the first provider that does; without any, from the user's own text and notes.

    A failure that may have cost something ends the attempt: no more than one provider is paid for it. Raises what
    ``runner.run`` does, and ``ProvidersOut``.
    """
    endpoints = endpoints_of(job.request_type)
    with nullcontext() if endpoints else observed_call(OFFLINE):
        prepared = prepare(job, caller, has_model=bool(endpoints))
    if isinstance(prepared, Answer):
        return prepared
    states = outages.read_states(endpoint.name for endpoint in endpoints)
    out: list[outages.Outage] = []
    failures: list[tuple[str, ProviderError]] = []
    for endpoint in endpoints:
        state = states.get(endpoint.name)
        is_probe = False
        if state is not None and state.out_since is not None:
            is_probe = outages.take_probe(endpoint.name, *caller.key)
            if not is_probe:
                out.append(outages.Outage(endpoint.name, state.error_code, state.error_detail))
                continue
        caller.asked = Asked(endpoint.name, is_probe, was_failing=state is not None and state.failures > 0)
        try:
            return _ask(endpoint, prepared, caller)
        except ProviderError as error:
            standing = outages.record_failure(endpoint.name, caller.key[0], error, was_probe=is_probe)
            # Who finds out that the key is wrong fails, and says so; the others wait.
            if standing == "out" or (standing == "gone out" and isinstance(error, ProviderUnavailable)):
                out.append(outages.Outage(endpoint.name, error.code, error.detail))
            failures.append((endpoint.name, error))
            if error.is_paid_for or isinstance(error, UnusableAnswer):
                break
    raise _deciding_failure(failures, out, are_all_out=len(out) == len(endpoints))


def _ask(endpoint: Endpoint, job: Job, caller: Caller) -> Answer:
    connection.close()  # back to the pool, as a call takes seconds
    with observed_call(endpoint.name):
        answer = ask(job, caller, endpoint)
    count_tokens(endpoint.name, answer)
    return answer


def _deciding_failure(
    failures: list[tuple[str, ProviderError]], out: list[outages.Outage], *, are_all_out: bool
) -> ProviderError:
    """The failure that decides what becomes of the task."""
    last = failures[-1][1] if failures else None
    if isinstance(last, UnusableAnswer):
        return last
    names_out = {outage.name for outage in out}
    well = [error for name, error in failures if name not in names_out]
    if are_all_out:
        chosen: ProviderError = ProvidersOut(out[0].error_code, out[0].error_detail)
    elif last is not None and last.is_paid_for:
        return last
    elif unavailable := next((error for error in well if isinstance(error, ProviderUnavailable)), None):
        return unavailable
    elif not out:
        return well[0]
    else:  # those that answer refused; another may not, but it is out
        chosen = ProviderUnavailable("provider_unavailable", NO_ANSWER)
    chosen.usage = last.usage if last else None
    return chosen
