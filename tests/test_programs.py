"""The programs that developers start with make, but that the suite does not run whole."""

import re
import subprocess
import sys

import pytest
from django.conf import settings

from tests.processes import RUN_SECONDS, environment_of_this_test

MAKEFILE = (settings.BASE_DIR / "Makefile").read_text()
PROGRAMS = sorted(set(re.findall(r"python -m ((?:tests|benchmarks)[\w.]*)", MAKEFILE)) | {"benchmarks.study"})


def test_the_makefile_starts_programs():
    assert PROGRAMS == ["benchmarks", "benchmarks.study", "tests.contributing", "tests.faults", "tests.mutants"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_how_it_is_used(program):
    if program == "tests.mutants":
        pytest.importorskip("cosmic_ray", reason="`make mutants` installs what it needs itself")
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(
        command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )

    assert (done.returncode, done.stdout.startswith("usage: ")) == (0, True), done.stderr


SET_UP = """
import django
django.setup()
from django.db.migrations.loader import MigrationLoader
MigrationLoader(None)
"""


@pytest.mark.parametrize("way", ["careful", "naive"])
def test_the_other_ways_in_django_start_on_our_tables(way):
    environment = environment_of_this_test(
        DJANGO_SETTINGS_MODULE=f"benchmarks.peers.{way}.settings",
        PEERS_REDIS_URL="redis://127.0.0.1:1/0",
        DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing",
        SECRET_KEY="only-for-tests",
        ALLOWED_HOSTS="127.0.0.1",
        JWT_SIGNING_KEY="only-for-tests-9876543210-abcdefghijklmnopqrstuvwxyz",
    )
    command = [sys.executable, "-c", SET_UP]
    done = subprocess.run(
        command,
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

    assert done.returncode == 0, done.stderr
