"""Rendered response bodies with their ETags."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from utils.http.json import dumps


class Rendered(NamedTuple):
    """The body of a response and its ETag, without quotes."""

    body: bytes
    etag: str


def render(data: Any, *, version: object = None) -> Rendered:
    """Render JSON. The ETag is ``version``, or a hash of the body."""
    body = dumps(data)
    return Rendered(body, body_etag(body) if version is None else str(version))


def render_versioned(data: Mapping[str, Any]) -> Rendered:
    """Render data with a ``version``, which becomes the ETag."""
    return render(data, version=data["version"])


def body_etag(body: bytes) -> str:
    """The ETag of a response without a version: a hash of its body."""
    return blake2b(body, digest_size=12).hexdigest()
