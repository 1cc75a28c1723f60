"""The ledger of AI tasks: the only code that changes a task's state.

Every transition is one conditional UPDATE; its row count shows whether it took place. ``transitions`` has the table of
states, ``submission`` accepts requests, ``attempts`` and ``postponing`` have the functions for workers, ``control``
those for users, ``applying`` writes answers to topics, ``budgets`` counts money, ``waiting`` knows who waits for a
provider that is out, ``announcing`` publishes transitions, ``sweeping`` repairs.
"""

from ai_tasks.ledger.attempts import (
    STARTING,
    Attempt,
    FenceLost,
    Step,
    claim,
    fail,
    heartbeat,
    stop_cancelled,
    succeed,
)
from ai_tasks.ledger.control import TaskFinished, TaskUnfinished, cancel, retry
from ai_tasks.ledger.postponing import release, wait_for_outage, wait_for_provider
from ai_tasks.ledger.submission import AILimitReached, Submission, UnknownRequestType, accept, requests_left, submit
from ai_tasks.ledger.sweeping import purge_finished, sweep
from ai_tasks.ledger.transitions import TRANSITIONS
from ai_tasks.ledger.waiting import wake
from ai_tasks.spending import AIBudgetReached

__all__ = [
    "STARTING",
    "TRANSITIONS",
    "AIBudgetReached",
    "AILimitReached",
    "Attempt",
    "FenceLost",
    "Step",
    "Submission",
    "TaskFinished",
    "TaskUnfinished",
    "UnknownRequestType",
    "accept",
    "cancel",
    "claim",
    "fail",
    "heartbeat",
    "purge_finished",
    "release",
    "requests_left",
    "retry",
    "stop_cancelled",
    "submit",
    "succeed",
    "sweep",
    "wait_for_outage",
    "wait_for_provider",
    "wake",
]
