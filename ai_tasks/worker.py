"""A worker process: runs attempts, with one thread that renews their leases and one that publishes their text.

AI calls are mostly waiting, so a worker runs many of them in threads. Threads cannot be killed. Instead there are a
deadline, a lease and a fence, and every attempt checks between two chunks of its answer whether it may continue.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from enum import StrEnum
from uuid import UUID

from django.conf import settings
from django.db import DataError, Error, IntegrityError, InterfaceError, OperationalError, connection

from ai_tasks import ledger, outages
from ai_tasks.answering import AIRequest, Answer, Asked, ProvidersOut, run
from ai_tasks.ledger import STARTING, Attempt, FenceLost, Step
from ai_tasks.models import MESSAGE_MAX_LENGTH
from ai_tasks.progress import Delta, Event, Progress, Restart, report
from ai_tasks.providers.errors import ProviderError, ProviderUnavailable, UnusableAnswer
from utils.database.failures import is_lasting
from utils.monitoring.context import log_fields
from utils.postgresql.base import is_outdated_plan
from utils.redis.client import RedisUnavailable

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 1.0
"""How often leases are renewed. That also detects cancels, which are confirmed within 2 s and the next chunk."""
PROGRESS_SECONDS = 0.5
"""How often progress is recorded, in one statement for all attempts that made some."""
DELTA_SECONDS = 0.1
"""How often text is published, batched for all attempts, so that the cost does not grow with their number."""
RECORD_RETRY_SECONDS = 1.0


class StopReason(StrEnum):
    CANCELLED = "cancelled"
    FENCE_LOST = "fence_lost"
    SHUTDOWN = "shutdown"
    DEADLINE = "deadline"


class Stopped(BaseException):
    """Stops a call. Not an ``Exception``, so that no provider's error handling catches it."""

    def __init__(self, reason: StopReason) -> None:
        self.reason = reason
        super().__init__(reason)


class CannotRecord(Exception):
    """PostgreSQL rejects the answer permanently, so running the task again does not help."""


class RunningAttempt:
    """The observer of one call: reports its progress and stops it on request."""

    def __init__(self, attempt: Attempt, has_text: threading.Event) -> None:
        self.attempt = attempt
        self.deadline = time.monotonic() + settings.AI_TIMEOUT_SECONDS
        self.stop_reason: StopReason | None = None
        self.asked: Asked | None = None
        self.step = STARTING
        self.recorded_step = self.step
        self.publishing = threading.Lock()
        """Held from taking text until it is published, so that text is published in order."""
        self._has_text = has_text
        self._text: deque[str] = deque()
        self._characters_taken = 0

    @property
    def key(self) -> tuple[UUID, int]:
        return self.attempt.task_id, self.attempt.number

    def progress(self, percent: int, message: str, text: str = "") -> None:
        self.check()
        message = message[:MESSAGE_MAX_LENGTH]  # it may contain a title of that length
        if percent >= self.step.percent:
            self.step = Step(percent, message)
        with self.publishing:
            _publish([*self.take_text(), Progress(*self._identity, percent, message)])
        if text:
            self.delta(text)

    def delta(self, text: str) -> None:
        self._text.append(text)
        self._has_text.set()

    def restart(self) -> None:
        with self.publishing:
            self._text.clear()
            if self._characters_taken:  # else none of it was published
                self._characters_taken = 0
                _publish([Restart(*self._identity)])

    def check(self) -> None:
        if self.stop_reason is not None:
            raise Stopped(self.stop_reason)
        if time.monotonic() > self.deadline:
            raise Stopped(StopReason.DEADLINE)

    def publish_text(self) -> None:
        """Publish the text that was written since the last publication."""
        with self.publishing:
            _publish(self.take_text())

    def take_text(self) -> list[Event]:
        """The text since the last call, as at most one delta. The caller holds ``publishing``."""
        pieces = []
        while self._text:  # the call's thread appends meanwhile
            pieces.append(self._text.popleft())
        if not pieces:
            return []
        text = "".join(pieces)
        offset, self._characters_taken = self._characters_taken, self._characters_taken + len(text)
        return [Delta(*self._identity, offset, text)]

    @property
    def _identity(self) -> tuple[UUID, int, int]:
        return self.attempt.task_id, self.attempt.user_id, self.attempt.number


def _publish(events: list[Event]) -> None:
    with suppress(RedisUnavailable):  # the row has the progress, and in the end the whole answer
        report(events)


def _repeat(step: Callable[[], None]) -> None:
    """Call ``step`` forever. Errors are logged and do not end the thread, which all attempts of the process need."""
    while True:
        try:
            step()
        except Exception:
            logger.exception("A step of the thread %s failed", threading.current_thread().name)


