"""Part B: AI tasks from POST to answer, with a provider on loopback whose answers take a second."""

import asyncio
import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2 as httpx

from benchmarks.environment import HOST, Bench, bench, machine, server_versions, write_result
from benchmarks.load import Crowd, gather, quantiles
from benchmarks.processes import Service, provider, web, worker

CONCURRENCY = 200
ONE_SECOND = 0.05  # between the twenty-odd pieces of the provider's answer
IDLE_TASKS = 100
IDLE_PAUSE_SECONDS = 0.1
DRAINED_TASKS = 1000
SUBMITTERS = 16
DRAIN_SECONDS = 300
USERS = 250


def run(*, drained: int) -> dict[str, Any]:
    document: dict[str, Any] = {"machine": machine(), "concurrency": CONCURRENCY}
    with bench("celery") as this, web(this) as (_, port):
        document["machine"] |= server_versions(this)
        crowd = gather(this, USERS)
        with provider(behaviour="stream") as url, worker(this, concurrency=CONCURRENCY, AI_BASE_URL=url):
            document["idle"] = measure_idle(this, crowd, port)
        print(json.dumps(document["idle"]), file=sys.stderr, flush=True)
        with provider(behaviour="slow", slow_seconds=ONE_SECOND) as url:
            for part, count in (("at_once", CONCURRENCY), ("drained", drained)):
                document[part] = measure_drain(this, crowd, port, url, count)
                print(json.dumps(document[part]), file=sys.stderr, flush=True)
    write_result("celery", document, complete=drained >= DRAINED_TASKS)
    return document


def measure_idle(this: Bench, crowd: Crowd, port: int) -> dict[str, Any]:
    """One task after another on an idle worker: how long the POST takes, and until a worker has begun."""
    posts: list[float] = []
    sent_at: dict[str, float] = {}
    with httpx.Client(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=30) as client:
        for number in range(IDLE_TASKS + 5):
            started, moment = time.perf_counter(), time.time()
            response = client.post("/api/ai/tasks/", json=request(f"idle {number}"), headers=bearer(crowd, number))
            response.raise_for_status()
            if number >= 5:  # the first ones open connections and import the provider's SDK
                posts.append(time.perf_counter() - started)
                sent_at[response.json()["task_id"]] = moment
            time.sleep(IDLE_PAUSE_SECONDS)
    wait_until_done(this)
    with this.connect() as connection:
        rows = connection.execute(
            "SELECT id::text, extract(epoch FROM started_at)::float8, extract(epoch FROM finished_at)::float8, status"
            " FROM ai_tasks_aitask"
        ).fetchall()
    begun = [start - sent_at[task] for task, start, _, _ in rows if task in sent_at]
    ended = [end - sent_at[task] for task, _, end, _ in rows if task in sent_at]
    return {
        "tasks": len(begun),
        "statuses": sorted({row[3] for row in rows}),
        "post_ms": quantiles(posts),
        "post_to_start_ms": quantiles(begun),
        "post_to_end_ms": quantiles(ended),
    }


def measure_drain(this: Bench, crowd: Crowd, port: int, url: str, count: int) -> dict[str, Any]:
    """Queue tasks of one second each while no worker runs; how fast one answers them all once it has started."""
    with this.connect() as connection:
        connection.execute("DELETE FROM ai_tasks_aitask")
    submitting = asyncio.run(submit_all(crowd, port, count))
    with worker(this, concurrency=CONCURRENCY, AI_BASE_URL=url) as service, watching_memory(service) as memory:
        wait_until_done(this)
        cpu = service.cpu()
    with this.connect() as connection:
        row = connection.execute(
            """
            WITH run AS (SELECT started_at, finished_at, status FROM ai_tasks_aitask),
                 step AS (SELECT started_at AS at, 1 AS change FROM run UNION ALL SELECT finished_at, -1 FROM run),
                 level AS (SELECT sum(change) OVER (ORDER BY at, change DESC) AS running FROM step)
            SELECT (SELECT count(*) FILTER (WHERE status = 'succeeded') FROM run),
                   (SELECT max(running) FROM level),
                   (SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM run),
                   (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM finished_at - started_at))
                      FROM run)::float8
            """
        ).fetchone()
    assert row is not None
    succeeded, at_once, span, seconds_of_one = row
    return {
        "tasks": count,
        "succeeded": succeeded,
        "submitted_per_second": count / submitting,
        "seconds": span,
        "answered_per_second": succeeded / span,
        "most_at_once": at_once,
        "seconds_of_one_median": seconds_of_one,
        "worker_mb_peak": max(memory),
        "worker_cpu_seconds": cpu,
    }


async def submit_all(crowd: Crowd, port: int, count: int) -> float:
    """The seconds until every task was accepted."""
    started = time.perf_counter()
    numbers = iter(range(count))
    async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", trust_env=False, timeout=60) as client:

        async def submitter() -> None:
            for number in numbers:
                body = request(f"drain {number} of {count}")
                response = await client.post("/api/ai/tasks/", json=body, headers=bearer(crowd, number))
                response.raise_for_status()

        await asyncio.gather(*(submitter() for _ in range(SUBMITTERS)))
    return time.perf_counter() - started


def wait_until_done(this: Bench) -> None:
    deadline = time.monotonic() + DRAIN_SECONDS
    with this.connect() as connection:
        while True:
            row = connection.execute(
                "SELECT count(*) FROM ai_tasks_aitask WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"
            ).fetchone()
            assert row is not None
            if not row[0]:
                return
            if time.monotonic() > deadline:
                sys.exit(f"{row[0]} tasks are unfinished after {DRAIN_SECONDS} s")
            time.sleep(0.05)


@contextmanager
def watching_memory(service: Service) -> Iterator[list[float]]:
    """Megabytes of the service, sampled while the block runs."""
    seen = [service.memory_mb()]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.25):
            seen.append(service.memory_mb())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def request(topic: str) -> dict[str, Any]:
    return {"request_type": "generate_explanation", "request_data": {"topic": topic}}


def bearer(crowd: Crowd, number: int) -> dict[str, str]:
    token = crowd.tokens[number % len(crowd.tokens)]
    return {"Authorization": f"Bearer {token}", "X-Forwarded-Proto": "https"}


def summary(document: dict[str, Any]) -> str:
    """Markdown."""
    idle, at_once, drained = document["idle"], document["at_once"], document["drained"]
    lines = ["| | |", "|---|---|"]
    lines += [
        f"| {title} | p50 {idle[name]['p50']:.1f}, p95 {idle[name]['p95']:.1f}, p99 {idle[name]['p99']:.1f} ms |"
        for title, name in (
            ("POST answered (202)", "post_ms"),
            ("from POST to the worker's start, idle", "post_to_start_ms"),
            ("from POST to the answer of a quick provider", "post_to_end_ms"),
        )
    ]
    for title, part in (("calls of a second at once", at_once), ("tasks drained", drained)):
        lines.append(
            f"| {part['tasks']} {title} | {part['answered_per_second']:.0f}/s, at most {part['most_at_once']} at once, "
            f"{part['seconds']:.1f} s in all; worker at most {part['worker_mb_peak']:.0f} MB, "
            f"{part['worker_cpu_seconds']:.1f} s of CPU with its start |"
        )
    return "\n".join(lines)
