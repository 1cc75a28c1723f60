"""One run: a control without the sweeper, the faults, the recovery, and the checks."""

import json
import logging
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.faults import plan
from tests.faults.checks import WATCH_TRANSITIONS, Checker, Findings
from tests.faults.clients import Account, Api, Client, register
from tests.faults.history import History
from tests.faults.operators import FaultLog, Operators
from tests.faults.plan import Plan
from tests.faults.system import System, frozen, running_system

logger = logging.getLogger("faults")

QUEUES = ("ai", "celery")
BACKLOG_SECONDS = 2.5 * plan.REPUBLISH_SECONDS
"""Long enough for messages to be sent twice again, if they were."""
UNPUSHED = "SELECT count(*) FROM notifications_notification WHERE notified_at IS NULL"
UNFINISHED = "SELECT count(*) FROM ai_tasks_aitask WHERE status NOT IN ('succeeded', 'failed', 'cancelled')"
LOST = "SELECT count(*) FROM ai_tasks_aitask WHERE status = 'queued' OR status = 'running' AND lease_expires_at < now()"
"""Once nobody will work: what a message should have brought to a worker, and what a worker should have ended. Not what
the provider put off: that waits for the sweep without any fault."""

LAST_END = (
    "SELECT coalesce(max(extract(epoch FROM finished_at - greatest(created_at, to_timestamp(%s)))), 0)::float"
    " FROM ai_tasks_aitask WHERE finished_at > to_timestamp(%s)"
)
"""How long the last task took to end, from the moment that is given, or from its acceptance if that came later."""


@dataclass
class Report:
    seed: int
    figures: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def text(self) -> str:
        lines = [f"{name}: {value}" for name, value in {"seed": self.seed, **self.figures}.items()]
        return "\n".join([*lines, f"problems: {len(self.problems)}", *self.problems])


