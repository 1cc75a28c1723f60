"""The pytest plugin that gives a test process its engines, loaded by ``-p tests.engines``.

pytest-django reads settings before any conftest, hence a plugin. It runs in the controller of pytest-xdist too, which
so holds the engines for the whole run. Every test process, of this run or of another one on the same checkout, takes a
number of its own, and with it a PostgreSQL database, a Redis database and a folder for files. Redis database 0 is left
to ``make run``.
"""

import fcntl
import os
import re
from typing import IO
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import pytest

from NoteAssist_AI import embedded
from NoteAssist_AI.embedded.servers import Redis, take_lock

FIRST_REDIS_DATABASE = 8


def prepare_environment() -> IO[str]:
    """Point the environment at databases of this process's own; they are its own while the answer stays open."""
    if os.environ.get("ENVIRONMENT") == "production":
        raise pytest.UsageError("Tests write to their databases: run them without ENVIRONMENT=production.")
    os.environ["ENVIRONMENT"] = "test"
    for variable in ("CACHE_URL", "CELERY_BROKER_URL"):
        os.environ.pop(variable, None)  # both follow REDIS_URL, or tests would meet in one database
    for variable in ("AI_API_KEY", "AI_BASE_URL", "EMBEDDINGS_API_KEY", "EMBEDDINGS_BASE_URL", "EMBEDDINGS_MODEL"):
        os.environ.pop(variable, None)  # nobody's key pays for a test
    embedded.ensure()
    number, lock = take_number()
    os.environ["DATABASE_URL"] = with_database_number(os.environ["DATABASE_URL"], number)
    os.environ["REDIS_URL"] = with_redis_database(os.environ["REDIS_URL"], FIRST_REDIS_DATABASE + number)
    os.environ["STORAGE_URL"] = f"file://{quote(str(embedded.engines_of_checkout().root))}/tests-{number}-files"
    return lock


def take_number() -> tuple[int, IO[str]]:
    """The lowest number that no living test process of this checkout has, and the lock that keeps it."""
    directory = embedded.engines_of_checkout().root
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(Redis.DATABASES - FIRST_REDIS_DATABASE):
        lock = (directory / f"tests-{number}.lock").open("a")
        if take_lock(lock, fcntl.LOCK_EX, seconds=0):
            return number, lock
        lock.close()
    raise pytest.UsageError(f"All {number + 1} databases for tests are taken by running test processes.")


def with_database_number(url: str, number: int) -> str:
    """The URL of this process's database; a number from the parent (pytest-xdist's controller) is replaced."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{re.sub(r'_tests[0-9]+$', '', parts.path)}_tests{number}"))


def with_redis_database(url: str, database: int) -> str:
    parts = urlsplit(url)
    query = [(name, value) for name, value in parse_qsl(parts.query) if name != "db"]
    if parts.scheme == "unix":
        return f"unix://{parts.path}?{urlencode([*query, ('db', database)])}"  # urlunsplit drops the empty authority
    return urlunsplit(parts._replace(path=f"/{database}", query=urlencode(query)))


_number_lock = prepare_environment()
