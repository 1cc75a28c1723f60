"""What one request costs at the wire: of the whole server, PostgreSQL and Redis, with a client that waits for answers.

``wrk`` sends the requests of each row on 32 connections to each column's server, for a few seconds. Rows, columns and
servers are shuffled in every round. CPU time is compared, as time on the clock depends on who else uses the machine;
every cell is compared with the bare callable on gunicorn of the same round.
"""

import http.client
import json
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

from benchmarks import wrk
from benchmarks.cpu_worker import Sent
from benchmarks.environment import HOST, bench, cpu_between, machine, server_versions, write_result
from benchmarks.processes import Service
from benchmarks.rows import ROWS as CPU_ROWS
from benchmarks.rows import Student, World, access_token, build, headers
from benchmarks.wire_servers import BARE, CONTESTANTS, GUNICORN, Contestant, chosen, served
from utils.redis.client import EPOCH_KEY

CONNECTIONS = 32
SECONDS, ROUNDS = 2, 5
QUICK_SECONDS, QUICK_ROUNDS = 1, 3
COLUMNS = tuple(dict.fromkeys(contestant.column for contestant in CONTESTANTS if contestant.column != BARE))
_WITH_NOTES = ("ours", "fastapi", "careful", "naive")
"""The columns that look for a note and for who asks."""
_FORGET_SECONDS = 0.003
"""Shorter than it takes a reader's turn to come again, so that nearly every request of a row of misses misses."""
_LONG_MILLISECONDS = 3_600_000
_CAREFUL_SETTINGS = "benchmarks.peers.careful.settings"


@dataclass(frozen=True)
class WireRow:
    """One line of the table. ``columns``: those that answer it with ``status``."""

    title: str
    requests: Callable[[World, str], list[Sent]]
    status: int = 200
    columns: Sequence[str] = COLUMNS
    around: "Callable[[World], Any]" = lambda _: nullcontext()
    """What goes on while the row is measured."""


def _same_as(name: str) -> Callable[[World, str], list[Sent]]:
    return lambda world, column: CPU_ROWS[name].batch(world, column)


def _missing_note(world: World, column: str) -> list[Sent]:
    return [
        ("GET", f"/api/notes/{10**9 + reader.id}/", headers(access_token(column, reader)), "")
        for reader in world.readers
    ]


def _missing_note_each_time_another(world: World, column: str) -> list[Sent]:
    return [("GET", f"/api/notes/{wrk.NEW}/", headers(access_token(column, reader)), "") for reader in world.readers]


def _written(method: str, target: Callable[[Student], str], body: Any) -> Callable[[World, str], list[Sent]]:
    """Writes of the readers, with another number for ``NEW`` in the body each time."""
    text = json.dumps(body)
    return lambda world, column: [
        (method, target(reader), headers(access_token(column, reader)), text) for reader in world.readers
    ]


def _forged(world: World, column: str) -> list[Sent]:
    tokens = (access_token(column, reader) for reader in world.readers)
    return [("GET", "/api/notes/", headers(f"{token[:-4]}AAAA"), "") for token in tokens]


def _of_throttled(world: World, column: str) -> list[Sent]:
    return [("GET", "/api/notes/", headers(access_token(column, one)), "") for one in world.writers["fastapi"]]


@contextmanager
def _missing(world: World) -> Iterator[None]:
    """Make all pages unreachable again and again, as a new epoch does."""
    redis, ended = world.this.redis(), threading.Event()

    def forget() -> None:
        while not ended.wait(_FORGET_SECONDS):
            redis.set(EPOCH_KEY, random.randbytes(8).hex())

    thread = threading.Thread(target=forget)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        CPU_ROWS["list_miss"].before(world, "ours")  # nothing leads to these pages any more


@contextmanager
def _used_up(world: World) -> Iterator[None]:
    redis = world.this.redis()
    for one in world.writers["fastapi"]:
        redis.set(f"limit:burst:{one.id}", 10**9, px=_LONG_MILLISECONDS)
    yield


