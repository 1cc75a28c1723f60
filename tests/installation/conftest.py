import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.installation.documents import BASE, copy_into, instructions

VENV = "/opt/venv"
"""Where the image has production's packages; here they are in a folder of this checkout."""


@dataclass(frozen=True)
class Installation:
    """What the image holds: packages in ``venv``, code and static files in ``code``."""

    venv: Path
    code: Path
    seconds: float
    """How long installing the packages took; 0 if they were there."""

    def environment(self) -> dict[str, str]:
        """Nothing of the development venv is on the path."""
        return {"PATH": f"{self.venv}/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}


def run_of_the_dockerfile(word: str) -> str:
    """The one ``RUN`` of the Dockerfile with this word."""
    (command,) = [argument for name, argument in instructions() if name == "RUN" and word in argument]
    return command


@pytest.fixture(scope="session")
def packages() -> tuple[Path, float]:
    """A venv of requirements.txt alone, made as the image makes it, and kept for the next run of the same pins."""
    pins = hashlib.sha256((BASE / "requirements.txt").read_bytes() + sys.version.encode()).hexdigest()[:12]
    directory = BASE / ".local" / f"production-{pins}"
    directory.parent.mkdir(exist_ok=True)
    with directory.with_suffix(".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of the test processes one makes it
        if (directory / "complete").exists():
            return directory, 0.0
        shutil.rmtree(directory, ignore_errors=True)
        command = run_of_the_dockerfile("pip install").replace(VENV, str(directory))
        started = time.monotonic()
        made = subprocess.run(
            ["sh", "-c", command.replace("python ", f"{sys.executable} ", 1)],
            cwd=BASE,
            env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )
        if made.returncode and re.search(r"ConnectionError|ConnectTimeout|Name or service not known", made.stderr):
            pytest.skip("The package registry cannot be reached, so production's packages cannot be installed.")
        assert made.returncode == 0, made.stdout + made.stderr
        (directory / "complete").touch()
        return directory, time.monotonic() - started


@pytest.fixture(scope="session")
def installation(packages, tmp_path_factory) -> Installation:
    """Packages and code as the image has them."""
    venv, seconds = packages
    code = tmp_path_factory.mktemp("image")
    copy_into(code)
    command = run_of_the_dockerfile("collectstatic").replace(VENV, str(venv))
    environment = {"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["sh", "-c", command], cwd=code, env=environment, timeout=120, check=True)
    return Installation(venv, code, seconds)
