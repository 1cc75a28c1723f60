"""Threads that kill what runs and see to it that it runs again."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle

import psycopg

from tests.faults.history import clock
from tests.faults.plan import LEASE_SECONDS, Plan
from tests.faults.system import System, frozen
from tests.refusing_redis import REFUSALS, refusing_writes

FREEZE_SECONDS = (1.0, 2.5 * LEASE_SECONDS)
"""How long a worker is held up: often longer than its leases, which others then take over before it goes on."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something was away from ``began`` to ``ended``, seconds since 1970."""

    target: str
    kind: str
    began: float
    ended: float

    def __str__(self) -> str:
        return f"{clock(self.began)} {self.target}: {self.kind}, back at {clock(self.ended)}"


@dataclass
class FaultLog:
    faults: list[Fault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    """What went wrong with ending or starting something, as a worker that did not exit with 0."""
    stop_seconds: list[float] = field(default_factory=list)
    """How long workers took to end after SIGTERM."""

    def note(self, target: str, kind: str, began: float) -> None:
        self.faults.append(Fault(target, kind, began, time.time()))

    @property
    def counts(self) -> Counter[str]:
        return Counter(f"{fault.target.split('-')[0]} {fault.kind}" for fault in self.faults)

    def of(self, target: str) -> list[Fault]:
        return [fault for fault in self.faults if fault.target == target]


class Operators:
    """One thread for each thing that is killed."""

    def __init__(self, system: System, sizes: Plan, seed: int, log: FaultLog) -> None:
        self._system, self._sizes, self._log = system, sizes, log
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self._worker_faults = ["SIGKILL"] * sizes.worker_sigkills + ["SIGTERM"] * sizes.worker_sigterms
        self._worker_faults += ["SIGSTOP"] * sizes.worker_freezes
        self._dice.shuffle(self._worker_faults)
        self._errors: list[BaseException] = []
        parts: list[tuple[Callable[..., None], tuple[object, ...]]] = [
            (self._kill_worker, (name,)) for name in system.worker_names
        ]
        parts += [
            (self._spread, (self._fault_redis, self._redis_faults())),
            (self._spread, (self._restart_postgres, self._postgres_faults())),
            (self._spread, (self._change_a_type, [(301 + number,) for number in range(sizes.type_changes)])),
            (self._spread, (self._kill_web, [("worker SIGKILL",), ("SIGKILL",)] * (sizes.web_sigkills // 2))),
            (self._spread, (self._kill_beat, [("SIGKILL", self._random(0, 3)) for _ in range(sizes.beat_sigkills)])),
        ]
        self._threads = [
            threading.Thread(target=self._guard, args=(part, *arguments), daemon=True) for part, arguments in parts
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def join(self, seconds: float) -> None:
        """Wait until every fault has been. Raises what an operator raised."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            assert self._errors or not thread.is_alive(), "the faults take too long"
        for error in self._errors:
            raise error

    def _guard(self, part: Callable[..., None], *arguments: object) -> None:
        try:
            part(*arguments)
        except BaseException as error:
            self._errors.append(error)
            raise

    def _random(self, low: float, high: float) -> float:
        with self._lock:
            return self._dice.uniform(low, high)

    def _spread(self, fault: Callable[..., None], faults: Sequence[tuple[object, ...]]) -> None:
        for each in faults:
            time.sleep(self._sizes.seconds / len(faults) * self._random(0.5, 1.1))
            fault(*each)

    def _redis_faults(self) -> list[tuple[str, float]]:
        faults = [("SIGKILL", seconds) for seconds in self._sizes.redis_outages]
        faults += [("SIGSTOP", self._random(2, 5)) for _ in range(self._sizes.redis_freezes)]
        faults += [(kind, seconds) for kind in REFUSALS for seconds in self._sizes.redis_refusals]
        self._dice.shuffle(faults)
        return faults

    def _postgres_faults(self) -> list[tuple[str, float]]:
        return list(zip(cycle(["SIGQUIT", "SIGINT"]), self._sizes.postgres_outages, strict=False))

    # --- Faults ---

    def _kill_worker(self, name: str) -> None:
        while True:
            with self._lock:
                if not self._worker_faults:
                    return
                kind = self._worker_faults.pop()
            if self._random(0, 1) < 0.9 or kind == "SIGTERM":
                self._system.wait_until_ready(name)
            time.sleep(self._random(0.2, 6))
            began = time.time()
            if not self._system.process(name).is_running:
                output = self._system.process(name).output
                self._log.problems.append(f"{name} ended by itself before {clock(began)}:\n{output}")
            elif kind == "SIGSTOP":
                with frozen(self._system.process(name).pid):
                    time.sleep(self._random(*FREEZE_SECONDS))
                self._log.note(name, kind, began)
                continue
            elif kind == "SIGKILL":
                self._system.kill(name)
            else:
                status = self._system.stop(name)
                self._log.stop_seconds.append(time.time() - began)
                if status != 0:
                    output = self._system.process(name).output
                    self._log.problems.append(f"{name}, told to stop at {clock(began)}, ended with {status}:\n{output}")
            self._system.start(name)
            self._log.note(name, kind, began)

    def _fault_redis(self, kind: str, seconds: float) -> None:
        system, began = self._system, time.time()
        if kind == "SIGSTOP":
            with frozen(system.engine_pid(system.redis)):
                time.sleep(seconds)
        elif kind in REFUSALS:
            with refusing_writes(system.redis, kind):
                time.sleep(seconds)
        else:
            system.restart_engine(system.redis, signal.SIGKILL, away=seconds)
        self._log.note("redis", kind, began)

    def _restart_postgres(self, kind: str, seconds: float) -> None:
        began = time.time()
        self._system.restart_engine(self._system.postgres, signal.Signals[kind], away=seconds)
        self._log.note("postgres", kind, began)

    def _change_a_type(self, length: int) -> None:
        """As a migration does; a transaction that runs what was prepared before is asked to come again."""
        began = time.time()
        while True:
            try:
                with self._system.connect() as connection:
                    connection.execute("SET lock_timeout = '2s'")
                    connection.execute(f"ALTER TABLE ai_tasks_aitask ALTER message TYPE varchar({length})")
            except psycopg.OperationalError:  # PostgreSQL is away at the moment, or the table is locked
                time.sleep(0.2)
            else:
                break
        self._log.note("postgres", "ALTER TABLE", began)

    def _kill_web(self, kind: str) -> None:
        began = time.time()
        if kind == "SIGKILL":
            self._system.kill("web")
            self._system.start("web")
        else:
            self._system.kill_one_child("web")
            time.sleep(1)  # gunicorn starts another one
        self._system.wait_until_ready("web")
        self._log.note("web", kind, began)

    def _kill_beat(self, kind: str, seconds: float) -> None:
        began = time.time()
        self._system.kill("beat")
        time.sleep(seconds)
        self._system.start("beat")
        self._log.note("beat", kind, began)