@contextmanager
def _without_queued_tasks(world: World) -> Iterator[None]:
    """Begin without the tasks of earlier rounds, which count against the limit and make its query dearer."""
    world.connection.execute("DELETE FROM ai_tasks_aitask WHERE status = 'queued'")
    world.this.redis().delete("ai")
    yield


ROWS: dict[str, WireRow] = {
    "pending": WireRow("pending poll, hit", _same_as("pending")),
    "list_hit": WireRow("list of 20, hit", _same_as("list_hit")),
    "detail_hit": WireRow("detail of 66 kB, hit", _same_as("detail_hit")),
    "task_status": WireRow("task status poll", _same_as("task_status")),
    "list_miss": WireRow("list of 20, miss", _same_as("list_miss"), around=_missing),
    "not_found": WireRow("a note that is not there, 404", _missing_note, 404, _WITH_NOTES),
    "not_found_new": WireRow(
        "a note that is not there, other each time, 404", _missing_note_each_time_another, 404, _WITH_NOTES
    ),
    "unauthorized": WireRow("a forged token, 401", _forged, 401, _WITH_NOTES),
    "throttled": WireRow("a limit used up, 429", _of_throttled, 429, ("ours",), _used_up),
    "search": WireRow("search", _same_as("search"), columns=("ours",)),
    "create": WireRow(
        "create a note", _written("POST", lambda _: "/api/notes/", {"title": f"Note {wrk.NEW}"}), 201, ("ours",)
    ),
    "update": WireRow(
        "update a note of 66 kB",
        _written("PATCH", lambda reader: f"/api/notes/{reader.big_note}/", {"title": f"Loops {wrk.NEW}"}),
        columns=("ours",),
    ),
    "ai_submit": WireRow(
        "AI submit",
        _written(
            "POST",
            lambda _: "/api/ai/tasks/",
            {"request_type": "generate_explanation", "request_data": {"topic": wrk.NEW, "level": "beginner"}},
        ),
        202,
        ("ours",),
        _without_queued_tasks,
    ),
}


@dataclass(frozen=True)
class Cell:
    """What is measured at once; the bare callable is the same for all rows."""

    row: str
    contestant: Contestant


def run(*, rows: Sequence[str], columns: Sequence[str], rounds: int, seconds: int) -> dict[str, Any]:
    """Measure, keep the result and return it."""
    wrk.require()
    this_machine = machine()
    contestants = chosen(list(columns))
    with bench("wire") as this, ExitStack() as stack:
        if "careful" in columns:
            this.manage("migrate", "--no-input", "--verbosity=0", DJANGO_SETTINGS_MODULE=_CAREFUL_SETTINGS)
        world = build(this)
        servers = {one.name: stack.enter_context(served(this, one)) for one in contestants}
        cells = [Cell("list_hit" if one.column == BARE else row, one) for row in rows for one in contestants]
        cells = [cell for cell in dict.fromkeys(cells) if cell.contestant.column in (BARE, *ROWS[cell.row].columns)]
        measured = measure(world, servers, cells, rounds=rounds, seconds=seconds)
        document = {
            "machine": {**this_machine, **server_versions(this)},
            "rounds": rounds,
            "seconds": seconds,
            "connections": CONNECTIONS,
            "titles": {name: ROWS[name].title for name in rows},
            "servers": {
                one.name: {"column": one.column, "server": one.server, "is_recommended": one.is_recommended}
                for one in contestants
            },
            "cells": summaries(measured),
        }
    write_result("wire", document, complete=set(rows) == set(ROWS) and set(contestants) == set(CONTESTANTS))
    return document


Measured = dict[Cell, list[dict[str, float]]]


def measure(
    world: World, servers: dict[str, tuple[Service, int]], cells: Sequence[Cell], *, rounds: int, seconds: int
) -> Measured:
    """What each cell cost in each round, in the order of the rounds; the first round only warms up."""
    dice = random.Random(0)
    measured: Measured = {cell: [] for cell in cells}
    for number in range(rounds + 1):
        for cell in dice.sample(cells, len(cells)):
            server, port = servers[cell.contestant.name]
            found = one_cell(world, cell, server, port, seconds=seconds if number else 1)
            if number:
                measured[cell].append(found)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    return measured


