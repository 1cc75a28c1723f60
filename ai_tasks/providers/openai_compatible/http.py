"""The one HTTP client of a process, and the one request that it sends."""

import functools
import threading
from typing import Any

import httpx2
from django.conf import settings

from ai_tasks.providers.base import Endpoint
from ai_tasks.providers.openai_compatible.transport import WatchedTransport

CONNECT_SECONDS = 5.0
READ_SECONDS = 60.0
WRITE_SECONDS = 15.0

_client_lock = threading.Lock()


def send(endpoint: Endpoint, body: dict[str, Any]) -> httpx2.Response:
    """Ask for a chat completion; the answer is open to be read, and must be closed. Raises ``TransportError``."""
    url = httpx2.URL(endpoint.base_url)
    headers = {"Accept": "text/event-stream, application/json"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    client = _client()
    request = client.build_request(
        "POST", url.copy_with(path=f"{url.path.rstrip('/')}/chat/completions"), json=body, headers=headers
    )
    return client.send(request, stream=True)


def _client() -> httpx2.Client:
    with _client_lock:
        return make_client()


@functools.cache
def make_client() -> httpx2.Client:
    """The process's one client; its connections serve all threads."""
    return httpx2.Client(
        transport=WatchedTransport(max_connections=settings.AI_WORKER_CONCURRENCY),
        timeout=httpx2.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=CONNECT_SECONDS),
        headers={"Accept-Encoding": "identity", "User-Agent": "NoteAssist-AI"},
        follow_redirects=False,  # the key goes to the server that was configured, and to no other
        trust_env=False,
    )
