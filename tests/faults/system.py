"""The product in processes of its own, on engines of its own, with a supervisor that starts what was killed.

Not honcho: that ends everything when one process exits.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import redis

from NoteAssist_AI.embedded import Engines
from NoteAssist_AI.embedded.servers import Server
from tests.faults import plan
from tests.faults.plan import Plan
from tests.processes import BIN, WORKER, Process, free_port, wait_for_consumers, wait_until

RUN_VARIABLE = "NOTEASSIST_FAULTS_RUN"
"""Marks every descendant of a run, so that none outlives it."""
START_SECONDS = 120.0

MANAGE = [sys.executable, "manage.py"]
CELERY = [str(BIN / "celery"), "-A", "NoteAssist_AI"]


class System:
    """Everything that runs. Its parts are killed and started again by name: ``web``, ``beat``, ``worker-0``…"""

    def __init__(self, sizes: Plan, seed: int) -> None:
        # Not pytest's tmp_path: paths of sockets are limited to about a hundred bytes.
        self.directory = Path(tempfile.mkdtemp(prefix="na-faults-", dir="/tmp"))
        self.engines = Engines(self.directory / "engines", sockets=self.directory / "s")
        self.postgres, self.redis = self.engines.postgres, self.engines.redis
        self.port, self.provider_port = free_port(), free_port()
        self.run_id = uuid.uuid4().hex
        self._slack = sizes.slack
        self.worker_names = [f"worker-{number}" for number in range(sizes.workers)]
        self._processes: dict[str, Process] = {}
        self._lives: dict[str, int] = {}
        self._lock = threading.Lock()
        self._closed = False
        self.keep_logs = False
        self._environment = self._make_environment(sizes)
        self._commands = {
            "provider": [sys.executable, "-m", "tests.openai_server", "--port", str(self.provider_port), "--seed",
                         str(seed), "--numbered", "--slow-seconds", "0.1", "--default", "flaky", "--flaky",
                         *plan.PROVIDER],
            "web": [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"],
            "beat": [*CELERY, "beat", "--schedule", str(self.directory / "schedule"), "--loglevel", "INFO"],
            **{name: [*WORKER, "--name", name] for name in self.worker_names},
        }  # fmt: skip

    def _make_environment(self, sizes: Plan) -> dict[str, str]:
        throttles = {f"THROTTLE_{name}": "none" for name in ("BURST", "SUSTAINED", "AI_TOOLS", "POLL", "LOGIN")}
        return {
            **os.environ,
            **throttles,
            RUN_VARIABLE: self.run_id,
            "ENVIRONMENT": "test",
            "DATABASE_URL": self.postgres.url,
            "REDIS_URL": self.redis.url,
            "CACHE_URL": "",
            "CELERY_BROKER_URL": "",
            "PORT": str(self.port),
            "DB_POOL_MAX": "16",
            "AI_BASE_URL": f"http://127.0.0.1:{self.provider_port}/v1",
            "AI_API_KEY": "a-key-of-this-test",
            "AI_WORKER_CONCURRENCY": str(sizes.worker_concurrency),
            "AI_LEASE_SECONDS": str(plan.LEASE_SECONDS),
            "AI_SWEEP_SECONDS": str(plan.SWEEP_SECONDS),
            "AI_TIMEOUT_SECONDS": str(plan.TIMEOUT_SECONDS),
            "AI_SHUTDOWN_SECONDS": str(plan.SHUTDOWN_SECONDS),
            "PYTHONUNBUFFERED": "1",
        }

    # --- Processes ---

    def start(self, name: str) -> None:
        """Start a process under its name; each of its lives has a log of its own."""
        with self._while_open():
            life = self._lives[name] = self._lives.get(name, 0) + 1
            log = self.directory / f"{name}.{life}.log"
            self._processes[name] = Process(self._commands[name], self._environment, log)

    def start_and_wait(self, name: str) -> None:
        self.start(name)
        self.wait_until_ready(name)

    def wait_until_ready(self, name: str) -> None:
        match name:
            case "web":
                wait_until(self.web_answers, START_SECONDS, lambda: "the web server")
            case "provider":
                wait_until(self.provider_answers, START_SECONDS, lambda: "the provider")
            case "beat":
                self._processes[name].wait_for_output("beat: Starting...", START_SECONDS)
            case _:
                wait_for_consumers(self._processes[name], START_SECONDS, name=name)

    def process(self, name: str) -> Process:
        return self._processes[name]

    def kill(self, name: str) -> None:
        """SIGKILL the process and its children."""
        self._processes[name].kill()

    def kill_alone(self, name: str) -> None:
        """SIGKILL the process, and leave its children to find out."""
        os.kill(self._processes[name].pid, signal.SIGKILL)

    def kill_one_child(self, name: str) -> None:
        """SIGKILL one child, as one of gunicorn's workers."""
        with suppress(psutil.NoSuchProcess, IndexError):
            psutil.Process(self._processes[name].pid).children()[0].kill()

    def stop(self, name: str) -> int | None:
        """SIGTERM; the exit status, or None if the process had to be killed when its time was over."""
        process = self._processes[name]
        process.send(signal.SIGTERM)
        try:
            return process.wait(plan.STOP_SECONDS + self._slack)
        except subprocess.TimeoutExpired:
            return None
        finally:
            process.kill()

    def output_of(self, name: str) -> str:
        """What all lives of a process have printed."""
        logs = sorted(self.directory.glob(f"{name}.*.log"), key=lambda log: int(log.suffixes[-2][1:]))
        return "\n".join(log.read_text(errors="replace") for log in logs)

    def web_answers(self) -> bool:
        return answers(f"http://127.0.0.1:{self.port}/healthz/live")

    def provider_answers(self) -> bool:
        return answers(f"http://127.0.0.1:{self.provider_port}/admin/requests")

    def script_provider(self, script: bytes) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.provider_port}/admin/script", script)
        direct().open(request, timeout=30).close()

    # --- Engines ---

    def restart_engine(self, engine: Server, signum: signal.Signals, *, away: float) -> None:
        """End an engine by a signal, and start it again when it has been away for so many seconds."""
        os.kill(self.engine_pid(engine), signum)
        wait_until(lambda: not engine.is_alive(), 30, lambda: f"the end of {engine.name}")
        time.sleep(away)
        with self._while_open():
            engine.run()

    def engine_pid(self, engine: Server) -> int:
        return int(engine.pid_path.read_text().split("\n", 1)[0])

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.postgres.url, autocommit=True, connect_timeout=30)

    def redis_client(self) -> redis.Redis:
        return redis.Redis.from_url(self.redis.url, socket_timeout=30, socket_connect_timeout=30)

    # --- The whole ---

    def prepare(self) -> None:
        """Start what every run needs: engines with a migrated database, the provider and the web server."""
        self.engines.attach()
        self._commands["migrate"] = [*MANAGE, "migrate", "--no-input", "--verbosity=0"]
        self.start("migrate")
        status = self._processes.pop("migrate").wait(START_SECONDS)
        assert status == 0, self.output_of("migrate")
        self.start("provider")
        self.start("web")
        self.wait_until_ready("provider")
        self.wait_until_ready("web")

    @contextmanager
    def _while_open(self) -> Iterator[None]:
        """Start something, unless the run is over: an operator may not have heard of it yet."""
        with self._lock:
            assert not self._closed, "the run is over"
            yield

    def close(self) -> None:
        """End every process and engine of this run, and remove its files, but for logs that are to be kept."""
        with self._lock:
            self._closed = True
        for process in self._processes.values():
            process.kill()
        survivors = self.survivors()
        for survivor in survivors:
            with suppress(psutil.NoSuchProcess):
                survivor.kill()
        _, undead = psutil.wait_procs(survivors, timeout=60)
        assert not undead, f"processes that cannot be killed: {undead}"
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(self.engine_pid(self.redis), signal.SIGCONT)
        self.engines.leave()
        if self.keep_logs:
            shutil.rmtree(self.engines.root)
            shutil.rmtree(self.engines.sockets, ignore_errors=True)
        else:
            shutil.rmtree(self.directory)

    def survivors(self) -> list[psutil.Process]:
        """Processes of this run that are still there, whoever their parent is by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(RUN_VARIABLE) == self.run_id:
                    found.append(process)
        return found


@contextmanager
def running_system(sizes: Plan, seed: int) -> Iterator[System]:
    """A prepared system; its logs are kept if the block fails, or says so by ``keep_logs``."""
    system = System(sizes, seed)
    try:
        system.prepare()
        yield system
    except Exception:
        system.keep_logs = True
        raise
    finally:
        system.close()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """A process that neither answers nor ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def direct() -> urllib.request.OpenerDirector:
    """An opener that no proxy variable misleads."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))


def answers(url: str) -> bool:
    try:
        with direct().open(url, timeout=30):
            return True
    except OSError:
        time.sleep(0.1)
        return False
