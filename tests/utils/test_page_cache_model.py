"""Whatever two processes do, in whatever order, and whatever fails: a page that is shown is what was written last.

The machine below takes the steps of readers and writers apart, and lets them happen in any order on two processes of
one Redis. Either process may lose its connection; writers may die between any two steps; time passes. The database is
the variable ``truth``. The one residue that the protocol allows is modelled exactly: a process may show an old page
while another process that could not reach Redis has not told of its write.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count

import hypothesis.strategies as st
import pytest
import redis
import time_machine
from django.conf import settings
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from utils import admission, caching, redis_scripts
from utils.admission import STATE_SECONDS, Page, Subject, admit, state_key
from utils.redis import RedisUnavailable, redis_guard, reset_client

USER = 7
SUBJECT = Subject(USER, session_id=1, token_version=1)
PAGE_TTL = 180


@dataclass
class Process:
    number: int
    is_connected: bool = True
    owed: int = 0
    paid: int = 0
    unmarked: int = 0
    untold: set[int] = field(default_factory=set)
    """Versions that this process committed and nobody may have heard of."""
    waiting: redis_scripts.WaitingCalls = field(default_factory=redis_scripts.WaitingCalls)


@dataclass
class Reader:
    process: Process
    page: Page
    value: int


@dataclass
class Writer:
    process: Process
    mark: str
    is_marked: bool
    began: datetime
    is_committed: bool = False


class TwoProcesses(RuleBasedStateMachine):
    """See the module. Each rule is one step of one process."""

    processes = st.sampled_from([0, 1])

    @initialize()
    def start(self) -> None:
        with redis.Redis.from_url(settings.REDIS_URL) as connection:
            connection.flushdb()
        reset_client()
        self.now = datetime.now(UTC)
        self.clock = time_machine.travel(self.now, tick=False)
        self.clock.start()
        self.truth = 0
        self.versions = count(1)
        self.marks = count(1)
        self.all = [Process(0), Process(1)]
        self.readers: list[Reader] = []
        self.writers: list[Writer] = []

    def teardown(self) -> None:
        self.clock.stop()
        caching.debt.__init__()

    @contextlib.contextmanager
    def inside(self, process: Process):
        """Run a step in a process: with its debt, and with its connection or without."""

        @contextlib.contextmanager
        def guard():
            if not process.is_connected:
                raise RedisUnavailable("no connection")
            with redis_guard() as client:
                client.set(state_key(SUBJECT.session_id), "1:0", ex=STATE_SECONDS)
                yield client

        debt = caching.debt
        debt._owed, debt._paid, debt._unmarked = process.owed, process.paid, process.unmarked
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(caching, "redis_guard", guard)
            patch.setattr(admission, "redis_guard", guard)
            patch.setattr(redis_scripts, "redis_guard", guard)
            patch.setattr(redis_scripts, "waiting", process.waiting)
            yield
        process.owed, process.paid, process.unmarked = debt._owed, debt._paid, debt._unmarked

    # --- readers ------------------------------------------------------------------------------------------------------

    @rule(number=processes)
    def look(self, number: int) -> None:
        """A reader asks for the page and, on a miss, reads the database."""
        process = self.all[number]
        with self.inside(process):
            try:
                page = admit(SUBJECT, page_name="list").page
            except RedisUnavailable:
                return
        if process.owed == process.paid and not process.unmarked:
            process.untold.clear()
        if page.outcome == "hit":
            untold_elsewhere = set().union(*(other.untold for other in self.all if other is not process))
            shown = int(page.body)
            assert shown == self.truth or untold_elsewhere, f"process {number} shows {shown}, not {self.truth}"
            assert shown >= self.truth or all(version not in process.untold for version in range(shown, self.truth + 1))
        if page.outcome in ("miss", "busy"):
            self.readers.append(Reader(process, page, self.truth))

    @rule(which=st.integers(0, 5))
    def store(self, which: int) -> None:
        """A reader stores what it read, however long ago."""
        if not self.readers:
            return
        reader = self.readers.pop(which % len(self.readers))
        with self.inside(reader.process):
            caching.store_page(reader.page.key, etag=str(reader.value), body=str(reader.value).encode(), ttl=PAGE_TTL)

    @rule(number=processes)
    def send(self, number: int) -> None:
        """What waits for a round trip of the process has waited long enough."""
        process = self.all[number]
        with self.inside(process):
            process.waiting.run()

    @rule(number=processes)
    def read(self, number: int) -> None:
        """A reader that nobody gets in the way of: most do not."""
        readers = len(self.readers)
        self.look(number)
        if len(self.readers) > readers:
            self.store(readers)
            self.send(number)

    # --- writers ------------------------------------------------------------------------------------------------------

    @rule(number=processes)
    def begin(self, number: int) -> None:
        process = self.all[number]
        mark = f"mark {next(self.marks)}"
        with self.inside(process):
            is_marked = caching._begin_change(USER, mark)
        self.writers.append(Writer(process, mark, is_marked, began=self.now))

    @rule(which=st.integers(0, 5))
    def commit(self, which: int) -> None:
        waiting = [writer for writer in self.writers if not writer.is_committed]
        if not waiting:
            return
        writer = waiting[which % len(waiting)]
        self.truth = next(self.versions)
        writer.is_committed = True
        if not writer.is_marked:
            writer.process.untold.add(self.truth)

    @rule(which=st.integers(0, 5))
    def end(self, which: int) -> None:
        done = [writer for writer in self.writers if writer.is_committed]
        if not done:
            return
        writer = done[which % len(done)]
        self.writers.remove(writer)
        before = writer.process.owed
        with self.inside(writer.process):
            caching._end_changes({USER: writer.mark})
            if not writer.is_marked:
                caching.debt.end_unmarked()
        if writer.process.owed == before:
            writer.process.untold.clear()

    @rule(which=st.integers(0, 5))
    def hear_nothing_of_the_commit(self, which: int) -> None:
        """The database's connection breaks during a COMMIT that took effect: the writer does not say that it is done.

        A marked writer that dies looks the same.
        """
        done = [writer for writer in self.writers if writer.is_committed]
        if not done:
            return
        writer = done[which % len(done)]
        self.writers.remove(writer)
        if not writer.is_marked:
            with self.inside(writer.process):
                caching.debt.end_unmarked()

    @rule(number=processes, breaks=st.booleans())
    def write(self, number: int, breaks: bool) -> None:
        """A writer that nobody gets in the way of."""
        self.begin(number)
        waiting = [writer for writer in self.writers if not writer.is_committed]
        self.commit(len(waiting) - 1)
        done = [writer for writer in self.writers if writer.is_committed]
        (self.hear_nothing_of_the_commit if breaks else self.end)(len(done) - 1)

    # --- the world ----------------------------------------------------------------------------------------------------

    @rule(number=processes)
    def lose_or_find_the_connection(self, number: int) -> None:
        self.all[number].is_connected = not self.all[number].is_connected

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def wait(self, seconds: int) -> None:
        """Time passes; no transaction lasts as long as a mark."""
        later = self.now + timedelta(seconds=seconds)
        if any(later - writer.began >= timedelta(seconds=caching.DIRTY_SECONDS) for writer in self.writers):
            return
        self.now = later
        self.clock.stop()
        self.clock = time_machine.travel(self.now, tick=False)
        self.clock.start()


@pytest.fixture
def machine() -> Iterator[TwoProcesses]:
    machine = TwoProcesses()
    machine.start()
    yield machine
    machine.teardown()


def test_a_page_that_was_read_before_a_write_and_stored_after_it_is_not_shown(machine):
    machine.look(0)
    machine.write(1, breaks=False)
    machine.store(0)
    machine.look(0)


def test_a_page_that_was_stored_before_a_write_that_was_not_ended_is_not_shown_after_its_mark(machine):
    machine.read(0)
    machine.write(0, breaks=True)
    machine.wait(61)
    machine.look(1)


def test_a_page_that_was_stored_while_a_write_was_going_on_is_not_shown_after_its_mark(machine):
    machine.begin(0)
    machine.read(1)
    machine.commit(0)
    machine.hear_nothing_of_the_commit(0)
    machine.wait(61)
    machine.look(1)


def test_a_process_keeps_no_page_while_a_write_of_its_own_goes_on_unmarked(machine):
    machine.lose_or_find_the_connection(0)
    machine.begin(0)
    machine.lose_or_find_the_connection(0)
    machine.read(0)
    machine.commit(0)
    machine.look(0)


def test_a_process_shows_no_page_from_before_an_unmarked_write_that_was_not_ended(machine):
    machine.read(0)
    machine.lose_or_find_the_connection(0)
    machine.write(0, breaks=True)
    machine.lose_or_find_the_connection(0)
    machine.look(0)


def test_an_epoch_that_was_made_while_a_write_went_on_unmarked_is_not_enough(machine):
    machine.lose_or_find_the_connection(0)
    machine.begin(0)
    machine.lose_or_find_the_connection(0)
    machine.look(0)
    machine.read(1)
    machine.commit(0)
    machine.hear_nothing_of_the_commit(0)
    machine.look(0)


def test_no_order_of_steps_and_no_failure_shows_an_old_page():
    run_state_machine_as_test(
        TwoProcesses,
        settings=hypothesis_settings(
            max_examples=300,
            stateful_step_count=40,
            deadline=None,
            derandomize=False,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
