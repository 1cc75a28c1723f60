"""The ``worker`` process: two Celery consumers, so that slow AI calls delay neither sweeps nor mails.

``python -m NoteAssist_AI.consumers`` consumes AI tasks itself (``AI_WORKER_CONCURRENCY`` threads), and starts a process
for everything else. If one ends, the other ends too. SIGTERM and SIGINT end both cleanly: they finish what they can,
and release the rest for other workers. Arguments after ``--`` are passed to the second consumer: ``--beat`` makes it
run beat as well, where beat has no process of its own.

The second consumer is forked after the code is loaded, so that both share that memory.
"""

import argparse
import gc
import logging
import logging.config
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.process import BaseProcess, parent_process

from celery.signals import worker_shutting_down
from django.conf import settings
from django.db import connections

from NoteAssist_AI.celery import app

logger = logging.getLogger(__name__)

AI_QUEUE = "ai"
OTHER_QUEUE = "celery"
MAX_OTHER_SLOTS = 4
"""How many sweeps, mails and other short tasks run at once, each with a connection to PostgreSQL."""
BROKEN = 1
"""The exit status if one consumer ended unexpectedly."""


def main() -> int:
    """Consume until a signal to end; return the exit status, 0 after a clean shutdown."""
    parser = argparse.ArgumentParser(prog="python -m NoteAssist_AI.consumers", description=__doc__)
    parser.add_argument("--name", default="", help="a name for this worker, if its machine has several")
    parser.add_argument("options", nargs="*", help="options for the consumer of other tasks, after --")
    arguments = parser.parse_args()
    name = f"-{arguments.name}" if arguments.name else ""
    logging.config.dictConfig(settings.LOGGING)
    app.loader.import_default_modules()
    gc.collect()
    gc.freeze()  # a garbage collection would write to all objects, and so copy the shared memory
    for_ai, for_others = connection_shares(settings.DB_POOL_MAX)
    others = _Others(name, for_others, arguments.options)
    others.start()
    status = _consume(AI_QUEUE, settings.AI_WORKER_CONCURRENCY, for_ai, name)
    return others.end() or status


def connection_shares(of_worker: int) -> tuple[int, int]:
    """Divide a worker's database connections: those for AI tasks, those for the others. AI calls hold no connection."""
    for_others = max(1, min(MAX_OTHER_SLOTS, of_worker // 2))
    return max(1, of_worker - for_others), for_others


class _Others:
    """The child process that consumes all tasks except AI tasks."""

    def __init__(self, name: str, slots: int, options: Sequence[str]) -> None:
        fork = multiprocessing.get_context("fork")
        self._process: BaseProcess = fork.Process(target=_consume_others, args=(name, slots, options))
        self._watch = threading.Thread(target=self._end_with_it, name="other-consumer-watch", daemon=True)
        self._is_told_to_end = self._is_broken = False

    def start(self) -> None:
        self._process.start()
        self._watch.start()
        worker_shutting_down.connect(self._pass_on)

    def end(self) -> int:
        """End the process, if it still runs, and wait for it. Returns 0 if it was told to end and ended cleanly."""
        self._pass_on()
        self._watch.join()
        clean = (0, -signal.SIGTERM)  # the second: SIGTERM came before Celery had set its handler
        return BROKEN if self._is_broken or self._process.exitcode not in clean else 0

    def _pass_on(self, **_kwargs: object) -> None:
        self._is_told_to_end = True
        self._process.terminate()  # SIGTERM

    def _end_with_it(self) -> None:
        self._process.join()
        if not self._is_told_to_end:
            logger.error("The consumer of other tasks has ended with %s: this one ends, too", self._process.exitcode)
            self._is_broken = True
            os.kill(os.getpid(), signal.SIGTERM)


def _consume_others(name: str, slots: int, options: Sequence[str]) -> None:
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()
    sys.exit(_consume(OTHER_QUEUE, slots, slots, name, options))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None, "only the forked process watches"
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)


def _consume(queue: str, slots: int, connections_to_database: int, name: str, options: Sequence[str] = ()) -> int:
    connections.settings["default"]["OPTIONS"]["pool"]["max_size"] = connections_to_database  # before the pool is made
    # Quiet: no banner, as two processes would print theirs at the same time.
    command = ["--quiet", "worker", "--queues", queue, "--hostname", f"{queue}{name}@%h", "--pool", "threads"]
    command += ["--concurrency", str(slots), "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    start: Callable[[list[str]], int | None] = app.start  # its type stubs wrongly say that it never returns
    return start([*command, *options]) or 0


if __name__ == "__main__":
    sys.exit(main())
