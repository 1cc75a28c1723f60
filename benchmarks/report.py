"""Put the newest results into ``docs/performance.md``: the prose stays, what is between two comments is replaced."""

import json
import re
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import (
    celery_load,
    cpu,
    growth,
    hostile_bodies,
    load,
    plots,
    slow3g,
    streams,
    throughput,
    unloaded,
    wire,
)
from benchmarks.environment import BASE_DIR, RESULTS

DOCUMENT = BASE_DIR / "docs" / "performance.md"
PLOTS = BASE_DIR / "docs" / "performance"
PLOTTED_ROWS = ("noop", "list_miss", "list_hit", "detail_miss", "detail_hit", "pending", "task_status")


def write() -> list[str]:
    """Fill every part of which there is a result; the names of those parts."""
    text = DOCUMENT.read_text(encoding="utf-8")
    filled = []
    for name, render in PARTS.items():
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        content = render(json.loads(path.read_text()))
        block = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
        text, count = block.subn(lambda found, content=content: f"{found[1]}{content}\n{found[2]}", text)
        if count != 1:
            raise SystemExit(f"{DOCUMENT} has no place for {name}, or more than one")
        filled.append(name)
    DOCUMENT.write_text(text, encoding="utf-8")
    return filled


def conditions(document: dict[str, Any]) -> str:
    """One paragraph: where and on what it was measured."""
    machine = document["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    return (
        f"*{machine['at'][:10]}, commit {machine['commit']}; {machine['cpu']}, {machine['cores']} cores, "
        f"{machine['memory_mb'] / 1024:.0f} GB; load average at the start {machine['load_average'][0]}; Python "
        f"{machine['python']}, PostgreSQL {machine['postgres']}, Redis {machine['redis']}; {versions}.*"
    )


def with_conditions(render: Callable[[dict[str, Any]], Sequence[str]]) -> Callable[[dict[str, Any]], str]:
    return lambda document: "\n\n".join([conditions(document), *render(document)])


def _cpu(document: dict[str, Any]) -> list[str]:
    groups = {
        document["titles"][row]: {column: document["rows"][row][column]["us_median"] for column in document["columns"]}
        for row in PLOTTED_ROWS
    }
    plots.bars(PLOTS / "cpu.svg", "CPU of one request in the process, logarithmic", groups, unit="µs")
    return [
        f"{document['rounds']} rounds. Each cell: times the floor, median µs (minimum).",
        cpu.table(document),
        "![CPU of one request](performance/cpu.svg)",
        "Each cell: SQL statements / µs of PostgreSQL / µs of Redis.",
        cpu.statements_table(document),
    ]


def _load(document: dict[str, Any]) -> list[str]:
    lines = [
        "| offered | server | answered | failed | p50 | p95 | p99 | max | cores: server, Postgres, Redis | MB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    kinds = list(dict.fromkeys((run["rate"], run["server"], run["threads"]) for run in document["runs"]))
    series: dict[str, list[tuple[float, float]]] = {"p50": [], "p95": [], "p99": []}
    for rate, server, threads in kinds:
        kind = (rate, server, threads)
        runs = [run for run in document["runs"] if (run["rate"], run["server"], run["threads"]) == kind]
        for run in runs:
            ms, cores, memory = run["ms"], run["cpu_cores"], run["memory"]
            lines.append(
                f"| {rate:.0f}/s | {server}, {threads} | {run['answered_per_second']:.0f}/s | {run['failed']} | "
                f"{ms['p50']:.0f} ms | {ms['p95']:.0f} ms | {ms['p99']:.0f} ms | {ms['max']:.0f} ms | "
                f"{cores['server']:.2f}, {cores['postgres']:.2f}, {cores['redis']:.2f} | {memory['server_mb']:.0f}, "
                f"{memory['postgres_mb']:.0f}, {memory['redis_mb']:.0f} |"
            )
        for name, points in series.items() if (server, threads) == (load.GUNICORN, load.THREADS) else ():
            points.append((rate, statistics.median(run["ms"][name] for run in runs)))
    plots.lines(
        PLOTS / "load.svg",
        f"Latency with {document['connections']:,} open connections",
        series,
        x_name="requests a second",
        y_name="ms",
    )
    per_user = statistics.median(run["redis_bytes_per_user"] for run in document["runs"])
    return [
        f"{document['connections']:,} connections, {document['seconds']:.0f} s a run; cores and megabytes of server, "
        "PostgreSQL and Redis; server, and threads of each of its two processes.",
        "\n".join(lines),
        "![Latency under load](performance/load.svg)",
        f"Redis held {per_user / 1024:.1f} kB per active user at the end of a run: ten thousand take "
        f"{per_user * 10_000 / 2**20:.0f} MB of the guide's 1 GB.",
    ]


def _storm(document: dict[str, Any]) -> list[str]:
    lines = [
        "| server | Redis | answered | failed | drained in | p50 | p99 | CPU of the server |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for run in document["runs"]:
        lines.append(
            f"| {run['server']} | {run['redis']} | {run['answered']} | {run['failed']} "
            f"| {run['drained_seconds']:.1f} s | "
            f"{run['ms']['p50']:.0f} ms | {run['ms']['p99']:.0f} ms | {run['server_cpu_seconds']:.1f} s |"
        )
    return ["\n".join(lines)]


def _growth(document: dict[str, Any]) -> list[str]:
    names = ("list, first page", "detail", "create", "search")
    for part, file, x_name in (("per_user", "growth-user", "notes of the user"), ("in_all", "growth-all", "notes")):
        series = {
            name: [(int(size), document[part][size][name]["both_us"]) for size in sorted(document[part], key=int)]
            for name in names
        }
        plots.lines(
            PLOTS / f"{file}.svg", "CPU of application and PostgreSQL", series, x_name=x_name, y_name="µs a request"
        )
    largest = document["in_all"][max(document["in_all"], key=int)]
    slowest = max(largest, key=lambda name: largest[name]["wall_ms"])
    return [
        "Notes of one user:",
        growth.table(document, "per_user"),
        "![Notes of one user](performance/growth-user.svg)",
        "Notes in all:",
        growth.table(document, "in_all"),
        "![Notes in all](performance/growth-all.svg)",
        f"Among the most notes the slowest of these requests, {slowest}, took {largest[slowest]['wall_ms']:.1f} ms.",
    ]


def _wire(document: dict[str, Any]) -> list[str]:
    return [
        f"{document['connections']} connections, {document['rounds']} rounds of {document['seconds']} s. "
        "\\*: the server that its documentation recommends.",
        wire.table(document),
    ]


PARTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "wire": with_conditions(_wire),
    "cpu": with_conditions(_cpu),
    "unloaded": with_conditions(lambda document: [unloaded.table(document)]),
    "throughput": with_conditions(
        lambda document: [f"{document['connections']} connections.", throughput.table(document)]
    ),
    "load": with_conditions(_load),
    "storm": with_conditions(_storm),
    "growth": with_conditions(_growth),
    "hostile_bodies": with_conditions(lambda document: [hostile_bodies.table(document)]),
    "celery": with_conditions(lambda document: [celery_load.summary(document)]),
    "streams": with_conditions(lambda document: [streams.table(document)]),
    "slow3g": with_conditions(lambda document: [slow3g.table(document)]),
}
