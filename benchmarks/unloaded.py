"""Part B: milliseconds of one client on an idle server, over HTTP; and the memory of every process type."""

import http.client
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg

from benchmarks.environment import HOST, Bench, bench, free_port, machine, server_versions, write_result
from benchmarks.load import quantiles
from benchmarks.processes import Service, wait_for_answer, web, worker
from benchmarks.rows import World, access_token, build, forget_pages, headers

REPEATS = 100
LOGINS = 20
SETTLE_SECONDS = 3
# Milliseconds that the guide promises.
TARGETS = {"list, miss": 120, "detail of 66 kB, miss": 150, "create": 80, "delete": 50, "login": 100}

Request = tuple[str, str, dict[str, str], Any]


def run() -> dict[str, Any]:
    document: dict[str, Any] = {"machine": machine(), "targets": TARGETS}
    with bench("unloaded") as this, ExitStack() as stack:
        document["machine"] |= server_versions(this)
        world = build(this)
        service, port = stack.enter_context(web(this))
        connection = http.client.HTTPConnection(HOST, port, timeout=30)
        document["ms"] = {}
        for name, requests in operations(world).items():
            document["ms"][name] = quantiles(timed(connection, requests))
            print(name, document["ms"][name], file=sys.stderr, flush=True)
        connection.close()
        document["memory_mb"] = {"web": service.memory_mb(), **other_processes(this, stack), **this.engine_memory()}
        document["small_plan_mb"] = small_plan(this)
    write_result("unloaded", document)
    return document


def operations(world: World) -> dict[str, Iterator[Request]]:
    """Name and requests of each operation; a request is made when the one before it has been answered."""
    student = world.readers[0]
    signed_in = headers(access_token("ours", student))
    database = world.connection

    def reads(path: str, before: Callable[[], None] = lambda: None, count: int = REPEATS) -> Iterator[Request]:
        for _ in range(count):
            before()
            yield "GET", path, signed_in, None

    def creations() -> Iterator[Request]:
        for number in range(REPEATS):
            yield "POST", "/api/notes/", signed_in, {"title": f"Note {number}", "tags": ["python"]}

    def updates() -> Iterator[Request]:
        for number in range(REPEATS):
            yield "PATCH", f"/api/notes/{student.big_note}/", signed_in, {"title": f"Title {number}"}

    def deletions() -> Iterator[Request]:
        for note in notes_of(database, student.id)[:REPEATS]:
            yield "DELETE", f"/api/notes/{note}/", signed_in, None

    def submissions() -> Iterator[Request]:
        for number in range(REPEATS):
            body = {"request_type": "generate_explanation", "request_data": {"topic": f"Loops {number}"}}
            yield "POST", "/api/ai/tasks/", signed_in, body

    def logins() -> Iterator[Request]:
        for _ in range(LOGINS):
            yield (
                "POST",
                "/api/auth/login/",
                headers(),
                {"email": "load-1@noteassist.local", "password": "load-password"},
            )

    def forget() -> None:
        forget_pages(world.this)

    detail = f"/api/notes/{student.big_note}/"
    return {
        "list, miss": reads("/api/notes/", forget),
        "list, hit": reads("/api/notes/"),
        "detail of 66 kB, miss": reads(detail, forget),
        "detail of 66 kB, hit": reads(detail),
        "pending poll": reads("/api/notifications/pending/"),
        "task status poll": reads(f"/api/ai/tasks/{student.task}/"),
        "search": reads("/api/search/?q=induction"),
        "create": creations(),
        "update of 66 kB": updates(),
        "delete": deletions(),
        "AI submit": submissions(),
        "login": logins(),
    }


def notes_of(database: psycopg.Connection[tuple[Any, ...]], user: int) -> list[int]:
    rows = database.execute(
        "SELECT id FROM notes_note WHERE user_id = %s AND deleted_at IS NULL ORDER BY updated_at DESC, id DESC", [user]
    ).fetchall()
    return [row[0] for row in rows]


def timed(connection: http.client.HTTPConnection, requests: Iterator[Request]) -> list[float]:
    seconds = []
    for number, (method, path, sent, body) in enumerate(requests):
        content = None if body is None else json.dumps(body)
        content_type = {} if body is None else {"Content-Type": "application/json"}
        started = time.perf_counter()
        connection.request(method, path, content, {**sent, **content_type})
        response = connection.getresponse()
        answer = response.read()
        if number >= 2:  # the first ones open the server's own connections
            seconds.append(time.perf_counter() - started)
        if response.status >= 400:
            sys.exit(f"{method} {path} was answered with {response.status}: {answer[:500]!r}")
    return seconds


def other_processes(this: Bench, stack: ExitStack) -> dict[str, float]:
    """Megabytes of the other lines of the Procfile, idle."""
    port = free_port()
    events = [sys.executable, "-m", "gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn_events.conf.py"]
    beat = [sys.executable, "-m", "celery", "-A", "NoteAssist_AI", "beat", "--schedule"]
    schedule = str(this.engines.root / "celerybeat-schedule")
    services = {
        "worker": stack.enter_context(worker(this, concurrency=100)),
        "beat": Service("beat", [*beat, schedule], this.environ()),
        "events": Service("events", [*events, "--bind", f"{HOST}:{port}"], this.environ(EVENTS_PORT=str(port))),
    }
    for name in ("beat", "events"):
        stack.callback(services[name].stop)
    wait_for_answer(services["events"], f"http://{HOST}:{port}/healthz/live")
    time.sleep(SETTLE_SECONDS)
    for service in services.values():
        service.require_alive()
    return {name: service.memory_mb() for name, service in services.items()}


def small_plan(this: Bench) -> dict[str, float]:
    """Megabytes of the whole service in the two processes that the README suggests for a machine of 512 MB."""
    with (
        web(this, WEB_CONCURRENCY="1") as (server, _),
        worker(this, concurrency=20, with_beat=True) as worker_and_beat,
    ):
        time.sleep(SETTLE_SECONDS)
        return {"web": server.memory_mb(), "worker and beat": worker_and_beat.memory_mb()}


def table(document: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| | p50 | p95 | p99 | promised |", "|---|---|---|---|---|"]
    for name, ms in document["ms"].items():
        promised = document["targets"].get(name)
        lines.append(
            f"| {name} | {ms['p50']:.1f} ms | {ms['p95']:.1f} ms | {ms['p99']:.1f} ms | "
            f"{f'{promised} ms' if promised else ''} |"
        )
    memory = ", ".join(f"{name.removesuffix('_mb')} {mb:.0f}" for name, mb in document["memory_mb"].items())
    small = document["small_plan_mb"]
    return "\n".join(
        [
            *lines,
            "",
            f"Memory in MB (shared pages in proportion): {memory}.",
            "",
            f"The same service as the README sets it up for a machine of 512 MB takes {sum(small.values()):.0f} MB: "
            + ", ".join(f"{name} {mb:.0f}" for name, mb in small.items())
            + ".",
        ]
    )