class Worker:
    """The attempts of this process, and the threads that renew their leases and publish their text."""

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
        """Claim a task and run it. A task that cannot be claimed is ignored."""
        try:
            attempt = ledger.claim(task_id)
        except OperationalError as error:
            if not is_outdated_plan(error):
                raise
            attempt = ledger.claim(task_id)  # nothing was changed; else the task waits a minute for the sweep
        if attempt is None:
            return
        running = RunningAttempt(attempt, self._has_text)
        with self._lock:
            self._running[running.key] = running
            self._ensure_thread("lease-heartbeat", self._beat)
            self._ensure_thread("text-publisher", self._publish_texts)
        try:
            with log_fields(task_id=str(task_id), attempt=attempt.number, user_id=attempt.user_id):
                self._carry_out(running)
        except FenceLost:
            logger.info("Attempt %d of task %s has lost its fence", attempt.number, task_id)
        finally:
            with self._lock:
                del self._running[running.key]
            connection.close()

    def stop_soon(self, grace_seconds: float) -> None:
        """Claim no more tasks; after the grace time, counted from the first call, release those still running."""
        if self._release_at is None:
            self._release_at = time.monotonic() + grace_seconds

    def _carry_out(self, running: RunningAttempt) -> None:
        attempt = running.attempt
        connection.close()  # back to the pool, as a call takes seconds
        answer = None
        try:
            running.progress(1, "Asking the AI")
            request = AIRequest(attempt.user_id, attempt.request_type, attempt.request_data, attempt.topic_id)
            answer = run(request, running)
            running.publish_text()
            self._record_answer(attempt, answer)
            if running.asked and running.asked.was_failing:
                outages.record_success(running.asked.name, was_probe=running.asked.is_probe)
        except ProvidersOut as error:
            self._record(ledger.wait_for_outage, attempt, code=error.code, detail=error.detail, usage=error.usage)
        except ProviderUnavailable as error:
            code, detail, usage = error.code, error.detail, error.usage
            after = error.retry_after
            self._record(ledger.wait_for_provider, attempt, code=code, detail=detail, usage=usage, retry_after=after)
        except UnusableAnswer as error:
            running.publish_text()
            code, detail, usage = error.code, error.detail, error.usage
            self._record(ledger.fail, attempt, code=code, detail=detail, usage=usage, result=error.result)
        except ProviderError as error:
            self._record(ledger.fail, attempt, code=error.code, detail=error.detail, usage=error.usage)
        except Stopped as stopped:
            self._stop(running, stopped.reason)
        except (FenceLost, OperationalError, InterfaceError):
            raise  # another worker has the task, or the database is unavailable: the sweep requeues it after its lease
        except Exception:
            # Whatever error a handler or a provider caused, the task must end and its user must be notified.
            logger.exception("Task %s failed unexpectedly", attempt.task_id)
            detail = "Something went wrong on our side."
            self._record(ledger.fail, attempt, code="internal_error", detail=detail, usage=answer, was_free=False)

    def _stop(self, running: RunningAttempt, reason: StopReason) -> None:
        attempt = running.attempt
        match reason:
            case StopReason.CANCELLED:
                ledger.stop_cancelled(attempt)
            case StopReason.SHUTDOWN:
                ledger.release([attempt])
            case StopReason.DEADLINE:
                self._postpone_timed_out(running)
            case StopReason.FENCE_LOST:
                raise FenceLost

    def _record_answer(self, attempt: Attempt, answer: Answer) -> None:
        """Record an answer and write it to its topic; if only the topic cannot be written, keep the answer."""
        try:
            self._record(ledger.succeed, attempt, answer)
        except FenceLost:
            raise
        except Exception:
            logger.exception("The answer of task %s was not recorded: trying without its topic", attempt.task_id)
            connection.close()
            self._record(ledger.succeed, attempt, answer, may_apply=False)

    @staticmethod
    def _postpone_timed_out(running: RunningAttempt) -> None:
        attempt, asked = running.attempt, running.asked
        error = ProviderUnavailable("provider_timeout", "The AI provider took too long.")
        is_out = False
        if asked:
            standing = outages.record_failure(asked.name, attempt.task_id, error, was_probe=asked.is_probe)
            is_out = standing != "well"
        if is_out:
            ledger.wait_for_outage(attempt, code=error.code, detail=error.detail, was_free=False)
        else:
            ledger.wait_for_provider(attempt, code=error.code, detail=error.detail, retry_after=None, was_free=False)

    def _record(self, record: Callable[..., object], *arguments: object, **options: object) -> None:
        """Call ``record``; retry while the lease may be valid, as the answer was paid for.

        Every database error may be temporary, for example while a table is altered, except errors about the data.
        """
        until = time.monotonic() + settings.AI_LEASE_SECONDS
        while True:
            try:
                record(*arguments, **options)
            except (DataError, IntegrityError):
                raise
            except Error as error:
                connection.close()
                if is_lasting(error):
                    raise CannotRecord from error
                if time.monotonic() > until:
                    raise
                time.sleep(RECORD_RETRY_SECONDS)
            else:
                return

    def _ensure_thread(self, name: str, step: Callable[[], None]) -> None:
        thread = self._threads.get(name)
        if thread is None or not thread.is_alive():
            self._threads[name] = threading.Thread(target=_repeat, args=(step,), name=name, daemon=True)
            self._threads[name].start()

    def _publish_texts(self) -> None:
        self._has_text.wait()
        time.sleep(DELTA_SECONDS)
        self._has_text.clear()
        with self._lock:
            attempts = list(self._running.values())
        with ExitStack() as held:
            events: list[Event] = []
            for running in attempts:
                if running.publishing.acquire(blocking=False):  # otherwise its own thread is publishing
                    held.callback(running.publishing.release)
                    events += running.take_text()
            _publish(events)

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
