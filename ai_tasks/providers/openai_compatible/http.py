"""The process's one HTTP client: sends requests and translates failures."""

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
from django.conf import settings

from ai_tasks.providers.base import Endpoint
from ai_tasks.providers.errors import ProviderUnavailable
from ai_tasks.providers.openai_compatible.transport import WatchedTransport

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
WRITE_SECONDS = 15.0

_client_lock = threading.Lock()


def send(
    endpoint: Endpoint,
    body: dict[str, Any],
    *,
    path: str = "chat/completions",
    accept: str = "text/event-stream, application/json",
) -> httpx2.Response:
    """Send a request. The caller must close the response, whose body is not yet read. Raises ``TransportError``."""
    url = httpx2.URL(endpoint.base_url)
    headers = {"Accept": accept}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    client = _client()
    request = client.build_request(
        "POST", url.copy_with(path=f"{url.path.rstrip('/')}/{path}"), json=body, headers=headers
    )
    return client.send(request, stream=True)


def error_body(response: httpx2.Response) -> bytes:
    """Read the body of an error, as much as arrives: the status alone says a lot."""
    body = bytearray()
    try:
        for chunk in response.iter_raw():
            body += chunk
    except httpx2.TransportError:
        logger.info("The AI provider's error response broke off.")
    return bytes(body)


@contextmanager
def translated_failures(connection_lost: Callable[[], ProviderUnavailable]) -> Iterator[None]:
    """Translate transport errors to ``ProviderUnavailable``."""
    try:
        yield
    except httpx2.ConnectError as error:
        logger.warning("The AI provider cannot be reached. %r", error)
        unreachable = ProviderUnavailable("provider_unreachable", "The AI provider cannot be reached.")
        unreachable.was_free = True
        raise unreachable from error
    except httpx2.TimeoutException as error:
        logger.warning("The AI provider timed out.")
        raise ProviderUnavailable("provider_timeout", "The AI provider took too long to answer.") from error
    except httpx2.TransportError as error:
        lost = connection_lost()
        logger.warning("%s %r", lost.detail, error)
        raise lost from error


def _client() -> httpx2.Client:
    with _client_lock:
        return make_client()


@functools.cache
def make_client() -> httpx2.Client:
    """Make the process's one client; all threads share its connections."""
    return httpx2.Client(
        transport=WatchedTransport(max_connections=settings.AI_WORKER_CONCURRENCY),
        timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity", "User-Agent": "NoteAssist-AI"},
        follow_redirects=False,  # the key must go only to the configured server
        trust_env=False,
    )
