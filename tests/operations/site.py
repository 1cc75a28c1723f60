"""A web process on a database of its own, and a client of it."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings

from tests.faults.system import answers
from tests.processes import BIN, free_port, running, wait_until

ANSWER_SECONDS = 60
"""Long, as machines that run tests are busy."""
NO_LIMITS = {f"THROTTLE_{name}": "none" for name in ("BURST", "SUSTAINED", "AI_TOOLS", "POLL", "LOGIN")}


class Client:
    """Sends each request on a connection of its own."""

    def __init__(self, port: int, token: str = "") -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, self.headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as response:
                return response.status, json.loads(response.read())
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def get(self, path: str) -> Any:
        status, body = self.send("GET", path)
        assert status == 200, (path, status, body)
        return body


@contextmanager
def serving(url: str, log: Path, cwd: Path = settings.BASE_DIR) -> Iterator[int]:
    """The port of a web process on a database, and on the test's Redis."""
    port = free_port()
    command = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"]
    variables = {**NO_LIMITS, "DATABASE_URL": url, "PORT": str(port), "WEB_CONCURRENCY": "1"}
    with running(command, log, cwd=cwd, **variables) as web:
        web.wait_for_output("Listening at", 120)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/healthz/live"), 180, lambda: web.output)
        yield port
