"""The programs that developers start with make, but that the suite does not run whole."""

import re
import subprocess
import sys

import pytest
from django.conf import settings

MAKEFILE = (settings.BASE_DIR / "Makefile").read_text()
PROGRAMS = sorted(set(re.findall(r"python -m ((?:tests|benchmarks)[\w.]*)", MAKEFILE)) | {"benchmarks.study"})


def test_the_makefile_starts_programs():
    assert PROGRAMS == ["benchmarks", "benchmarks.study", "tests.contributing", "tests.faults", "tests.mutants"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_says_how_it_is_used(program):
    if program == "tests.mutants":
        pytest.importorskip("cosmic_ray", reason="`make mutants` installs what it needs itself")
    command = [sys.executable, "-m", program, "--help"]
    done = subprocess.run(command, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout.startswith("usage: ")) == (0, True), done.stderr
