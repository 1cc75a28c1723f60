"""Requests that carry files: which they are, how long they may be, and how slow.

Their bodies are longer than what a server collects before a thread begins. So their view begins with the head, and may
refuse before it reads. It reads in pieces, and this module says how long it waits for each.
"""

import re
import time

from django.conf import settings

FORM_BYTES = 64 * 1024
"""How many bytes a form may have besides its file."""
GRACE_SECONDS: float = settings.UPLOAD_GRACE_SECONDS
"""How long a body may come at any rate, and the longest pause at any time."""
BYTES_PER_SECOND = 20_000
"""The minimum average rate after that."""

ATTACHMENT_MAX_BYTES = 10 * 1024 * 1024
IMPORT_MAX_BYTES = 50 * 1024 * 1024
_ROUTES = [
    (re.compile(r"/api/notes/[0-9]{1,19}/attachments/"), ATTACHMENT_MAX_BYTES + FORM_BYTES),
    (re.compile(r"/api/study/media/"), ATTACHMENT_MAX_BYTES + FORM_BYTES),
    (re.compile(r"/api/notes/imports/"), IMPORT_MAX_BYTES + FORM_BYTES),
]
"""Paths whose POST carries files, and the longest body. Every view with an ``UploadParser`` is named here."""


def max_upload_bytes(method: str, path: str) -> int | None:
    """The longest body of a request that carries files; None for any other request."""
    if method != "POST":
        return None
    return next((limit for route, limit in _ROUTES if route.fullmatch(path)), None)


class Pace:
    """Enforces the minimum rate of one body."""

    def __init__(self) -> None:
        self._started_at = time.monotonic()
        self._received = 0

    def received(self, size: int) -> None:
        self._received += size

    def seconds_left(self) -> float:
        """How long to wait for the next piece. Raises ``TimeoutError`` for a body that comes too slowly."""
        elapsed = time.monotonic() - self._started_at
        left = max(GRACE_SECONDS, self._received / BYTES_PER_SECOND) - elapsed
        if left <= 0:
            raise TimeoutError("The body arrives too slowly.")
        return min(left, GRACE_SECONDS)
