"""The duration and the tokens of provider calls, for metrics and traces."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ai_tasks.providers.base import Usage
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable
from utils.monitoring import metrics, traces


@contextmanager
def observed_call(provider: str) -> Iterator[None]:
    """Measure the provider call that is made inside, however it ends."""
    started_at = time.perf_counter()
    outcome = "stopped"
    try:
        with traces.span("ai provider", provider=provider):
            yield
        outcome = "answered"
    except ProviderUnavailable as error:
        outcome = "unavailable"
        count_tokens(provider, error.usage)
        raise
    except ProviderError as error:
        outcome = "failed"
        count_tokens(provider, error.usage)
        raise
    except Exception:
        outcome = "failed"
        raise
    finally:
        metrics.provider_duration.labels(provider, outcome).observe(time.perf_counter() - started_at)


def count_tokens(provider: str, usage: Usage | None) -> None:
    if usage is not None:
        metrics.provider_tokens.labels(provider, "input").inc(usage.input_tokens)
        metrics.provider_tokens.labels(provider, "output").inc(usage.output_tokens)
