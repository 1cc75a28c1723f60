"""Part B: thousands of open event streams, each number in a process of its own (see ``benchmarks.sse``)."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.environment import BASE_DIR, write_result

COUNTS = (1000, 5000, 9000)
WORKER_COUNT = 5000
"""With it the CPU is measured, too, that telling watchers of an answer's text adds to a task."""


def run(counts: Sequence[int], *, with_worker: bool = True) -> dict[str, Any]:
    document: dict[str, Any] = {"idle": []}
    for count in counts:
        measured = _measure("idle", f"--streams={count}")
        document["machine"] = document.get("machine") or measured["machine"]
        document["idle"].append(measured["idle"])
        print(json.dumps(measured["idle"]), file=sys.stderr, flush=True)
    if with_worker:
        document["worker"] = _measure("worker")["worker"]
        print(json.dumps(document["worker"]), file=sys.stderr, flush=True)
    write_result("streams", document, complete=max(counts) >= max(COUNTS) and with_worker)
    return document


def _measure(part: str, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.sse", part, *options]
    done = subprocess.run(command, cwd=BASE_DIR, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def table(document: dict[str, Any]) -> str:
    """Markdown."""
    idle = document["idle"]
    lines = [
        "| idle streams of one process | " + " | ".join(f"{one['streams']:,}" for one in idle) + " |",
        "|---|" + "---|" * len(idle),
    ]
    shown = {
        "resident memory": lambda one: f"{one['rss_mb']:.0f} MB ({one['rss_mb_empty']:.0f} MB of it without a stream)",
        "CPU while idle": lambda one: f"{one['idle_cpu_percent']:.0f} % of a core",
        "database connections": lambda one: f"{one['database_connections']}",
        "CPU to open a stream": lambda one: f"{one['cpu_ms_per_opening']:.1f} ms",
        "first event of a new stream": lambda one: _quantiles(one["first_event_of_a_new_stream_ms"]),
        "next event of an open stream": lambda one: _quantiles(one["next_event_of_an_open_stream_ms"]),
        "streams lost": lambda one: f"{one['streams'] - one['still_open']}",
    }
    lines += [f"| {title} | " + " | ".join(show(one) for one in idle) + " |" for title, show in shown.items()]
    if worker := document.get("worker"):
        lines += [
            "",
            f"Telling watchers of an answer's text ({worker['answer_characters']:,} characters in "
            f"{worker['seconds_per_task']:.0f} s) adds {worker['added_percent']:.1f} % to a task's CPU: the worker "
            f"takes {worker['worker_cpu_ms_per_task']:.1f} ms instead of "
            f"{worker['worker_cpu_ms_per_task_without_text']:.1f}, Redis {worker['redis_cpu_ms_per_task']:.1f} instead "
            f"of {worker['redis_cpu_ms_per_task_without_text']:.1f}.",
        ]
    return "\n".join(lines)


def _quantiles(ms: dict[str, float]) -> str:
    return f"p50 {ms['p50']:.0f}, p95 {ms['p95']:.0f}, p99 {ms['p99']:.0f} ms"
