"""How ``make run`` starts, watches and ends its processes; small ones stand in for the product's."""

import os
import signal
import socket
import subprocess
import sys
import urllib.request

import psutil
import pytest

from tests.embedded.conftest import PROJECT, alive, environment_of, wait_until
from tests.processes import free_port

LAUNCHER = """
import sys
from pathlib import Path
from NoteAssist_AI.embedded import launcher
launcher.PROCFILE = Path(sys.argv[1])
launcher.PREPARATION = ()
sys.exit(launcher.main())
"""

READY_WEB = """
import http.server, os
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok"}')
http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Ready).serve_forever()
"""
# Each says when it is set up, so that no signal comes too early.
WAITING = """
import pathlib, signal
pathlib.Path(__file__).with_suffix(".up").touch()
signal.pause()
"""
STUBBORN = """
import pathlib, signal
for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(signum, signal.SIG_IGN)
pathlib.Path(__file__).with_suffix(".up").touch()
while True:
    signal.pause()
"""
TALKING = """
import time
while True:
    print("I am here", flush=True)
    time.sleep(0.01)
"""
TELLING = """
import os, pathlib, signal
told = " ".join(os.environ[name] for name in ("EVENTS_BASE_URL", "CORS_ALLOWED_ORIGINS"))
pathlib.Path(__file__).with_suffix(".told").write_text(told)
pathlib.Path(__file__).with_suffix(".up").touch()
signal.pause()
"""
LEAVING_ON_REQUEST = """
import pathlib, signal, sys
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
pathlib.Path(__file__).with_suffix(".up").touch()
signal.pause()
"""


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def launch(engines, port, tmp_path):
    """Start the launcher on Python scripts by name, and return it with its output read up to ``ready``.

    With an ``output`` of the test's own nothing is read of it.
    """
    launched = []

    def start(output: int = subprocess.PIPE, **scripts: str) -> subprocess.Popen:
        lines = []
        for name, script in {"web": READY_WEB, **scripts}.items():
            (tmp_path / f"{name}.py").write_text(script)
            lines.append(f"{name}: exec python {tmp_path / name}.py\n")
        procfile = tmp_path / "Procfile"
        procfile.write_text("".join(lines))
        process = subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, procfile],
            cwd=PROJECT,
            env=environment_of(engines, PORT=str(port), EVENTS_PORT=str(free_port())),
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        launched.append(process)
        if process.stdout is None:
            return process
        for line in process.stdout:
            if f"ready: http://127.0.0.1:{port}" in line:
                return process
        raise AssertionError("the launcher ended before it was ready")

    yield start
    for process in [*launched, *processes_of(tmp_path)]:
        process.kill()
    for process in launched:
        process.communicate(timeout=90)


def processes_of(directory):
    """Living processes that run a script of this directory."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if f"{directory}/" in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def worker_of(directory):
    wait_until((directory / "worker.up").exists)
    (worker,) = [process for process in processes_of(directory) if process.cmdline()[1:] == [f"{directory}/worker.py"]]
    return worker


def output_until_end(process):
    output, _ = process.communicate(timeout=120)
    return output


def test_the_ready_line_is_true_and_the_next_ones_name_the_ways_in_and_out(launch, port, engines):
    process = launch()

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as response:
        assert response.status == 200
    assert alive(engines) == ["postgresql", "redis"]
    own_lines = (line for line in process.stdout if " launcher | " in line)  # others may speak in between
    for text in ("/api/docs/", "demo@noteassist.local / demo-password", "admin@noteassist.local / demo-password"):
        assert text in next(own_lines)
    assert "Ctrl-C stops everything" in next(own_lines)


def test_each_line_is_written_at_once_so_that_no_other_comes_into_it(launch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # what is written at once is read at once
    ours.settimeout(90)
    awaited = {"worker.1 | I am here\n", "launcher | Ctrl-C stops everything"}
    with ours, theirs:
        launch(output=theirs.fileno(), worker=TALKING)
        while awaited:
            written = ours.recv(65536).decode()
            assert written.find("\n") == len(written) - 1
            awaited -= {text for text in awaited if text in written}


def test_the_page_may_read_the_event_streams_of_the_other_port_by_whichever_name_it_was_opened(launch, port, tmp_path):
    launch(worker=TELLING)

    wait_until((tmp_path / "worker.up").exists)
    events, origins = (tmp_path / "worker.told").read_text().split()
    assert events.startswith("http://127.0.0.1:")
    assert origins == f"http://127.0.0.1:{port},http://localhost:{port}"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_every_process_and_the_engines(launch, signum, engines, tmp_path):
    process = launch(worker=WAITING)
    assert worker_of(tmp_path).is_running()

    os.killpg(process.pid, signum)  # as the terminal's Ctrl-C, which reaches make as well

    output_until_end(process)
    assert process.returncode == 0
    assert processes_of(tmp_path) == []
    assert alive(engines) == []


def test_a_process_that_ends_ends_all_with_a_failure(launch, engines, tmp_path):
    process = launch(worker=LEAVING_ON_REQUEST)

    worker_of(tmp_path).send_signal(signal.SIGUSR1)

    output_until_end(process)
    assert process.returncode == 1
    assert processes_of(tmp_path) == []
    assert alive(engines) == []


def test_processes_whose_manager_was_killed_are_ended_too(launch, engines, tmp_path):
    process = launch(worker=STUBBORN)
    assert worker_of(tmp_path).is_running()
    (manager,) = psutil.Process(process.pid).children()

    manager.kill()

    assert "killing process" in output_until_end(process)
    assert process.returncode != 0
    assert processes_of(tmp_path) == []
    assert alive(engines) == []


@pytest.mark.slow
def test_a_process_that_does_not_listen_is_killed(launch, engines, tmp_path):
    process = launch(worker=STUBBORN)
    assert worker_of(tmp_path).is_running()

    process.terminate()

    output_until_end(process)
    assert process.returncode == 0
    assert processes_of(tmp_path) == []
    assert alive(engines) == []


@pytest.mark.parametrize("in_file", [False, True])
def test_a_taken_port_is_named_before_anything_starts(in_file, engines, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environment = environment_of(engines, ENVIRONMENT="development", PORT="" if in_file else str(port))
        (tmp_path / ".env").write_text(f"PORT={port}\n" if in_file else "PORT=1\n")

        answer = subprocess.run(
            [sys.executable, "-c", LAUNCHER.replace("launcher.PROCFILE", "launcher.BASE_DIR"), tmp_path],
            cwd=PROJECT,
            env={name: value for name, value in environment.items() if value},
            capture_output=True,
            text=True,
            timeout=120,
        )

    assert answer.returncode == 1
    assert f"Port {port} cannot be used" in answer.stderr
    assert alive(engines) == []


@pytest.mark.parametrize("variable", ["PORT", "EVENTS_PORT"])
def test_a_taken_port_is_named_before_anything_is_installed(variable):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = {"PORT": str(free_port()), "EVENTS_PORT": str(free_port()), variable: str(port)}

        answer = subprocess.run(
            [sys.executable, "-I", "-S", PROJECT / "NoteAssist_AI/embedded/ports.py"],  # no packages, not even ours
            env=ports,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    assert answer.returncode == 1
    assert answer.stderr.startswith(f"Port {port} cannot be used (")
    assert answer.stderr.endswith(f"Choose another one: {variable}={port + 10} make run\n")
