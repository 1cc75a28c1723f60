"""Checks of the AI provider, and of a whole AI task that a real worker answers."""

import re
import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx2
from django.conf import settings

from accounts.models import User
from accounts.services.deletion import delete_account
from ai_tasks import ledger, outages
from ai_tasks.embedding_rows import NoteIndexing
from ai_tasks.embeddings import extension
from ai_tasks.embeddings.calls import standing_of
from ai_tasks.handlers import HANDLERS
from ai_tasks.model_names import DEFAULT
from ai_tasks.models import AITask
from ai_tasks.prices import has_price
from ai_tasks.providers import OFFLINE, configured_provider, embedding_endpoint, endpoints_of
from ai_tasks.providers.base import Endpoint
from utils.diagnosis import Options, Result, check

PROVIDER_SECONDS = 5.0
CANARY_SECONDS = 30.0
_CANARY_TEXT = "A canary is sent ahead. It comes back if the way is free. "


@check("ai provider")
def provider(_options: Options) -> Iterator[Result]:
    if configured_provider() == OFFLINE:
        yield True, "no AI provider: answers are made offline"
        return
    for index, endpoint in enumerate(endpoints_of(DEFAULT)):
        variable = "AI_BASE_URL" if not index else f"AI_FALLBACKS[{index - 1}].base_url"
        key_variable = "AI_API_KEY" if not index else f"AI_FALLBACKS[{index - 1}].api_key"
        yield from address(endpoint.base_url, variable)
        yield _ask(endpoint, key_variable)


@check("ai outages", needs=("postgresql", "migrations"))
def outage(_options: Options) -> Iterator[Result]:
    out = outages.providers_out()
    waiting = AITask.objects.waiting_for_outage().count() if out else 0
    for each in out:
        yield False, f"the AI provider {each.name} is out: {each.error_code}; {waiting} tasks wait for a provider"
    if not out and configured_provider() != OFFLINE:
        yield True, "no AI provider is out"


@check("ai money")
def prices(_options: Options) -> Iterator[Result]:
    if configured_provider() == OFFLINE:
        return
    models = {endpoint.model for request_type in HANDLERS for endpoint in endpoints_of(request_type)}
    free = sorted(model for model in models if not has_price(model))
    is_counted = bool(settings.AI_PRICES) or limits() != "no budget"
    if free:
        yield not is_counted, f"no price for {', '.join(free)} (AI_PRICES): what they cost counts 0"
    yield True, f"AI money: {limits()}"


def limits() -> str:
    budgets = {"a user": settings.AI_BUDGET_PER_USER_DAY, "all": settings.AI_BUDGET_DAY}
    parts = [f"{limit} USD a day for {whom}" for whom, limit in budgets.items() if limit is not None]
    return ", ".join(parts) or "no budget"


def address(base_url: str, variable: str = "AI_BASE_URL") -> Iterator[Result]:
    """Check the address for common mistakes."""
    url, shown = urlsplit(base_url), _without_secrets(base_url)
    yield not (url.query or url.fragment), f"{variable} {shown} (without a query: it would go with every request)"
    yield not url.path.rstrip("/").endswith("/completions"), f"{variable} {shown} (without /chat/completions)"
    has_version = re.search(r"/v\d", url.path) is not None
    yield has_version, f"{variable} {shown} (most servers want a version at its end, as in /v1)"


def _without_secrets(base_url: str) -> str:
    url = urlsplit(base_url)
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}{url.path}"


def _ask(endpoint: Endpoint, key_variable: str) -> Result:
    """Any response shows that the provider can be reached; not every server lists its models."""
    url, shown = endpoint.base_url.rstrip("/") + "/models", _without_secrets(endpoint.base_url)
    headers = {"Authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    started_at = time.monotonic()
    try:
        with (
            httpx2.Client(timeout=PROVIDER_SECONDS, trust_env=False) as client,
            client.stream("GET", url, headers=headers) as answer,
        ):
            status = answer.status_code
    except httpx2.HTTPError as error:
        return False, f"the AI provider at {shown} cannot be reached: {type(error).__name__}: {error}"
    took = f"{(time.monotonic() - started_at) * 1000:.0f} ms"
    if status in (401, 403):
        return False, f"the AI provider at {shown} refuses the key: {status} ({key_variable})"
    return status < 500, f"the AI provider at {shown} answers {status} in {took}"


@check("embeddings", needs=("postgresql", "migrations"))
def embeddings(_options: Options) -> Iterator[Result]:
    endpoint = embedding_endpoint()
    if endpoint is None:
        yield True, "no embeddings: questions are answered by the words of notes"
        return
    has_extension = extension.is_installed()
    yield has_extension, "the extension vector is installed" if has_extension else extension.MISSING
    yield from address(endpoint.base_url, "EMBEDDINGS_BASE_URL")
    yield _ask(endpoint, "EMBEDDINGS_API_KEY")
    standing = standing_of(endpoint)
    waiting = NoteIndexing.objects.filter(due_at__isnull=False).count()
    if standing.failures:
        yield (
            False,
            f"the last {standing.failures} calls for embeddings failed: {standing.error_code}; {waiting} notes wait",
        )
    else:
        yield True, f"embeddings by {endpoint.model}, {standing.dimension} numbers each; {waiting} notes wait"
    if settings.AI_PRICES and not has_price(endpoint.model):
        yield False, f"no price for {endpoint.model} (AI_PRICES): what embeddings cost counts 0"


@check("canary", needs=("postgresql", "redis", "migrations", "worker"))
def canary(options: Options) -> Iterator[Result]:
    if configured_provider() != OFFLINE and not options.canary:
        yield True, "no task was sent, as its answer costs money (--canary sends one)"
        return
    user = User.objects.create(email=f"canary-{secrets.token_hex(8)}@noteassist.invalid", name="Canary")
    try:
        yield _send(user.pk)
    finally:
        delete_account(user_id=user.pk)


def _send(user_id: int) -> Result:
    started_at = time.monotonic()
    task = ledger.submit(user_id=user_id, request_type="summarize", request_data={"content": _CANARY_TEXT * 5}).task
    while not task.is_terminal and time.monotonic() - started_at < CANARY_SECONDS:
        time.sleep(0.1)
        task.refresh_from_db()
    took = f"{time.monotonic() - started_at:.1f} s"
    if task.status == AITask.Status.SUCCEEDED:
        return True, f"an AI task was answered in {took}"
    if task.status == AITask.Status.FAILED:
        return False, f"an AI task failed after {took}: {task.error_code}"
    return False, f"an AI task is {task.status} after {took}: does a worker take from the queue ai?"
