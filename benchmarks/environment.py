"""Where benchmarks run: engines of their own, the environment of production, and what is known of the machine."""

import fcntl
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from NoteAssist_AI.embedded import Engines
from NoteAssist_AI.embedded.servers import take_lock

BASE_DIR = Path(__file__).resolve().parent.parent
ROOT = BASE_DIR / ".local" / "benchmarks"
RESULTS = BASE_DIR / "benchmarks" / "results"
HOST = "127.0.0.1"
SIGNING_KEY = "only-for-benchmarks-9876543210-abcdefghijklmnopqrstuvwxyz"
PEERS_REDIS_DATABASE = 1
PACKAGES = (
    "Django", "djangorestframework", "djangorestframework-simplejwt", "psycopg", "psycopg-pool", "redis", "hiredis",
    "celery", "gunicorn", "gevent", "orjson", "PyJWT", "argon2-cffi", "fastapi", "SQLAlchemy", "asyncpg", "pydantic",
)  # fmt: skip


class Bench:
    """One run: its engines, and the environment that gives them to the processes under test.

    Nothing is shared with the checkout's own engines, so no benchmark touches anybody's notes.
    """

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.database_url = engines.postgres.url
        self.redis_url = engines.redis.url

    @property
    def peers_redis_url(self) -> str:
        return self.redis_url.replace("db=0", f"db={PEERS_REDIS_DATABASE}")

    def environ(self, **changes: str) -> dict[str, str]:
        """Production's environment, with limits so high that nothing is refused and every one of them is counted."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in os.environ}
        return {
            **kept,
            "ENVIRONMENT": "production",
            "DEBUG": "false",
            "SECRET_KEY": "only-for-benchmarks-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "JWT_SIGNING_KEY": SIGNING_KEY,
            "DATABASE_URL": self.database_url,
            "REDIS_URL": self.redis_url,
            "PEERS_REDIS_URL": self.peers_redis_url,
            "ALLOWED_HOSTS": HOST,
            "EMAIL_URL": "smtp://127.0.0.1:1",  # no benchmark sends any
            "CORS_ALLOWED_ORIGINS": "https://app.example.com",
            "LOG_LEVEL": "WARNING",
            "THROTTLE_BURST": "1000000/min",
            "THROTTLE_SUSTAINED": "1000000/day",
            "THROTTLE_POLL": "1000000/min",
            "THROTTLE_LOGIN": "1000000/min",
            "THROTTLE_AI_TOOLS": "1000/hour",
            "PYTHONUNBUFFERED": "1",
            **changes,
        }

    def manage(self, *arguments: str, **changes: str) -> None:
        """Run a management command to its end; what it prints is shown if it fails."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=self.environ(**changes),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")

    def seed_load(self, *arguments: str) -> None:
        self.manage("seed_load", *arguments, "--verbosity=0", ENVIRONMENT="test")

    def connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(self.database_url, autocommit=True)

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis_url)

    def postgres_cpu(self) -> dict[int, float]:
        """CPU seconds of each of PostgreSQL's processes so far."""
        server = psutil.Process(_pid_in(self.engines.postgres.pid_path))
        return {process.pid: cpu_seconds(process.pid) for process in [server, *server.children(recursive=True)]}

    def redis_cpu(self) -> float:
        return cpu_seconds(_pid_in(self.engines.redis.pid_path))

    def engine_memory(self) -> dict[str, float]:
        """Resident memory in MB without what PostgreSQL's processes share."""
        server = psutil.Process(_pid_in(self.engines.postgres.pid_path))
        processes = [server, *server.children(recursive=True)]
        return {
            "postgres_mb": sum(process.memory_full_info().uss for process in processes) / 2**20,
            "redis_mb": psutil.Process(_pid_in(self.engines.redis.pid_path)).memory_info().rss / 2**20,
        }


@contextmanager
def bench(name: str) -> Iterator[Bench]:
    """Engines and an empty, migrated database of this benchmark's own, which are gone at the end.

    Different benchmarks may run at once, though neither's figures are then worth much; two runs of one may not.
    """
    root = ROOT / name
    root.mkdir(parents=True, exist_ok=True)
    with (root / "run.lock").open("a") as lock:
        if not take_lock(lock, fcntl.LOCK_EX, seconds=0):
            sys.exit(f"Another run of this benchmark has {root}.")
        engines = Engines(root / "engines")
        engines.attach()
        try:
            this = Bench(engines)
            this.redis().flushall()
            this.database_url = f"{this.database_url.rpartition('/')[0]}/bench_{name}"
            _drop_database(engines, name)
            _administer(engines, f"CREATE DATABASE bench_{name}")
            this.manage("migrate", "--no-input", "--verbosity=0")
            yield this
            _drop_database(engines, name)  # it may have millions of rows; after a failure the next run drops it
        finally:
            engines.leave()


def _drop_database(engines: Engines, name: str) -> None:
    _administer(engines, f"DROP DATABASE IF EXISTS bench_{name} WITH (FORCE)")


def _administer(engines: Engines, statement: str) -> None:
    with psycopg.connect(engines.postgres.url, autocommit=True) as connection:
        connection.execute(statement)  # type: ignore[call-overload]  # made here of constants


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, to the nanosecond (psutil knows hundredths of a second)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # Linux: the clock of another process
    except OSError:
        return 0.0  # it has ended


def cpu_between(before: dict[int, float], after: dict[int, float]) -> float:
    return sum(seconds - before.get(pid, 0.0) for pid, seconds in after.items())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def machine() -> dict[str, Any]:
    """What a reader needs to know in order to compare: hardware, load, versions."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    cpu_model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=BASE_DIR, capture_output=True, text=True, check=False
    )
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip(),
        "cpu": cpu_model or platform.processor(),
        "cores": os.cpu_count(),
        "memory_mb": round(psutil.virtual_memory().total / 2**20),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
    }


def server_versions(this: Bench) -> dict[str, str]:
    with this.connect() as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return {"postgres": row[0] if row else "", "redis": str(this.redis().info("server")["redis_version"])}


def write_result(name: str, document: dict[str, Any], *, complete: bool = True) -> Path:
    """Keep one benchmark's result; the newest complete one of each name is what the report shows."""
    directory = RESULTS if complete else ROOT
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{name}.json"
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    return path


def _pid_in(path: Path) -> int:
    return int(path.read_text().split("\n", 1)[0])


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
