"""Exports metrics: to Prometheus at ``METRICS_PORT``, and to the view of ``/metrics``.

The processes of one kind share a directory. The one that holds its lock listens for all; when it ends, another takes
over. The metrics of ended processes are summed in one file: Prometheus takes a counter that falls for a restart, and
would count everything again.
"""

import fcntl
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

from django.conf import settings
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.exposition import generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from utils.monitoring import boot, metrics

logger = logging.getLogger(__name__)

ProcessKind = Literal["web", "worker", "beat", "events"]
UNDER_HONCHO: dict[str, int] = {"web": 0, "worker": 1, "beat": 2, "events": 3}
"""The offset from ``METRICS_PORT`` of each kind, as honcho runs all kinds on one machine."""
SAMPLE_SECONDS = 5.0
SITE_SECONDS = 5.0
"""How long the site's metrics, which are read from PostgreSQL and Redis, are cached."""

_FILE = re.compile(r"(counter|histogram|gauge_livesum)_([0-9]+)\.db")


class _Processes(Collector):
    """The metrics of all processes of this kind."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        with _locked(self._directory):
            add_up_ended(self._directory)
            return list(MultiProcessCollector(None, str(self._directory)).collect())


class _Site(Collector):
    """The site's metrics, read from PostgreSQL and Redis at most once in ``SITE_SECONDS``."""

    def __init__(self) -> None:
        self.readers: list[Callable[[], Iterable[Metric]]] = []
        self._lock = threading.Lock()
        self._read: list[Metric] = []
        self._read_at = float("-inf")

    def collect(self) -> Iterable[Metric]:
        with self._lock:
            if time.monotonic() - self._read_at >= SITE_SECONDS:
                self._read = [metric for read in self.readers for metric in read()]
                self._read_at = time.monotonic()
            return self._read

    def forget(self) -> None:
        self._read_at = float("-inf")


site = _Site()
samplers: list[Callable[[], None]] = []
"""Called every few seconds: they set gauges of this process."""


def document(*, with_site: bool) -> bytes:
    """The metrics in Prometheus's text format."""
    return generate_latest(_registry(with_site=with_site))


def _registry(*, with_site: bool) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    if boot.DIRECTORY_VARIABLE in os.environ:
        registry.register(_Processes(Path(os.environ[boot.DIRECTORY_VARIABLE])))
    if with_site:
        registry.register(site)
    return registry


def add_up_ended(directory: Path) -> None:
    """Add the metrics of ended processes to one file, and delete their own files. The caller holds the lock."""
    for path in directory.glob("*.db"):
        found = _FILE.fullmatch(path.name)
        if found is None or boot.is_alive(int(found[2])):
            continue
        if found[1] != "gauge_livesum":
            ended = MmapedDict(str(directory / f"{found[1]}_ended.db"))
            for key, value, _, _ in MmapedDict.read_all_values_from_file(str(path)):
                ended.write_value(key, ended.read_value(key)[0] + value, 0.0)
            ended.close()
        path.unlink()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    with (directory / "read.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


class _Exporter:
    """A thread that samples gauges, and listens unless another process of this kind does."""

    def __init__(self) -> None:
        self._pid = 0
        self._listening: IO[str] | None = None

    def start(self, kind: ProcessKind) -> None:
        """Start the thread, once in each process. Does nothing without ``METRICS_PORT`` and ``METRICS_TOKEN``."""
        if not metrics.IS_ON or self._pid == os.getpid():
            return
        self._pid = os.getpid()
        metrics.processes.set(1)
        threading.Thread(target=self._run, args=(kind,), name="metrics", daemon=True).start()

    def _run(self, kind: ProcessKind) -> None:
        while True:
            try:
                for sample in samplers:
                    sample()
                if settings.METRICS_PORT and self._listening is None:
                    self._listening = self._listen(kind)
            except Exception:
                logger.exception("Metrics could not be sampled")
            time.sleep(SAMPLE_SECONDS)

    def _listen(self, kind: ProcessKind) -> IO[str] | None:
        """Listen if no other process of this kind does; the lock is held as long as the file is open."""
        file = Path(os.environ[boot.DIRECTORY_VARIABLE], "listener.lock").open("a")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        port = port_of(kind)
        try:
            start_http_server(
                port, "0.0.0.0" if settings.IS_PRODUCTION else "127.0.0.1", _registry(with_site=kind == "web")
            )
        except OSError as error:
            file.close()
            logger.error("METRICS_PORT %d cannot be used by %s: %s", port, kind, error)
            return None
        logger.info("Metrics of %s at port %d", kind, port)
        return file


def port_of(kind: ProcessKind) -> int:
    """``METRICS_PORT``, plus the kind's offset under honcho."""
    return settings.METRICS_PORT + (UNDER_HONCHO[kind] if "HONCHO_PROCESS_NAME" in os.environ else 0)


exporter = _Exporter()
