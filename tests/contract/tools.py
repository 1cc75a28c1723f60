"""Programs of others that read the API's description, installed once into the checkout."""

import fcntl
import os
import shutil
import subprocess
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from django.conf import settings

from NoteAssist_AI.embedded.servers import take_lock
from tests.processes import BIN, START_SECONDS, free_port, running, running_worker, wait_until
from tests.servers.wire import is_live

HERE = Path(__file__).parent
OPENAPI = Path(settings.BASE_DIR, "docs/openapi.yaml")
REQUIREMENTS = Path(settings.BASE_DIR, "tests/requirements-contract.txt")
INSTALL_SECONDS = 600
RUN_SECONDS = 900


def run(command: list[str | Path], *, cwd: Path, seconds: float = RUN_SECONDS, **environment: str) -> str:
    """What the program prints; the test fails if it fails."""
    result = subprocess.run(
        command, cwd=cwd, env={**os.environ, "NO_COLOR": "1", "NO_PROXY": "127.0.0.1", **environment},
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    output = result.stdout + result.stderr
    assert result.returncode == 0, f"{command[0]} failed:\n{output[-60_000:]}"
    return output


def _installed(name: str, source: Path, install: Callable[[Path], None]) -> Path:
    """A folder that is made once for what ``source`` says. One process of a test run makes it, the others wait."""
    digest = sha256(source.read_bytes()).hexdigest()[:12]
    directory = Path(settings.BASE_DIR, ".local", f"{name}-{digest}")
    directory.parent.mkdir(exist_ok=True)
    with directory.with_suffix(".lock").open("a") as lock:
        assert take_lock(lock, fcntl.LOCK_EX, seconds=INSTALL_SECONDS)
        if not (directory / "installed").exists():
            directory.mkdir(exist_ok=True)
            try:
                install(directory)
            except subprocess.TimeoutExpired:
                pytest.skip(f"{source.name} could not be installed within {INSTALL_SECONDS} s")
            except subprocess.CalledProcessError as error:
                pytest.skip(f"{source.name} cannot be installed here: {error.stderr.strip()[-300:]}")
            (directory / "installed").touch()
    return directory


def python_programs() -> Path:
    """The folder of Schemathesis, openapi-python-client and mypy."""

    def install(directory: Path) -> None:
        venv.create(directory, clear=True, with_pip=True)
        pip = [directory / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command = [*pip, "--require-hashes", "-r", REQUIREMENTS]
        subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)

    return _installed("contract-python", REQUIREMENTS, install) / "bin"


def node_modules() -> Path:
    """The folder of the packages that ``package-lock.json`` pins."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed here: install Node.js 20 or later")

    def install(directory: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, directory)
        command = [npm, "ci", "--no-audit", "--no-fund", "--silent"]
        subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)

    return _installed("contract-node", HERE / "package-lock.json", install) / "node_modules"


@contextmanager
def running_product(tmp_path: Path, **environment: str) -> Iterator[str]:
    """A worker and a web process; their URL."""
    port = free_port()
    web = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"]
    environment = {"PORT": str(port), "WEB_CONCURRENCY": "1", "THROTTLE_LOGIN": "none", **environment}
    with running_worker(tmp_path / "worker.log"), running(web, tmp_path / "web.log", **environment) as server:
        wait_until(lambda: is_live(port), START_SECONDS, lambda: server.output)  # clients of others wait 5 s
        yield f"http://127.0.0.1:{port}"
