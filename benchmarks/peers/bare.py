"""What a server costs by itself: a WSGI callable that returns a constant of a list's size."""

from collections.abc import Callable, Iterable
from typing import Any

BODY = b'{"next":null,"previous":null,"results":[' + b'{"id":1,"title":"A note of a list"},' * 130 + b"{}]}"
HEADERS = [("Content-Type", "application/json"), ("Content-Length", str(len(BODY)))]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", HEADERS)
    return [BODY]
