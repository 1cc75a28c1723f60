"""The ledger of AI tasks: the only code that changes a task's state.

Every transition is one conditional UPDATE; its row count shows whether it took place. In the order of a task's life:
``requests`` checks a request, ``submission`` makes it a task, ``attempts`` and ``waiting`` have the functions for
workers, ``applying`` writes answers to topics, ``announcing`` logs transitions and notifies users. ``cancelling`` is
for users, ``sweeping`` repairs, ``transitions`` has the table of states.
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
from ai_tasks.ledger.cancelling import TaskFinished, cancel
from ai_tasks.ledger.requests import UnknownRequestType
from ai_tasks.ledger.submission import (
    AILimitReached,
    Submission,
    TaskUnfinished,
    accept,
    requests_left,
    retry,
    submit,
)
from ai_tasks.ledger.sweeping import purge_finished, sweep
from ai_tasks.ledger.transitions import TRANSITIONS
from ai_tasks.ledger.waiting import release, wait_for_outage, wait_for_provider, wake
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
