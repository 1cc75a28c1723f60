"""Part B: a student's day on thousands of open connections, and everybody coming at once."""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.environment import (
    BASE_DIR,
    HOST,
    Bench,
    bench,
    cpu_between,
    machine,
    server_versions,
    write_result,
)
from benchmarks.processes import granian, web

NOTES = 21
CHAPTERS = TOPICS = 1
NOTES_READ = 5
WARM_UP_SECONDS = 10.0
GRACE_SECONDS = 10.0
STORM_SECONDS = 1.0
STORM_GRACE_SECONDS = 30.0
THREADS, MORE_THREADS = 8, 16
"""The setting of the product, and one for a database that is far away, tried at the highest rate."""
GUNICORN, GRANIAN = "gunicorn", "Granian"
"""What the product is served by, and what the README offers instead, tried at the highest rate."""
# The product's own limits: students of this load stay within them.
OWN_LIMITS = {"THROTTLE_BURST": "60/min", "THROTTLE_SUSTAINED": "1000/day", "THROTTLE_POLL": "120/min"}


@dataclass
class Crowd:
    """Signed-in users, each with some of their notes."""

    tokens: list[str]
    notes: list[list[int]]


def gather(this: Bench, count: int) -> Crowd:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "tokens"
        this.seed_load(
            f"--users={count}", f"--notes={NOTES}", f"--chapters={CHAPTERS}", f"--topics={TOPICS}", f"--tokens={path}"
        )
        tokens = path.read_text().split()
    with this.connect() as connection:
        connection.execute("VACUUM (ANALYZE)")
        rows = connection.execute(
            "SELECT (array_agg(note.id ORDER BY note.id))[:%s] FROM accounts_user owner"
            " JOIN notes_note note ON note.user_id = owner.id GROUP BY owner.id ORDER BY owner.id",
            [NOTES_READ],
        ).fetchall()
    return Crowd(tokens, [row[0] for row in rows])


def run_load(*, connections: int, rates: Sequence[float], seconds: float, runs: int) -> dict[str, Any]:
    document: dict[str, Any] = {"machine": machine(), "connections": connections, "seconds": seconds, "runs": []}
    with bench("load") as this:
        document["machine"] |= server_versions(this)
        crowd = gather(this, connections)
        highest = max(rates)
        kinds = [*((rate, GUNICORN, THREADS) for rate in rates), (highest, GUNICORN, MORE_THREADS)]
        if find_spec("granian"):
            kinds.append((highest, GRANIAN, THREADS))
        for rate, name, threads in kinds:
            for number in range(runs):
                this.redis().flushall()
                measured = one_load(this, crowd, rate=rate, seconds=seconds, seed=number, name=name, threads=threads)
                document["runs"].append(measured)
                print(describe(measured), file=sys.stderr, flush=True)
    write_result("load", document, complete=connections >= 10_000)
    return document


def run_storm(*, connections: int, runs: int) -> dict[str, Any]:
    """Once on warm caches, as after a network's hiccup, and once on an empty Redis, as after its restart."""
    document: dict[str, Any] = {"machine": machine(), "connections": connections, "runs": []}
    with bench("storm") as this:
        document["machine"] |= server_versions(this)
        crowd = gather(this, connections)
        for number, (name, served) in product(range(runs), {GUNICORN: web, GRANIAN: granian}.items()):
            with served(this, **OWN_LIMITS) as (server, port):
                for redis in ("cold", "warm"):
                    if redis == "cold":
                        this.redis().flushall()
                    before = server.cpu_by_process()
                    job = {"kind": "storm", "seconds": STORM_SECONDS, "grace": STORM_GRACE_SECONDS}
                    measured = summary(client(crowd, port, job, seed=number), STORM_SECONDS)
                    seconds = cpu_between(before, server.cpu_by_process())
                    document["runs"].append({**measured, "server": name, "redis": redis, "server_cpu_seconds": seconds})
                    print(name, redis, json.dumps(document["runs"][-1]), file=sys.stderr, flush=True)
                    time.sleep(2)
    write_result("storm", document, complete=connections >= 10_000)
    return document


