"""A worker process at work: claimed attempts, a thread that renews their leases and one that tells what they write, and
an orderly end.

AI calls wait, so a worker runs many of them in threads. Threads cannot be killed; deadline, lease and fence take the
place of hard limits, and every attempt looks up between two chunks of its answer whether it may go on.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from ai_tasks import ledger
from ai_tasks.ledger import STARTING, Attempt, FenceLost, Step
from ai_tasks.models import MESSAGE_MAX_LENGTH
from ai_tasks.progress import Delta, report_deltas, report_progress
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable
from ai_tasks.runner import Answer, Job, run
from utils.redis import RedisUnavailable

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
"""Leases are renewed this often. A cancel is heard so, too, and is to be confirmed within 2 s of the next chunk."""
PROGRESS_SECONDS = 0.5
"""How far attempts are is recorded this often, for all that got further in one statement."""
DELTA_SECONDS = 0.1
"""Text is told this often, that of all attempts together: so the cost does not grow with each."""
RECORD_RETRY_SECONDS = 1.0


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    FENCE_LOST = "fence_lost"
    SHUTDOWN = "shutdown"
    DEADLINE = "deadline"


class Stopped(BaseException):
    """Ends a call from within. No ``Exception``, so that no provider's error handling takes it for one of its own."""

    def __init__(self, reason: StopReason) -> None:
        self.reason = reason
        super().__init__(reason)


class RunningAttempt:
    """The observer of one call: carries its progress out and the order to stop in."""

    def __init__(self, attempt: Attempt, has_text: threading.Event) -> None:
        self.attempt = attempt
        self.deadline = time.monotonic() + settings.AI_TIMEOUT_SECONDS
        self.stop_reason: StopReason | None = None
        self.step = STARTING
        self.recorded_step = self.step
        self.telling = threading.Lock()
        """Held from taking text until it was told, so that it is told in its order."""
        self._has_text = has_text
        self._text: deque[str] = deque()
        self._characters_taken = 0

    @property
    def key(self) -> tuple[UUID, int]:
        return self.attempt.task_id, self.attempt.number

    def progress(self, percent: int, message: str) -> None:
        self.tell_text()
        message = message[:MESSAGE_MAX_LENGTH]  # it may quote a title that is as long by itself
        if percent >= self.step.percent:
            self.step = Step(percent, message)
        try:
            report_progress(
                self.attempt.task_id,
                user_id=self.attempt.user_id,
                attempt=self.attempt.number,
                percent=percent,
                message=message,
            )
        except RedisUnavailable:
            return  # who polls learns it from the row

    def delta(self, text: str) -> None:
        self._text.append(text)
        self._has_text.set()

    def check(self) -> None:
        if self.stop_reason is not None:
            raise Stopped(self.stop_reason)
        if time.monotonic() > self.deadline:
            raise Stopped(StopReason.DEADLINE)

    def tell_text(self) -> None:
        """Tell watchers what was written since they were told last."""
        with self.telling:
            _tell(self.take_text())

    def take_text(self) -> list[Delta]:
        """What was written since text was taken last: at most one piece. For who holds ``telling``."""
        pieces = []
        while self._text:  # the call goes on writing meanwhile
            pieces.append(self._text.popleft())
        if not pieces:
            return []
        text = "".join(pieces)
        offset, self._characters_taken = self._characters_taken, self._characters_taken + len(text)
        return [Delta(self.attempt.task_id, self.attempt.user_id, self.attempt.number, offset, text)]


def _tell(deltas: list[Delta]) -> None:
    if not deltas:
        return
    try:
        report_deltas(deltas)
    except RedisUnavailable:
        return  # whoever reads the stream later gets the whole answer from the row


def _repeat(turn: Callable[[], None]) -> None:
    """Take one turn after another, for ever: all attempts of the process depend on it, whatever went wrong with one."""
    while True:
        try:
            turn()
        except Exception:
            logger.exception("A turn of the thread %s failed", threading.current_thread().name)


