"""What clients were told, in the order in which they were told it, and which order is possible."""

import threading
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

TERMINAL = frozenset({"succeeded", "failed", "cancelled"})

MAY_FOLLOW = {
    "queued": {"running", "cancelled"},
    "running": {"running", "queued", "waiting_provider", "cancelling", "succeeded", "failed"},
    "waiting_provider": {"running", "cancelled", "failed"},
    "cancelling": {"cancelled"},
    "succeeded": set(),
    "failed": set(),
    "cancelled": set(),
}
"""The transitions that the ledger promises, said once more so that a change there is noticed here."""

# What may be seen later within one attempt: a claim, which leads from queued to running, begins another one.
_LATER_IN_ATTEMPT = {
    "queued": {"queued", "cancelled"},
    "running": {"running", "queued", "waiting_provider", "cancelling", "succeeded", "failed", "cancelled"},
    "waiting_provider": {"waiting_provider", "cancelled", "failed"},
    "cancelling": {"cancelling", "cancelled"},
    **{status: {status} for status in TERMINAL},
}
_MAY_BE_CLAIMED = {"queued", "running", "waiting_provider"}


@dataclass(frozen=True, slots=True)
class Answer:
    """One request and what came back; ``code`` 0: the connection broke. Times are seconds since 1970."""

    connected: float
    """When its connection was last known to stand: when it last gave an answer, or was made."""
    began: float
    ended: float
    client: int
    action: str
    code: int
    task_id: str = ""
    status: str = ""
    attempt: int = 0
    progress: int = 0
    replayed: bool = False
    text: str = ""

    @property
    def tells_state(self) -> bool:
        """A replayed answer tells what was true when the first request was answered."""
        return bool(self.status) and not self.replayed

    def __str__(self) -> str:
        told = f"{self.status} attempt {self.attempt} at {self.progress} %" if self.status else self.text[:200]
        return (
            f"{clock(self.began)} +{self.ended - self.began:.3f} s client {self.client:2d} {self.action}"
            f"{' (replayed)' if self.replayed else ''}: {self.code or 'no answer'} {told}"
        )


@dataclass
class History:
    """Everything that happened, appended to by many threads."""

    answers: list[Answer] = field(default_factory=list)
    accepted: dict[str, Answer] = field(default_factory=dict)
    """The first 202 or 200 of each task."""
    keyed: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    """The tasks that answers to each (context, idempotency key) named: one, if all is well."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, answer: Answer) -> None:
        with self.lock:
            self.answers.append(answer)
            if answer.task_id and answer.action.startswith(("submit", "retry")) and answer.code in (200, 202):
                self.accepted.setdefault(answer.task_id, answer)

    def by_task(self) -> dict[str, list[Answer]]:
        found: dict[str, list[Answer]] = defaultdict(list)
        for answer in sorted(self.answers, key=lambda answer: answer.began):
            if answer.task_id:
                found[answer.task_id].append(answer)
        return found


def regressions(answers: Iterable[Answer]) -> list[tuple[Answer, Answer]]:
    """Pairs of answers about one task of which the later cannot be true if the earlier was.

    Answers whose requests overlapped may have been given in either order, so only those are compared of which one had
    ended before the other began.
    """
    told = [answer for answer in answers if answer.tells_state]
    return [
        (earlier, later)
        for later in told
        for earlier in told
        if earlier.ended < later.began and not _may_come_after(earlier, later)
    ]


def _may_come_after(earlier: Answer, later: Answer) -> bool:
    if earlier.attempt == later.attempt:
        return later.status in _LATER_IN_ATTEMPT[earlier.status] and later.progress >= earlier.progress
    return later.attempt > earlier.attempt and earlier.status in _MAY_BE_CLAIMED


def clock(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, tz=UTC):%H:%M:%S.%f}"[:-3]
