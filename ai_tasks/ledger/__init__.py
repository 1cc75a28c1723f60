"""The ledger of AI tasks: the only code that changes a task's state.

Every transition is one conditional UPDATE whose row count tells who won. ``transitions`` has the table of states,
``submission`` accepts requests, ``attempts`` is what workers call, ``control`` what users call, ``sweeping`` repairs.
"""

from ai_tasks.ledger.attempts import (
    STARTING,
    Attempt,
    FenceLost,
    Step,
    claim,
    fail,
    heartbeat,
    release,
    stop_cancelled,
    succeed,
    wait_for_provider,
)
from ai_tasks.ledger.control import TaskFinished, TaskUnfinished, cancel, retry
from ai_tasks.ledger.submission import AILimitReached, Submission, UnknownRequestType, accept, requests_left, submit
from ai_tasks.ledger.sweeping import purge_finished, sweep
from ai_tasks.ledger.transitions import TRANSITIONS

__all__ = [
    "STARTING",
    "TRANSITIONS",
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
    "wait_for_provider",
]
