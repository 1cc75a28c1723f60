"""The columns of ``benchmarks wire``: each application behind the servers that may serve it, as processes."""

import http.client
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec

from benchmarks.environment import HOST, Bench, free_port
from benchmarks.processes import START_SECONDS, Service

PROCESSES, THREADS = 2, 8
GUNICORN = "gunicorn"
"""gthread with the service's numbers; for the service itself its own worker, which is an event loop."""
BARE = "bare"


@dataclass(frozen=True)
class Contestant:
    """An application behind a server. ``is_recommended``: by the documentation of what it is written with."""

    column: str
    server: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    is_recommended: bool = False

    @property
    def name(self) -> str:
        return f"{self.column} on {self.server}"


def _gunicorn(application: str, *options: str) -> tuple[str, ...]:
    # Without the configuration of this directory, which is ours.
    fixed = ("--config", os.devnull, "--no-control-socket", "--workers", str(PROCESSES))
    return ("gunicorn", application, *fixed, *options, "--bind")


def _gthread(application: str) -> tuple[str, ...]:
    options = ("--worker-class", "gthread", "--threads", str(THREADS), "--keep-alive", "75")
    return _gunicorn(application, *options, "--worker-connections", "8000")


def _granian(application: str, interface: str = "wsgi", *options: str) -> tuple[str, ...]:
    more = ("--blocking-threads", str(THREADS), "--backpressure", "8000") if interface == "wsgi" else ()
    command = ("granian", "--interface", interface, application, "--workers", str(PROCESSES), "--host", HOST)
    return (*command, *more, "--backlog", "4096", "--no-ws", *options, "--port")


def _django(settings: str) -> dict[str, str]:
    return {"DJANGO_SETTINGS_MODULE": settings}


_BARE, _FLOOR = "benchmarks.peers.bare:application", "benchmarks.peers.floor:application"
_OURS, _FASTAPI = "NoteAssist_AI.wsgi:application", "benchmarks.peers.fastapi_app.app:app"
_DJANGO = "django.core.wsgi:get_wsgi_application()"

CONTESTANTS: tuple[Contestant, ...] = (
    Contestant(BARE, GUNICORN, _gthread(_BARE)),
    Contestant(BARE, "granian", _granian(_BARE)),
    Contestant("floor", GUNICORN, _gthread(_FLOOR)),
    Contestant("floor", "granian", _granian(_FLOOR)),
    Contestant("ours", GUNICORN, ("gunicorn", _OURS, "-c", "gunicorn.conf.py", "--bind"), is_recommended=True),
    Contestant("ours", "granian", ("granian_server", "--port"), is_recommended=True),
    Contestant(
        "fastapi",
        "uvicorn",
        ("uvicorn", _FASTAPI, "--workers", str(PROCESSES), "--no-access-log", "--host", HOST, "--port"),
        is_recommended=True,
    ),
    Contestant("fastapi", "gunicorn (ASGI)", _gunicorn(_FASTAPI, "--worker-class", "asgi")),
    # Django's documentation starts gunicorn with its own defaults, whose workers keep no connection alive.
    *(
        contestant
        for column in ("careful", "naive")
        for contestant in (
            Contestant(
                column,
                "gunicorn (sync)",
                _gunicorn(_DJANGO),
                _django(f"benchmarks.peers.{column}.settings"),
                is_recommended=True,
            ),
            Contestant(column, GUNICORN, _gthread(_DJANGO), _django(f"benchmarks.peers.{column}.settings")),
        )
    ),
)


def chosen(columns: list[str]) -> list[Contestant]:
    """Those of the columns that are installed, and always the bare ones: all else is compared with them."""
    wanted = [one for one in CONTESTANTS if one.column in {BARE, *columns}]
    installed = [
        one for one in wanted if find_spec(one.command[0]) and (one.column != "fastapi" or find_spec("fastapi"))
    ]
    for one in wanted:
        if one not in installed:
            print(f"{one.name} is not installed: `make .venv/.installed-bench`", file=sys.stderr)
    return installed


@contextmanager
def served(this: Bench, contestant: Contestant, **changes: str) -> Iterator[tuple[Service, int]]:
    """Its server, ready, on a port of its own of loopback. ``granian_server`` takes it from ``PORT``."""
    port = free_port()
    *command, last = contestant.command
    address = f"{HOST}:{port}" if last == "--bind" else str(port)
    environment = this.environ(PORT=str(port), **contestant.environment, **changes)
    name = "wire-" + "".join(letter if letter.isalnum() else "-" for letter in contestant.name)
    service = Service(name, [sys.executable, "-m", *command, last, address], environment)
    try:
        _wait_until_ready(service, port)
        yield service, port
    finally:
        service.stop()


def _wait_until_ready(service: Service, port: int) -> None:
    """Until it answers anything."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        service.require_alive()
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Host": HOST})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            if time.monotonic() > deadline:
                sys.exit(f"It does not answer:\n{service.tail()}")
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