class Worker:
    """The attempts of this process and the threads that keep their leases and tell what they write."""

    def __init__(self) -> None:
        self._running: dict[tuple[UUID, int], RunningAttempt] = {}
        self._lock = threading.Lock()
        self._has_text = threading.Event()
        self._threads: dict[str, threading.Thread] = {}
        self._release_at: float | None = None
        self._renewed_at = time.monotonic()

    @property
    def is_stopping(self) -> bool:
        return self._release_at is not None

    def execute(self, task_id: UUID) -> None:
        """Claim a task and carry it as far as it will go. A task that is not there to be claimed is nobody's error."""
        attempt = ledger.claim(task_id)
        if attempt is None:
            return
        running = RunningAttempt(attempt, self._has_text)
        with self._lock:
            self._running[running.key] = running
            self._ensure_thread("lease-heartbeat", self._beat)
            self._ensure_thread("text-teller", self._tell_texts)
        try:
            self._carry_out(running)
        except FenceLost:
            logger.info("Attempt %d of task %s was overtaken", attempt.number, task_id)
        finally:
            with self._lock:
                del self._running[running.key]
            connection.close()

    def stop_soon(self, grace_seconds: float) -> None:
        """Claim nothing more; after the grace time give back what is still running."""
        self._release_at = time.monotonic() + grace_seconds

    def _carry_out(self, running: RunningAttempt) -> None:
        attempt = running.attempt
        running.progress(1, "Asking the AI")
        connection.close()  # back to the pool: a call takes seconds, a transaction must not
        answer = None
        try:
            answer = run(Job(attempt.user_id, attempt.request_type, attempt.request_data), running)
            running.tell_text()
            self._record(running, answer)
        except ProviderUnavailable as error:
            ledger.wait_for_provider(
                attempt, code=error.code, detail=error.detail, retry_after=error.retry_after, usage=error.usage
            )
        except ProviderError as error:
            ledger.fail(attempt, code=error.code, detail=error.detail, usage=error.usage)
        except Stopped as stopped:
            self._stop(attempt, stopped.reason)
        except (FenceLost, OperationalError, InterfaceError):
            raise  # the task is another's; or the database is away, and the task is claimed again after its lease
        except Exception:
            # Whatever a handler, a provider or its answer did wrong, the task must end, and its user must hear of it.
            logger.exception("Task %s failed unexpectedly", attempt.task_id)
            ledger.fail(attempt, code="internal_error", detail="Something went wrong on our side.", usage=answer)

    def _stop(self, attempt: Attempt, reason: StopReason) -> None:
        match reason:
            case StopReason.CANCELLED:
                ledger.stop_cancelled(attempt)
            case StopReason.SHUTDOWN:
                ledger.release([attempt])
            case StopReason.DEADLINE:
                detail = "The AI provider took too long."
                ledger.wait_for_provider(attempt, code="provider_timeout", detail=detail, retry_after=None)
            case StopReason.FENCE_LOST:
                raise FenceLost

    def _record(self, running: RunningAttempt, answer: Answer) -> None:
        """Record the answer, trying again while the lease may hold: it was paid for."""
        until = time.monotonic() + settings.AI_LEASE_SECONDS
        while True:
            try:
                ledger.succeed(running.attempt, answer)
            except (OperationalError, InterfaceError):
                connection.close()
                if time.monotonic() > until:
                    raise
                time.sleep(RECORD_RETRY_SECONDS)
            else:
                return

    def _ensure_thread(self, name: str, turn: Callable[[], None]) -> None:
        thread = self._threads.get(name)
        if thread is None or not thread.is_alive():
            self._threads[name] = threading.Thread(target=_repeat, args=(turn,), name=name, daemon=True)
            self._threads[name].start()

    def _tell_texts(self) -> None:
        self._has_text.wait()
        time.sleep(DELTA_SECONDS)
        self._has_text.clear()
        with self._lock:
            attempts = list(self._running.values())
        with ExitStack() as held:
            deltas = []
            for running in attempts:
                if running.telling.acquire(blocking=False):  # else it is telling by itself
                    held.callback(running.telling.release)
                    deltas += running.take_text()
            _tell(deltas)

    def _beat(self) -> None:
        time.sleep(PROGRESS_SECONDS)
        now = time.monotonic()
        with self._lock:
            attempts = list(self._running.values())
        if self._release_at is not None and now > self._release_at:
            for running in attempts:
                running.stop_reason = StopReason.SHUTDOWN
        is_due = now - self._renewed_at >= HEARTBEAT_SECONDS
        renewed = [
            running
            for running in attempts
            if now <= running.deadline and (is_due or running.step != running.recorded_step)
        ]
        if is_due:
            self._renewed_at = now
        if renewed:
            self._renew(renewed)

    def _renew(self, attempts: list[RunningAttempt]) -> None:
        steps = {running.key: running.step for running in attempts}
        try:
            statuses = ledger.heartbeat(steps)
        except (OperationalError, InterfaceError) as error:
            logger.warning("Leases could not be renewed: %s", error)
            return
        finally:
            connection.close()
        for running in attempts:
            running.recorded_step = steps[running.key]
            status = statuses.get(running.key)
            if status is None:
                running.stop_reason = StopReason.FENCE_LOST
            elif status == "cancelling":
                running.stop_reason = StopReason.CANCELLED


worker = Worker()
