"""gunicorn's master, the worker and beat are killed, in every combination, and started again at once.

Their children are not killed with them, as an out-of-memory killer does not: they have to notice, and leave.
"""

import json
import time
from dataclasses import replace
from itertools import combinations

import psutil
import pytest

from tests.faults.clients import Account, Api, register
from tests.faults.plan import RECOVERY_SECONDS, SHORT
from tests.faults.system import START_SECONDS, System, running_system
from tests.processes import wait_until

PARENTS = ("web", "worker-0", "beat")
COMBINATIONS = [set(names) for size in (1, 2, 3) for names in combinations(PARENTS, size)]
LEAVE_SECONDS = 90
"""For a consumer: its grace time, and 8 s to leave the broker; for gunicorn's: the requests that it has."""
TASKS = 6


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_parents_leave_no_process_and_lose_no_task():
    with running_system(replace(SHORT, workers=1), seed=1) as system:
        system.script_provider(json.dumps({"default": "slow"}).encode())
        account = register(system.port, 0)
        for name in ("worker-0", "beat"):
            system.start_and_wait(name)
        tasks: list[str] = []
        for killed in COMBINATIONS:
            tasks += [submit(system, account, f"{sorted(killed)} {number}") for number in range(TASKS)]
            orphans = [child for name in killed for child in children(system, name)]
            assert len(orphans) >= (2 if "web" in killed else 0) + ("worker-0" in killed), killed

            for name in killed:
                system.kill_alone(name)
            for name in killed:
                system.start_and_wait(name)
            if "web" in killed:
                wait_until(lambda: has_the_port(system), START_SECONDS, lambda: system.output_of("web"))

            tasks.append(submit(system, account, f"{sorted(killed)} after it"))
            _, left = psutil.wait_procs(orphans, timeout=LEAVE_SECONDS)
            assert not left, killed
            for name in PARENTS:
                assert system.process(name).is_running, system.process(name).output
        wait_until(
            lambda: ended(system) >= set(tasks), RECOVERY_SECONDS + SHORT.slack, lambda: system.output_of("worker-0")
        )
        with system.connect() as connection:
            held = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            wait_until(lambda: connection.execute(held).fetchone() == (0,))  # those of the living end at once
            failed = "SELECT error_code FROM ai_tasks_aitask WHERE status <> 'succeeded'"
            assert {code for (code,) in connection.execute(failed)} <= {"worker_lost"}


def submit(system: System, account: Account, content: str) -> str:
    """A web server that was just killed may leave a request unanswered: a client sends it again."""
    body = {"request_type": "summarize", "request_data": {"content": f"{content}: a loop repeats. " * 5}}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        api = Api(system.port, account.access)
        code, document, _ = api.send("POST", "/api/ai/tasks/", body)
        api.close()
        if code in (200, 202):
            return document["task_id"] if "task_id" in document else document["id"]
        time.sleep(0.2)
    raise AssertionError(f"no answer to {content!r}")


def has_the_port(system: System) -> bool:
    """Whether the new server serves, and not orphans of the one before, who answer too as long as they are there.

    gunicorn gives up when its port is not free within 5 s. A supervisor starts it again, as is done here.
    """
    if not system.process("web").is_running:
        system.start("web")
        return False
    return len(children(system, "web")) >= 2


def ended(system: System) -> set[str]:
    with system.connect() as connection:
        rows = connection.execute("SELECT id FROM ai_tasks_aitask WHERE status IN ('succeeded', 'failed')")
        return {str(task_id) for (task_id,) in rows}


def children(system: System, name: str) -> list[psutil.Process]:
    return psutil.Process(system.process(name).pid).children(recursive=True)
