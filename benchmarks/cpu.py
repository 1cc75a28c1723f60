"""Part A: CPU time per request inside the process, without any server, compared with other implementations.

Every column is a process of its own, pinned to one core. Each round sends each row's batch to each column, rows and
columns shuffled, so whatever else the machine does hits all alike; only CPU time counts. The floor is measured in the
same rounds, and ratios are those of one round.
"""

import json
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks.environment import (
    BASE_DIR,
    Bench,
    bench,
    cpu_between,
    machine,
    server_versions,
    write_result,
)
from benchmarks.rows import COLUMNS, ROWS, NotModified, Row, Sent, World, build

MINIMUM_ROUNDS = 9
CAREFUL_SETTINGS = "benchmarks.peers.careful.settings"  # whose token blacklist has tables of its own


class Worker:
    """A column's process."""

    def __init__(self, this: Bench, column: str, core: int) -> None:
        self.column = column
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.cpu_worker", column, str(core)],
            cwd=BASE_DIR,
            env=this.environ(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read()

    def run(self, sent: list[Sent], status: int, **options: bool) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"requests": sent, "status": status, **options}) + "\n")
        self.process.stdin.flush()
        return self._read()

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the process of {self.column} ended; see above")
        return json.loads(line)


def run(*, rows: Sequence[str], columns: Sequence[str], rounds: int, profile: str | None = None) -> dict[str, Any]:
    """Measure, keep the result and return it; ``profile`` names a row of ours to profile instead."""
    this_machine = machine()
    with bench("cpu") as this, ExitStack() as stack:
        if "careful" in columns:
            this.manage(
                "migrate", "--no-input", "--verbosity=0", DJANGO_SETTINGS_MODULE="benchmarks.peers.careful.settings"
            )
        world = build(this)
        core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
        workers = {column: Worker(this, column, core) for column in columns}
        for worker in workers.values():
            stack.callback(worker.stop)
        chosen = [ROWS[name] for name in rows]
        prepare(world, workers, chosen)
        if profile:
            return {"profile": profiled(world, workers["ours"], ROWS[profile])}
        assert_equal(world, workers, chosen)
        cells = measure(world, workers, chosen, rounds)
        document = {
            "machine": {**this_machine, **server_versions(this)},
            "rounds": rounds,
            "columns": list(columns),
            "titles": {row.name: row.title for row in chosen},
            "rows": {row.name: {column: cells[row.name, column] for column in columns} for row in chosen},
        }
        document["ratios"] = ratios(document)
    write_result("cpu", document, complete=set(rows) == set(ROWS) and set(columns) == set(COLUMNS))
    return document


def prepare(world: World, workers: dict[str, Worker], rows: Sequence[Row]) -> None:
    """Accounts to log in to, and the tags that clients would have kept."""
    for column, worker in workers.items():
        if any(row.name == "login" for row in rows):
            register = ROWS["register"]
            worker.run(register.batch(world, column), register.status_of(column))
        for row in rows:
            if isinstance(row, NotModified):
                plain = super(NotModified, row).batch(world, column)
                row.tags[column] = worker.run(plain, 200, bodies=True)["etags"]


def assert_equal(world: World, workers: dict[str, Worker], rows: Sequence[Row]) -> None:
    """Columns that do not answer the same are not compared."""
    for row in rows:
        expected = None
        for column, worker in workers.items():
            answered = worker.run(row.batch(world, column), row.status_of(column), bodies=True)["bodies"]
            if column not in row.alike:
                continue
            bodies = [row.compared(json.loads(body) if body else None) for body in answered]
            expected = expected or bodies
            for body, other in zip(bodies, expected, strict=True):
                if body != other:
                    raise SystemExit(f"{row.name}: {column} answers {str(body)[:600]}\nothers {str(other)[:600]}")


def measure(
    world: World, workers: dict[str, Worker], rows: Sequence[Row], rounds: int
) -> dict[tuple[str, str], dict[str, Any]]:
    """Microseconds of each round, and SQL statements, by row and column; the first round only warms up."""
    dice = random.Random(0)
    samples: dict[tuple[str, str], list[dict[str, Any]]] = {
        (row.name, column): [] for row in rows for column in workers
    }
    for number in range(rounds + 1):
        for row in dice.sample(rows, len(rows)):
            for column in dice.sample(list(workers), len(workers)):
                cost = one_batch(world, workers[column], row)
                if number:
                    samples[row.name, column].append(cost)
        print(f"round {number} of {rounds}", file=sys.stderr, flush=True)
    return {key: summary(costs) for key, costs in samples.items()}


def one_batch(world: World, worker: Worker, row: Row) -> dict[str, Any]:
    sent = row.batch(world, worker.column)
    if row.repeats:
        worker.run(sent, row.status_of(worker.column))
    row.before(world, worker.column)
    postgres, redis = world.this.postgres_cpu(), world.this.redis_cpu()
    cost = worker.run(sent, row.status_of(worker.column))
    count = len(sent)
    return {
        "us": cost["cpu"] / count * 1e6,
        "wall_us": cost["wall"] / count * 1e6,
        "statements": cost["statements"] / count,
        "postgres_us": cpu_between(postgres, world.this.postgres_cpu()) / count * 1e6,
        "redis_us": (world.this.redis_cpu() - redis) / count * 1e6,
    }


def summary(costs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found = {f"{name}_median": statistics.median(cost[name] for cost in costs) for name in costs[0]}
    return {**found, "us_minimum": min(cost["us"] for cost in costs), "us": [cost["us"] for cost in costs]}


def ratios(document: dict[str, Any]) -> dict[str, dict[str, float]]:
    """To the floor: the median over rounds of what both cost in the same round."""
    return {
        name: {
            column: statistics.median(
                ours / floor for ours, floor in zip(cell["us"], cells["floor"]["us"], strict=True)
            )
            for column, cell in cells.items()
        }
        for name, cells in document["rows"].items()
        if "floor" in cells
    }


def profiled(world: World, worker: Worker, row: Row) -> str:
    sent = row.batch(world, worker.column)
    if row.repeats:
        worker.run(sent, row.status_of(worker.column))
    row.before(world, worker.column)
    return str(worker.run(sent, row.status_of(worker.column), profile=True)["profile"])


def table(document: dict[str, Any]) -> str:
    """Markdown: median µs (and minimum) of each cell, and its ratio to the floor."""
    columns = document["columns"]
    lines = [
        "| | " + " | ".join(columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, cells in document["rows"].items():
        shown = []
        for column in columns:
            cell = cells[column]
            ratio = document["ratios"].get(name, {}).get(column)
            times = f"{ratio:.2f}x " if ratio is not None else ""
            shown.append(f"{times}{cell['us_median']:.0f} ({cell['us_minimum']:.0f})")
        lines.append(f"| {document['titles'][name]} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def statements_table(document: dict[str, Any]) -> str:
    """Markdown: SQL statements, and µs of CPU of PostgreSQL and Redis, per request."""
    columns = document["columns"]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for name, cells in document["rows"].items():
        shown = [
            f"{cells[column]['statements_median']:.1f} / {cells[column]['postgres_us_median']:.0f} / "
            f"{cells[column]['redis_us_median']:.0f}"
            for column in columns
        ]
        lines.append(f"| {document['titles'][name]} | " + " | ".join(shown) + " |")
    return "\n".join(lines)
