"""Answers as bytes."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from utils.json import dumps


class Rendered(NamedTuple):
    """The body of an answer and its tag, without quotes."""

    body: bytes
    etag: str


def render(data: Any, *, version: object = None) -> Rendered:
    """Render JSON. Its tag is its ``version`` where it has one."""
    body = dumps(data)
    return Rendered(body, body_tag(body) if version is None else str(version))


def render_versioned(data: Mapping[str, Any]) -> Rendered:
    """Render what shows a note: its tag is its version."""
    return render(data, version=data["version"])


def body_tag(body: bytes) -> str:
    """A tag for an answer that has no version of its own."""
    return blake2b(body, digest_size=12).hexdigest()
