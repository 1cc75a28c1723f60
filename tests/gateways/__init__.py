"""OpenAI-compatible servers and gateways that others wrote, each in a virtual environment of its own."""

import fcntl
import json
import subprocess
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from NoteAssist_AI.embedded.servers import take_lock
from tests.processes import Process, free_port

INSTALL_SECONDS = 300
START_SECONDS = 180


def programs_of(name: str) -> Path:
    """Where the programs of ``<name>.txt`` are. One process of a test run installs them, the others wait.

    They come from the network once, and stay in the checkout; where they cannot be had the test is skipped.
    """
    requirements = Path(__file__).with_name(f"{name}.txt")
    digest = sha256(requirements.read_bytes()).hexdigest()[:12]
    directory = Path(settings.BASE_DIR, ".local", f"gateway-{name}-{digest}")
    directory.parent.mkdir(exist_ok=True)
    installed = directory / "installed"
    with directory.with_suffix(".lock").open("a") as lock:
        assert take_lock(lock, fcntl.LOCK_EX, seconds=INSTALL_SECONDS)
        if not installed.exists():
            venv.create(directory, clear=True, with_pip=True)
            pip = [directory / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            command = [*pip, "--require-hashes", "--no-deps", "-r", requirements]
            try:
                result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                pytest.skip(f"{name} could not be installed within {INSTALL_SECONDS} s")
            if result.returncode:
                pytest.skip(f"{name} cannot be installed here: {result.stderr.strip()[-300:]}")
            installed.touch()
    return directory / "bin"


class Gateway:
    """A running server."""

    def __init__(self, port: int, key: str = "test-key") -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.key = key

    def call(self, path: str, document: dict[str, Any] | None = None) -> Any:
        data = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(urllib.request.Request(self.url + path, data, headers), timeout=60) as response:
            return json.load(response)

    def answers(self, path: str) -> bool:
        try:
            self.call(path)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True


@contextmanager
def running(
    command: list[str], log: Path, *, port_option: str = "--port", ready: str, key: str = "test-key", **environment: str
) -> Iterator[Gateway]:
    """The server that the command starts, once it answers at the path ``ready``."""
    port = free_port()
    process = Process([*command, port_option, str(port)], {"PYTHONUTF8": "1", **environment}, log)
    gateway = Gateway(port, key)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not gateway.answers(ready):
            assert process.is_running, process.output
            if time.monotonic() > deadline:
                pytest.skip(f"{Path(command[0]).name} does not start within {START_SECONDS} s here")
            time.sleep(0.2)
        yield gateway
    finally:
        process.kill()
