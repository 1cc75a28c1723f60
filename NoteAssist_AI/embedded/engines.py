"""Real PostgreSQL and Redis for development and tests, installed by pip.

Entry points call ``ensure()`` before settings are read. All processes of a checkout share one pair of engines. Each
process holds a shared lock on a file while it runs. A process that exits tries to make that lock exclusive: if it can,
it was the last one, and stops the engines. The operating system releases the lock of a killed process.
"""

import atexit
import fcntl
import functools
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from NoteAssist_AI import env
from NoteAssist_AI.embedded.servers import (
    SOCKET_PATH_MAX,
    START_SECONDS,
    STOP_SECONDS,
    EngineError,
    Postgres,
    Redis,
    Server,
    take_lock,
)

__all__ = ["EngineError", "Engines", "Status", "engines_of_checkout", "ensure", "ensure_or_exit"]

BASE_DIR = Path(__file__).resolve().parent.parent.parent
MUTEX_SECONDS = 2 * (START_SECONDS + 2 * STOP_SECONDS)
"""Longer than a process can take to start or to stop both engines."""


def ensure() -> None:
    """Put the URLs of running embedded engines into the environment where ``DATABASE_URL`` or ``REDIS_URL`` is missing.

    Safe to call again, and from many processes at once. Does nothing in production: settings refuse a missing URL.
    Raises ``EngineError`` if an engine cannot be started.
    """
    env.load_file(BASE_DIR / ".env")
    if env.text("ENVIRONMENT", "development") not in ("development", "test"):
        return
    engines = engines_of_checkout()
    given = {server: env.text(server.variable, "") for server in engines.servers}
    # If a parent process passed on the engines' URL, this process also counts as a user, so it may outlive the parent.
    wanted = [server for server, url in given.items() if not url or server.owns(url)]
    if not wanted:
        return
    engines.attach(wanted)
    os.environ.update({server.variable: server.url for server in wanted if not given[server]})


def ensure_or_exit() -> None:
    """As ``ensure()``, but exit with the error's message: for entry points, where a traceback adds nothing."""
    try:
        ensure()
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(env.BOOT_FAILED) from None


@functools.cache
def engines_of_checkout() -> "Engines":
    """The engines that ``ensure()`` uses. The environment variable ``EMBEDDED_ROOT`` names another folder for them."""
    return Engines(Path(env.text("EMBEDDED_ROOT", str(BASE_DIR / ".local" / "embedded"))))


@dataclass(frozen=True)
class Status:
    running: dict[str, bool]
    """Whether each engine is running, by its name."""
    in_use: bool
    kept: bool
    """Whether they keep running without users until they are released."""


class Engines:
    """The pair of engines whose files are in ``root``, and this process's use of them.

    Their sockets are in a directory with a short path, as the length of a socket's path is limited.
    """

    def __init__(self, root: Path, *, sockets: Path | None = None) -> None:
        self.root = root.resolve()
        # Not TMPDIR: with different values, two shells of one developer would not find each other's engines.
        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        self.sockets = sockets or Path(f"/tmp/noteassist-{os.getuid()}-{digest}")
        self.postgres = Postgres(self.root, self.sockets)
        self.redis = Redis(self.root, self.sockets)
        self.servers: tuple[Server, ...] = (self.postgres, self.redis)
        self._keep = self.root / "keep"
        self._membership: IO[str] | None = None
        self._membership_of_child: IO[str] | None = None
        atexit.register(self.leave)
        os.register_at_fork(
            before=self._join_for_child, after_in_parent=self._leave_to_child, after_in_child=self._be_child
        )

    def attach(self, servers: Iterable[Server] | None = None) -> None:
        """Become a user until ``leave()`` or the end of the process; return when the servers accept connections."""
        with self._mutex():
            if not any(server.is_alive() for server in self.servers):
                self._keep.unlink(missing_ok=True)  # left over from engines that a crash or a reboot has ended
            if self._membership is None:
                self._membership = self._join()
            self._make_socket_directory()
            for server in servers or self.servers:
                server.run()

    def leave(self) -> None:
        """Stop being a user; the last one stops the engines, unless they are kept."""
        if self._membership is None:
            return
        with self._mutex(), self._membership as membership:
            self._membership = None
            if not self._keep.exists() and take_lock(membership, fcntl.LOCK_EX, seconds=0):
                self._stop()

    def keep(self) -> None:
        """Start the engines and keep them running without users until ``release()``."""
        self.attach()
        self._keep.touch()

    def release(self) -> bool:
        """Undo ``keep()``: stop the engines, remove their sockets' directory and return True.

        False if others use them, the last of which stops them.
        """
        with self._mutex(), self._users_path.open("a") as users:
            self._keep.unlink(missing_ok=True)
            unused = take_lock(users, fcntl.LOCK_EX, seconds=0)
            if unused:
                self._stop()
                shutil.rmtree(self.sockets, ignore_errors=True)  # what is not ours stays
            return unused

    def status(self) -> Status:
        with self._mutex(), self._users_path.open("a") as users:
            return Status(
                running={server.name: server.is_ready() for server in self.servers},
                in_use=not take_lock(users, fcntl.LOCK_EX, seconds=0),
                kept=self._keep.exists(),
            )

    def _stop(self) -> None:
        for server in self.servers:
            server.stop()

    @property
    def _users_path(self) -> Path:
        return self.root / "users.lock"

    def _join(self) -> IO[str]:
        users = self._users_path.open("a")
        if not take_lock(users, fcntl.LOCK_SH, seconds=STOP_SECONDS):
            raise EngineError(f"{users.name} is locked by another program.")
        return users

    # A forked child gets a lock of its own, taken before the fork. If it shared its parent's lock, the first of the two
    # to leave would find no other user and stop the engines that the other still uses.

    def _join_for_child(self) -> None:
        if self._membership is not None:
            self._membership_of_child = self._join()

    def _leave_to_child(self) -> None:
        if self._membership_of_child is not None:
            self._membership_of_child.close()
            self._membership_of_child = None

    def _be_child(self) -> None:
        if self._membership is not None and self._membership_of_child is not None:
            self._membership.close()
            self._membership, self._membership_of_child = self._membership_of_child, None

    @contextmanager
    def _mutex(self) -> Iterator[None]:
        """Allow one process at a time to start, stop, join, leave or read the status."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "mutex.lock").open("a") as mutex:
            if not take_lock(mutex, fcntl.LOCK_EX, seconds=MUTEX_SECONDS):
                raise EngineError(f"Another process has held {mutex.name} for {MUTEX_SECONDS:.0f} s.")
            yield

    def _make_socket_directory(self) -> None:
        longest = max((server.socket_path for server in self.servers), key=lambda path: len(os.fsencode(path)))
        if len(os.fsencode(longest)) > SOCKET_PATH_MAX:
            raise EngineError(f"The path of a socket is limited to {SOCKET_PATH_MAX} bytes; this is longer: {longest}")
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        found = self.sockets.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise EngineError(f"{self.sockets} must be a directory that only you can enter; remove it and try again.")
