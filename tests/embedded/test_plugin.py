"""How a test process comes to databases of its own."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from tests import engines as plugin


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock?db=9"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=9"),
        ("redis://:secret@cache:6379/0", "redis://:secret@cache:6379/9"),
        ("rediss://cache?db=3&ssl_cert_reqs=none", "rediss://cache/9?ssl_cert_reqs=none"),
    ],
)
def test_only_the_redis_database_is_replaced(url, expected):
    assert plugin.with_redis_database(url, 9) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me@%2Ftmp%2Fpg:5432/notes", "postgresql://me@%2Ftmp%2Fpg:5432/notes_tests3"),
        ("postgres://me:p%40@db/notes_tests12?sslmode=require", "postgres://me:p%40@db/notes_tests3?sslmode=require"),
    ],
)
def test_the_name_of_the_database_carries_the_number_of_this_process(url, expected):
    assert plugin.with_database_number(url, 3) == expected


def test_no_two_test_processes_have_the_same_number():
    own = int(urlsplit(os.environ["DATABASE_URL"]).path.rpartition("_tests")[2])

    number, lock = plugin.take_number()
    other_number, other_lock = plugin.take_number()
    lock.close()
    other_lock.close()

    assert len({own, number, other_number}) == 3


@pytest.mark.parametrize("variable", ["AI_API_KEY", "AI_BASE_URL"])
def test_a_developers_own_model_is_never_asked_by_a_test(variable):
    program = f"import os, sys, tests.engines; sys.exit({variable!r} in os.environ)"
    environment = {**os.environ, variable: "https://model.example.com"}

    assert subprocess.run([sys.executable, "-c", program], env=environment, timeout=120, check=False).returncode == 0