def one_load(
    this: Bench, crowd: Crowd, *, rate: float, seconds: float, seed: int, name: str, threads: int
) -> dict[str, Any]:
    changes = {**OWN_LIMITS, "WEB_THREADS": str(threads)}
    with (granian if name == GRANIAN else web)(this, **changes) as (server, port):
        job = {"kind": "load", "rate": rate, "seconds": seconds, "warm_up": WARM_UP_SECONDS, "grace": GRACE_SECONDS}
        moments: list[tuple[float, dict[int, float], dict[int, float], float]] = []
        at_end: dict[str, Any] = {}

        def look(moment: str) -> None:
            moments.append((time.monotonic(), server.cpu_by_process(), this.postgres_cpu(), this.redis_cpu()))
            if moment == "ends":
                at_end["files"] = server.open_files()
                at_end["memory"] = {"server_mb": server.memory_mb(), **this.engine_memory()}
                at_end["redis_bytes"] = this.redis().info("memory")["used_memory"]

        answer = client(crowd, port, job, seed=seed, look=look)
    before, after = moments
    wall = after[0] - before[0]
    return {
        "rate": rate,
        "server": name,
        "threads": threads,
        **summary(answer, seconds),
        "cpu_cores": {
            "server": cpu_between(before[1], after[1]) / wall,
            "postgres": cpu_between(before[2], after[2]) / wall,
            "redis": (after[3] - before[3]) / wall,
        },
        "server_processes": [
            {"cores": (seconds - before[1].get(pid, 0.0)) / wall, "open_files": at_end["files"][pid]}
            for pid, seconds in after[1].items()
        ],
        "memory": at_end["memory"],
        "redis_bytes_per_user": at_end["redis_bytes"] / len(crowd.tokens),
    }


def client(
    crowd: Crowd, port: int, job: dict[str, Any], *, seed: int, look: Callable[[str], None] = lambda _: None
) -> dict[str, Any]:
    """Run the generator in a process of its own.

    ``look`` is called when its measurement ``begins`` and, while its connections are still open, when it ``ends``.
    """
    document = {**job, "host": HOST, "port": port, "seed": seed, "tokens": crowd.tokens, "notes": crowd.notes}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.load_client"],
        cwd=BASE_DIR,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(document) + "\n")
        process.stdin.flush()
        for line in process.stdout:
            if line.startswith("{"):
                return json.loads(line)
            moment = line.strip()
            look(moment)
            if moment == "ends":
                process.stdin.close()
    sys.exit("the load generator ended without a result")


def summary(answer: dict[str, Any], seconds: float) -> dict[str, Any]:
    everything = [value for values in answer["latencies"].values() for value in values]
    failed = sum(answer["errors"].values())
    return {
        "answered_per_second": len(everything) / seconds,
        "answered": len(everything),
        "failed": failed,
        "error_share": failed / max(1, len(everything) + failed),
        "ms": quantiles(everything),
        "ms_by_kind": {kind: quantiles(values) for kind, values in answer["latencies"].items() if values},
        **{
            name: value
            for name, value in answer.items()
            if name not in ("latencies", "ms") and not isinstance(value, list)
        },
    }


def quantiles(seconds: Sequence[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=1000, method="inclusive")
    found = {"p50": cuts[499], "p90": cuts[899], "p95": cuts[949], "p99": cuts[989], "p999": cuts[998]}
    return {name: round(value * 1000, 2) for name, value in {**found, "max": max(seconds)}.items()}


def describe(run: dict[str, Any]) -> str:
    ms, cpu = run["ms"], run["cpu_cores"]
    return (
        f"{run['rate']:.0f}/s, {run['server']} on {run['threads']} threads: "
        f"{run['answered_per_second']:.0f}/s answered, {run['failed']} failed, "
        f"p50 {ms['p50']:.0f} p95 {ms['p95']:.0f} p99 {ms['p99']:.0f} max {ms['max']:.0f} ms; "
        f"cores: server {cpu['server']:.2f}, Postgres {cpu['postgres']:.2f}, Redis {cpu['redis']:.2f}, generator "
        f"{run['generator_cpu_share']:.2f}; server {run['memory']['server_mb']:.0f} MB; its processes: "
        + ", ".join(f"{one['cores']:.2f} cores and {one['open_files']} files" for one in run["server_processes"])
    )