def one_cell(world: World, cell: Cell, server: Service, port: int, *, seconds: int) -> dict[str, float]:
    row, column, this = ROWS[cell.row], cell.contestant.column, world.this
    status = 200 if column == BARE else row.status
    requests = row.requests(world, "ours" if column == BARE else column)
    with row.around(world) if column == "ours" else nullcontext():
        rehearse(port, requests, status, cell)
        pages = this.redis().dbsize()
        before = server.cpu_by_process(), this.postgres_cpu(), this.redis_cpu()
        found = wrk.run(HOST, port, requests, seconds=seconds, connections=CONNECTIONS)
        wait_until_idle(server)
        after = server.cpu_by_process(), this.postgres_cpu(), this.redis_cpu()
        pages = this.redis().dbsize() - pages
    if found.broken or found.refused != (0 if status < 400 else found.answered):
        sys.exit(f"{cell.contestant.name}, {cell.row}: {found}\n{server.tail()}")
    per_request = 1e6 / found.sent
    return {
        "us": cpu_between(before[0], after[0]) * per_request,
        "postgres_us": cpu_between(before[1], after[1]) * per_request,
        "redis_us": (after[2] - before[2]) * per_request,
        "per_second": found.answered / found.seconds,
        "p99_ms": found.p99_ms,
        "stored_share": pages / found.sent,
    }


def rehearse(port: int, requests: Sequence[Sent], status: int, cell: Cell) -> None:
    """Send each once, so that pages are there, and see that every answer is what the row measures."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        for number, (method, target, sent, body) in enumerate(requests, wrk.new_block()):
            more = {"Content-Type": "application/json"} if body else {}
            path, body = target.replace(wrk.NEW, str(number)), body.replace(wrk.NEW, str(number))
            connection.request(method, path, body=body or None, headers={**sent, **more})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != status:
                sys.exit(f"{cell.contestant.name}, {cell.row}: {answer.status} instead of {status}: {content[:500]!r}")
    finally:
        connection.close()


def wait_until_idle(server: Service) -> None:
    """Until it has dealt with the requests whose answers nobody waited for."""
    used = server.cpu()
    while True:
        time.sleep(0.05)
        before, used = used, server.cpu()
        if used - before < 0.002:  # seconds
            return


def summaries(measured: Measured) -> dict[str, dict[str, dict[str, Any]]]:
    """By row and server: medians over the rounds, each round's cost, and its ratio to the bare callable on gunicorn."""
    [bare] = [found for cell, found in measured.items() if cell.contestant.name == f"{BARE} on {GUNICORN}"]
    by_row: dict[str, dict[str, dict[str, Any]]] = {}
    for cell, found in measured.items():
        ratios = [one["us"] / base["us"] for one, base in zip(found, bare, strict=True)]
        row = BARE if cell.contestant.column == BARE else cell.row
        by_row.setdefault(row, {})[cell.contestant.name] = {
            **{name: statistics.median(one[name] for one in found) for name in found[0]},
            "us_of_rounds": [one["us"] for one in found],
            "ratio": statistics.median(ratios),
            "ratio_least": min(ratios),
            "ratio_most": max(ratios),
        }
    return by_row


def table(document: dict[str, Any]) -> str:
    """Markdown: a block of lines for each row, one for each server."""
    lines = [
        "| | server | times bare | µs of CPU: server, Postgres, Redis | requests a second | p99 |",
        "|---|---|---|---|---|---|",
    ]
    titles = {BARE: "a constant", **document["titles"]}
    for row, title in titles.items():
        for name, cell in document["cells"][row].items():
            star = "\\*" if document["servers"][name]["is_recommended"] else ""
            lines.append(
                f"| {title} | {name}{star} "
                f"| {cell['ratio']:.2f} ({cell['ratio_least']:.2f}-{cell['ratio_most']:.2f}) | "
                f"{cell['us']:.0f}, {cell['postgres_us']:.0f}, {cell['redis_us']:.0f} | {cell['per_second']:,.0f} | "
                f"{cell['p99_ms']:.0f} ms |"
            )
    return "\n".join(lines)