def run(sizes: Plan, seed: int | None = None) -> Report:
    """Carry out a plan. The system's logs are kept if it raises or finds a problem."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    logger.info("seed %d", seed)
    with running_system(sizes, seed) as system:
        logger.info("processes and logs below %s", system.directory)
        report = Run(system, sizes, seed).carry_out()
        system.keep_logs = bool(report.problems)
        return report


class Run:
    def __init__(self, system: System, sizes: Plan, seed: int) -> None:
        self.system, self.sizes, self.seed = system, sizes, seed
        self.report = Report(seed)
        self.history = History()
        self.faults = FaultLog()
        self.accounts: list[Account] = []

    def carry_out(self) -> Report:
        with self.system.connect() as connection:
            connection.execute(WATCH_TRANSITIONS)
        self.accounts = [register(self.system.port, number) for number in range(self.sizes.accounts)]
        self.lose_some_without_the_sweeper()
        self.system.start_and_wait("beat")
        self.suffer()
        if self.sizes.backlog:
            self.lose_redis_with_a_backlog()
        self.check()
        self.stop_in_order()
        self.report.figures["faults"] = dict(sorted(self.faults.counts.items()))
        self.report.figures["slowest end of a worker after SIGTERM"] = f"{max(self.faults.stop_seconds):.1f} s"
        self.report.problems += self.faults.problems
        return self.report

    # --- Control ---

    def lose_some_without_the_sweeper(self) -> None:
        """The faults must really lose messages, or a suite that finds nothing lost would prove nothing."""
        system, count = self.system, self.sizes.control_tasks
        first, second = system.worker_names[:2]
        system.start_and_wait(first)
        clients = self._clients("control", lambda: len(self.history.accepted) < count)
        self._start(clients)
        self._until(lambda: len(self.history.accepted) >= count // 2, 120, "tasks of the control run")
        system.kill(first)
        self._until(lambda: len(self.history.accepted) >= count, 120, "tasks of the control run")
        system.start_and_wait(second)
        system.restart_engine(system.redis, signal.SIGKILL, away=0)
        self._stop(clients)
        self._until(self._nobody_will_work, 120, "the end of all work without a sweeper")
        time.sleep(1)  # who took a message just now has no lease yet
        self._until(self._nobody_will_work, 120, "the end of all work without a sweeper")
        lost = self._count(LOST)
        system.kill(second)
        self.report.figures["control run without a sweeper"] = f"{lost} of {len(self.history.accepted)} tasks lost"
        if not lost:
            self.report.problems.append("The control run without a sweeper lost nothing: the faults prove nothing.")

    def _nobody_will_work(self) -> bool:
        """No message and no lease is left: for what has not ended by now, only the sweeper can do something."""
        with self.system.redis_client() as client:
            if any(client.llen(queue) for queue in QUEUES):
                return False
        with self.system.connect() as connection:
            held = "SELECT count(*) FROM ai_tasks_aitask WHERE lease_expires_at > now()"
            return connection.execute(held).fetchone() == (0,)

    # --- Faults ---

    def suffer(self) -> None:
        """Clients work while everything is killed; afterwards all tasks end in time."""
        began, before = time.monotonic(), len(self.history.accepted)
        for name in self.system.worker_names:
            self.system.start(name)

        def may_submit() -> bool:
            pace = self.sizes.tasks * (time.monotonic() - began) / self.sizes.seconds
            return len(self.history.accepted) - before < min(self.sizes.tasks, pace)

        clients = self._clients("faults", may_submit)
        operators = Operators(self.system, self.sizes, self.seed, self.faults)
        self._start(clients)
        operators.start()
        operators.join(self.sizes.seconds * 4 + 60)
        last = max(fault.ended for fault in self.faults.faults)
        self.system.script_provider(json.dumps({"default": "stream"}).encode())  # its failures are faults, too
        self._until(lambda: len(self.history.accepted) - before >= self.sizes.tasks, 240, "all tasks to be accepted")
        logger.info("the last fault was %.0f s ago; %d tasks accepted", time.time() - last, len(self.history.accepted))
        for client in clients:
            client.watching_only.set()
        allowed = plan.RECOVERY_SECONDS + self.sizes.slack
        if not self._poll(lambda: self._unfinished() == 0, allowed):
            self.report.problems.append(f"{self._unfinished()} tasks have not ended in time.")
        seconds = self._value(LAST_END, last, last)
        self.report.figures["last task ended after the last fault, or its acceptance"] = f"{seconds:.1f} s"
        self.report.figures["allowed"] = f"{allowed:.0f} s"
        if seconds > allowed:
            self.report.problems.append(f"The last task ended {seconds:.1f} s after the last fault or its acceptance.")
        self._poll(lambda: self._count(UNPUSHED) == 0, 3 * plan.SWEEP_SECONDS + self.sizes.slack)
        self._stop(clients)

    def lose_redis_with_a_backlog(self) -> None:
        """An outage with many queued tasks multiplies no messages: there are never more than unfinished tasks."""
        system = self.system
        for name in system.worker_names[1:]:
            system.kill(name)
        system.script_provider(json.dumps({"default": "slow"}).encode())
        before = len(self.history.accepted)
        enough = before + self.sizes.backlog
        clients = self._clients("backlog", lambda: len(self.history.accepted) < enough, think_seconds=(0.0, 0.05))
        self._start(clients)
        self._until(lambda: len(self.history.accepted) >= enough, 240, "the backlog")
        self._stop(clients)
        queued = self._unfinished()
        began = time.time()
        system.restart_engine(system.redis, signal.SIGKILL, away=3)
        self.faults.note("redis", "SIGKILL", began)
        excess, longest, deadline = 0, 0, time.monotonic() + BACKLOG_SECONDS
        while time.monotonic() < deadline:
            unfinished = self._unfinished()
            with system.redis_client() as client:
                messages = int(client.llen("ai"))
            longest, excess = max(longest, messages), max(excess, messages - unfinished)
            time.sleep(0.3)
        if excess > 0:
            self.report.problems.append(f"After the outage {excess} messages more than unfinished tasks were queued.")
        self.report.figures["outage with a backlog"] = (
            f"{queued} unfinished tasks, at most {longest} messages in {BACKLOG_SECONDS} s, "
            f"never more than unfinished tasks: {excess <= 0}"
        )
        system.script_provider(json.dumps({"default": "stream"}).encode())
        for name in system.worker_names[1:]:
            system.start(name)
        if not self._poll(lambda: self._unfinished() == 0, plan.RECOVERY_SECONDS + 60):
            self.report.problems.append(f"{self._unfinished()} tasks of the backlog have not ended.")
        self._poll(lambda: self._count(UNPUSHED) == 0, 3 * plan.SWEEP_SECONDS)

    # --- Afterwards ---

    def check(self) -> None:
        shown = {}
        for number, account in enumerate(self.accounts):
            api = Api(self.system.port, account.access)
            _, answer, _ = api.send("GET", "/api/notifications/pending/")
            api.close()
            shown[f"client{number}@example.com"] = [entry["id"] for entry in answer["results"]]
        with self.system.connect() as connection:
            checker = Checker(connection, self.history, self.faults.faults, self.sizes)
            checker.check_pending(shown)
            findings: Findings = checker.run()
        self.report.figures |= findings.figures
        self.report.problems += findings.problems

    def stop_in_order(self) -> None:
        """SIGTERM to everything; the first worker has to leave without an answer of Redis."""
        first, *others = self.system.worker_names
        with frozen(self.system.engine_pid(self.system.redis)):
            self._stop_process(first)
        for name in (*others, "beat", "web"):
            self._stop_process(name)

    def _stop_process(self, name: str) -> None:
        status = self.system.stop(name)
        if status != 0:
            output = self.system.process(name).output
            self.report.problems.append(f"{name}, told to stop at the end, ended with {status}:\n{output}")

    # --- Helpers ---

    def _clients(
        self, session: str, may_submit: Callable[[], bool], think_seconds: tuple[float, float] = (0.1, 0.6)
    ) -> list[Client]:
        return [
            Client(
                number,
                self.accounts[number % len(self.accounts)],
                port=self.system.port,
                history=self.history,
                seed=self.seed,
                session=session,
                may_submit=may_submit,
                think_seconds=think_seconds,
            )
            for number in range(self.sizes.clients)
        ]

    def _start(self, clients: list[Client]) -> None:
        for client in clients:
            client.start()

    def _stop(self, clients: list[Client]) -> None:
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join(30)
            if client.error is not None:
                raise client.error

    def _unfinished(self) -> int:
        return self._count(UNFINISHED)

    def _count(self, sql: str) -> int:
        return int(self._value(sql))

    def _value(self, sql: str, *parameters: object) -> float:
        with self.system.connect() as connection:
            row = connection.execute(sql, parameters).fetchone()
        return row[0] if row else 0

    def _poll(self, condition: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if condition():
                return True
            time.sleep(0.2)
        return condition()

    def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        assert self._poll(condition, seconds), f"waited {seconds} s for {what}"
