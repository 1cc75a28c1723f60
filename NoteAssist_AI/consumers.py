"""The ``worker`` process: two Celery consumers, so that slow AI calls hold up neither sweeps nor mails.

``python -m NoteAssist_AI.consumers`` consumes AI tasks itself (``AI_WORKER_CONCURRENCY`` threads), and starts a process
for everything else. Both end when either ends. SIGTERM and SIGINT end both in order: they finish what they can, and
give back the rest. What follows ``--`` is passed to the second one, as ``--beat`` where beat has no process of its own.

The second one is forked when the code is loaded, so that both share its memory.
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
"""The exit status if one consumer ended although nobody had told it to."""


def main() -> int:
    """Consume until told to end. Returns the exit status: 0 if that was in order."""
    parser = argparse.ArgumentParser(prog="python -m NoteAssist_AI.consumers", description=__doc__)
    parser.add_argument("--name", default="", help="tells this worker from others of its machine")
    parser.add_argument("options", nargs="*", help="of the consumer of everything but AI tasks, after --")
    arguments = parser.parse_args()
    name = f"-{arguments.name}" if arguments.name else ""
    logging.config.dictConfig(settings.LOGGING)
    app.loader.import_default_modules()
    gc.collect()
    gc.freeze()  # a collection would write to all objects, and so copy the memory that both share
    for_ai, for_others = connection_shares(settings.DB_POOL_MAX)
    others = _Others(name, for_others, arguments.options)
    others.start()
    status = _consume(AI_QUEUE, settings.AI_WORKER_CONCURRENCY, for_ai, name)
    return others.end() or status


def connection_shares(of_worker: int) -> tuple[int, int]:
    """How many of a worker's connections are for AI tasks, of which a call takes none, and how many for the others."""
    for_others = max(1, min(MAX_OTHER_SLOTS, of_worker // 2))
    return max(1, of_worker - for_others), for_others


class _Others:
    """The process that consumes everything but AI tasks, as the consumer of these sees it."""

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
        """End it, if it has not, and wait for it. Returns 0 if it was told to end and did so in order."""
        self._pass_on()
        self._watch.join()
        in_order = (0, -signal.SIGTERM)  # the second: it was told before it was ready
        return BROKEN if self._is_broken or self._process.exitcode not in in_order else 0

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
    connections.settings["default"]["OPTIONS"]["pool"]["max_size"] = connections_to_database  # before there is a pool
    # Quiet: without a banner, which two processes would print at once.
    command = ["--quiet", "worker", "--queues", queue, "--hostname", f"{queue}{name}@%h", "--pool", "threads"]
    command += ["--concurrency", str(slots), "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
    start: Callable[[list[str]], int | None] = app.start  # its stubs say that it never returns
    return start([*command, *options]) or 0


if __name__ == "__main__":
    sys.exit(main())
