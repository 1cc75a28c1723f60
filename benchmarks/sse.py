"""What event streams cost: ``python -m benchmarks.sse``, on loopback only; prints JSON.

``idle``: thousands of silent streams in one ``events`` process. Its memory, CPU and database connections, and how long
a reader waits for an event, be it the first of a new stream or the next of an open one.

``worker``: the CPU that telling watchers of an answer's text adds to a task. The same tasks run with and without it, by
turns, against a provider that writes at the pace of a model.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import django
import psutil

from benchmarks.environment import BASE_DIR, HOST, Bench, bench, cpu_seconds, free_port, machine, server_versions

STREAMS_PER_USER = 10
OPENING_AT_ONCE = 50
EVENT_TIMEOUT_SECONDS = 10
OURSELVES = "benchmark"
SENTENCE = "A loop repeats a block of statements until its condition is false. "


class Stream(asyncio.Protocol):
    """One reader, which remembers when its next event came."""

    def __init__(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        self._request = request
        self._head = b""
        self.opened: asyncio.Future[None] = loop.create_future()
        self.next_event: asyncio.Future[float] = loop.create_future()
        self.is_closed = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._head += data
            if b"\r\n\r\n" not in self._head:
                return
            status = self._head.split(b" ", 2)[1]
            if status == b"200":
                self.opened.set_result(None)
            else:
                self.opened.set_exception(RuntimeError(f"a stream was answered with {status.decode()}"))
            data = self._head
        if b"\nevent: " in data and not self.next_event.done():
            self.next_event.set_result(time.perf_counter())

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_closed = True
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("a stream was closed before it was answered"))

    async def seconds_until_event(self, since: float) -> float:
        return await asyncio.wait_for(self.next_event, EVENT_TIMEOUT_SECONDS) - since

    def expect_another(self) -> None:
        self.next_event = asyncio.get_running_loop().create_future()


class Target:
    """A stream that may be opened, and something to tell on it."""

    def __init__(self, token: str, path: str, user_id: int, task_id: Any | None) -> None:
        self._token = token
        self._path = path
        self._user_id = user_id
        self._task_id = task_id

    @property
    def replays(self) -> bool:
        """Whether a new reader hears what was told before."""
        return self._task_id is not None

    async def open(self, port: int) -> Stream:
        head = [f"GET {self._path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {self._token}"]
        request = "\r\n".join([*head, "X-Forwarded-Proto: https", "", ""]).encode()
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: Stream(request), HOST, port)
        await asyncio.wait_for(stream.opened, EVENT_TIMEOUT_SECONDS * 6)
        return stream

    def tell(self) -> None:
        from ai_tasks.progress import Delta, report
        from notifications import services

        if self._task_id is None:
            services.create(user_id=self._user_id, title="Hello", message="")
        else:
            report([Delta(self._task_id, self._user_id, attempt=1, offset=0, text="Hello ")])


def make_targets(count: int) -> list[Target]:
    """Half of them streams of tasks, half of users."""
    from accounts.models import Session, User
    from accounts.tokens import issue_access
    from ai_tasks.models import AITask

    number = -(-count // STREAMS_PER_USER)
    users = User.objects.bulk_create([User(email=f"reader{n}@example.com", name=f"Reader {n}") for n in range(number)])
    later = datetime.now(UTC) + timedelta(days=1)
    sessions = Session.objects.bulk_create([Session(user=user, expires_at=later) for user in users])
    unfinished = {"status": "running", "attempt": 1, "lease_expires_at": later, "request_type": "summarize"}
    tasks = AITask.objects.bulk_create(
        [AITask(user=user, request_data={}, **unfinished) for user in users for _ in range(STREAMS_PER_USER // 2)],
        batch_size=1000,
    )
    tokens = {
        user.pk: issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
        for user, session in zip(users, sessions, strict=True)
    }
    of_tasks = [
        Target(tokens[task.user_id], f"/api/ai/tasks/{task.pk}/events/", task.user_id, task.pk) for task in tasks
    ]
    of_users = [
        Target(tokens[user.pk], "/api/notifications/stream/", user.pk, None)
        for user in users
        for _ in range(STREAMS_PER_USER // 2)
    ]
    return (of_tasks + of_users)[:count]


@contextmanager
def events_process(this: Bench) -> Iterator[tuple[int, int]]:
    """The port and the process id of a real ``events`` process."""
    port = free_port()
    command = [sys.executable, "-m", "gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn_events.conf.py"]
    environment = this.environ(EVENTS_PORT=str(port), EVENTS_CONCURRENCY="1")
    master = subprocess.Popen(command, cwd=BASE_DIR, env=environment)
    try:
        wait_for_answer(f"http://{HOST}:{port}/healthz/live")
        (worker,) = psutil.Process(master.pid).children()
        yield port, worker.pid
    finally:
        master.terminate()
        master.wait(60)


def wait_for_answer(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def database_connections(this: Bench) -> int:
    """Of everybody but this process."""
    with this.connect() as own:
        row = own.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> %s",
            [OURSELVES],
        ).fetchone()
    return row[0] if row else 0


async def measure_idle(this: Bench, options: argparse.Namespace, targets: list[Target]) -> dict[str, Any]:
    with events_process(this) as (port, pid):
        process = psutil.Process(pid)
        before_mb = process.memory_info().rss / 2**20
        opening_slots = asyncio.Semaphore(OPENING_AT_ONCE)

        async def open_one(target: Target) -> Stream:
            async with opening_slots:
                return await target.open(port)

        probes, idle = targets[: options.probes], targets[options.probes :]
        opening = time.perf_counter()
        opening_cpu = cpu_seconds(pid)
        streams = await asyncio.gather(*(open_one(target) for target in idle))
        opened = {
            "opened_per_second": round(len(streams) / (time.perf_counter() - opening)),
            "cpu_ms_per_opening": round((cpu_seconds(pid) - opening_cpu) / len(streams) * 1000, 2),
        }
        most_connections = database_connections(this)

        began, cpu = time.perf_counter(), cpu_seconds(pid)
        await asyncio.sleep(options.idle_seconds)
        idle_cpu = (cpu_seconds(pid) - cpu) / (time.perf_counter() - began)
        rss_mb = process.memory_info().rss / 2**20

        first, following = [], []
        dice = random.Random(options.seed)
        for target in probes:
            if target.replays:
                target.tell()
            since = time.perf_counter()
            stream = await target.open(port)
            if not target.replays:
                target.tell()
            first.append(await stream.seconds_until_event(since))
            stream.transport.close()

            chosen = dice.randrange(len(idle))
            streams[chosen].expect_another()
            since = time.perf_counter()
            idle[chosen].tell()
            following.append(await streams[chosen].seconds_until_event(since))
        still_open = sum(not stream.is_closed for stream in streams)
        most_connections = max(most_connections, database_connections(this))
        peak_mb = process.memory_info().rss / 2**20
        for stream in streams:
            stream.transport.close()
    return {
        "streams": len(streams),
        "still_open": still_open,
        "rss_mb_empty": round(before_mb, 1),
        "rss_mb": round(rss_mb, 1),
        "rss_mb_after_probes": round(peak_mb, 1),
        "kb_per_stream": round((rss_mb - before_mb) * 1024 / len(streams), 1),
        "idle_cpu_percent": round(idle_cpu * 100, 1),
        "database_connections": most_connections,
        **opened,
        "first_event_of_a_new_stream_ms": percentiles(first),
        "next_event_of_an_open_stream_ms": percentiles(following),
    }


def percentiles(seconds: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    found = {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98], "max": max(seconds)}
    return {name: round(value * 1000, 1) for name, value in found.items()}


def run_tasks(options: argparse.Namespace) -> None:
    """In a child: carry out tasks as a worker does; print the CPU seconds that it took."""
    from ai_tasks import worker as working
    from ai_tasks.models import AITask
    from tests.factories import AITaskFactory, UserFactory

    if options.quiet:
        from ai_tasks.progress import Delta, report

        working.report = lambda events: report([event for event in events if not isinstance(event, Delta)])
    user = UserFactory(email=f"writer-{os.getpid()}@example.com")

    def new_tasks(count: int) -> list[Any]:
        return [AITaskFactory(user=user, request_data={"topic": "Loops"}).pk for _ in range(count)]

    with ThreadPoolExecutor(options.tasks) as pool:
        list(pool.map(working.worker.execute, new_tasks(1)))  # imports the SDK
        tasks = new_tasks(options.tasks)
        began, cpu = time.perf_counter(), time.process_time()
        list(pool.map(working.worker.execute, tasks))
        took = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}
    statuses = set(AITask.objects.values_list("status", flat=True).filter(user=user))
    if statuses != {"succeeded"}:
        raise RuntimeError(f"the tasks ended as {statuses}")
    print(json.dumps(took), flush=True)
    os._exit(0)  # the worker's heartbeat is a daemon thread


def measure_worker(this: Bench, options: argparse.Namespace) -> dict[str, Any]:
    answer = SENTENCE * (options.answer_characters // len(SENTENCE))
    port = free_port()
    command = [sys.executable, "-m", "tests.openai_server", "--port", str(port)]
    command += ["--default", "slow", "--slow-seconds", str(options.chunk_seconds)]
    provider = subprocess.Popen(command, cwd=BASE_DIR)
    rounds: dict[str, list[dict[str, float]]] = {"streaming": [], "quiet": []}
    try:
        tell_provider(port, {"answer": answer, "default": "slow"})
        for _ in range(options.rounds):
            for kind in random.sample(list(rounds), 2):
                redis_before = this.redis_cpu()
                command = [sys.executable, "-m", "benchmarks.sse", "child", "--tasks", str(options.tasks)]
                child = subprocess.run(
                    [*command, "--quiet"] if kind == "quiet" else command,
                    cwd=BASE_DIR,
                    env=this.environ(AI_BASE_URL=f"http://{HOST}:{port}/v1", AI_MODEL="test-model"),
                    stdout=subprocess.PIPE,
                    check=True,
                    timeout=300,
                )
                measured = json.loads(child.stdout.splitlines()[-1])
                rounds[kind].append({**measured, "redis": this.redis_cpu() - redis_before})
    finally:
        provider.terminate()
        provider.wait(10)

    def per_task_ms(kind: str, part: str) -> float:
        return statistics.median(measured[part] for measured in rounds[kind]) / options.tasks * 1000

    quiet, streaming = per_task_ms("quiet", "cpu"), per_task_ms("streaming", "cpu")
    return {
        "tasks": options.tasks,
        "rounds": options.rounds,
        "answer_characters": len(answer),
        "seconds_per_task": round(statistics.median(m["wall"] for m in rounds["streaming"]), 2),
        "worker_cpu_ms_per_task_without_text": round(quiet, 2),
        "worker_cpu_ms_per_task": round(streaming, 2),
        "added_percent": round((streaming / quiet - 1) * 100, 1),
        "redis_cpu_ms_per_task_without_text": round(per_task_ms("quiet", "redis"), 2),
        "redis_cpu_ms_per_task": round(per_task_ms("streaming", "redis"), 2),
    }


def tell_provider(port: int, script: dict[str, Any]) -> None:
    url = f"http://{HOST}:{port}/admin/script"
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(urllib.request.Request(url, json.dumps(script).encode()), timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=["all", "idle", "worker", "child"])
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--probes", type=int, default=200)
    parser.add_argument("--idle-seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=20, help="carried out at the same time by one worker")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--answer-characters", type=int, default=3000)
    parser.add_argument("--chunk-seconds", type=float, default=0.02, help="between two chunks of an answer")
    parser.add_argument("--quiet", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "NoteAssist_AI.settings")
    if options.part == "child":
        django.setup()
        run_tasks(options)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, options.streams * 2 + 1000)), hard))
    with bench("sse") as this:
        os.environ.update(this.environ(DATABASE_URL=f"{this.database_url}?application_name={OURSELVES}"))
        django.setup()
        result: dict[str, Any] = {"machine": machine() | server_versions(this)}
        if options.part in ("all", "idle"):
            targets = make_targets(options.streams + options.probes)
            random.Random(options.seed).shuffle(targets)
            result["idle"] = asyncio.run(measure_idle(this, options, targets))
        if options.part in ("all", "worker"):
            result["worker"] = measure_worker(this, options)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
