"""Whatever two processes do, in whatever order, and whatever fails: a page that is shown is what was written last.

The machine below takes the steps of readers and writers apart, and lets them happen in any order on two processes of
one Redis. Either process may lose its connection; writers may die between any two steps; time passes. The database is
the variable ``truth``, and a row that records a bump is ``recorded``. The one residue that the protocol allows is
modelled exactly: a page may be old while a process could not tell Redis of its write, and this ends by itself.
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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from utils.admission import gate
from utils.admission.gate import STATE_SECONDS, Subject, admit, state_key
from utils.page_cache import invalidation, lookup
from utils.page_cache.invalidation import EpochBump
from utils.page_cache.lookup import USER_PAGES_MAX, CachedPage
from utils.redis.client import RedisUnavailable, redis_guard, reset_client
from utils.redis.scripts import run_surely

USER = 7
SUBJECT = Subject(USER, session_id=1, token_version=1)
PAGE_TTL = 180


@dataclass
class Process:
    number: int
    is_connected: bool = True
    bump: EpochBump = field(default_factory=EpochBump)
    answered: int = 0
    """The latest version whose writer, in this process, was told that it is written."""


@dataclass
class Reader:
    process: Process
    page: CachedPage
    value: int


@dataclass
class Writer:
    process: Process
    marker: str
    is_marked: bool
    began: datetime
    version: int = 0
    """What it committed; 0 before it did."""


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
        self.markers = count(1)
        self.recorded = False
        """Whether a committed row says that the epoch must be bumped."""
        self.untold: set[int] = set()
        """Versions that were committed while Redis could not be told: others may show what was before."""
        self.all = [Process(0), Process(1)]
        self.readers: list[Reader] = []
        self.writers: list[Writer] = []

    def teardown(self) -> None:
        self.clock.stop()

    @contextlib.contextmanager
    def inside(self, process: Process):
        """Run a step in a process: with its pending bump, and with its connection or without."""

        @contextlib.contextmanager
        def guard():
            if not process.is_connected:
                raise RedisUnavailable("no connection")
            with redis_guard() as client:
                client.set(state_key(SUBJECT.session_id), f"{USER}:1:0", ex=STATE_SECONDS)
                yield client

        def surely(*calls):
            if not process.is_connected:
                raise RedisUnavailable("no connection")
            return run_surely(*calls)

        # Our own code is replaced: two processes, which differ by their memory and connection, take turns in this one,
        # thousands of steps of them.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(invalidation, "run_surely", surely)
            patch.setattr(invalidation, "epoch_bump", process.bump)
            patch.setattr(gate, "epoch_bump", process.bump)
            patch.setattr(gate, "redis_guard", guard)
            patch.setattr(lookup, "redis_guard", guard)
            yield

    # --- readers ------------------------------------------------------------------------------------------------------

    @rule(number=processes)
    def look(self, number: int) -> None:
        """A reader asks for the page and, on a miss, reads the database."""
        process = self.all[number]
        was_pending = process.bump.is_pending
        with self.inside(process):
            try:
                page = admit(SUBJECT, page_name="list").page
            except RedisUnavailable:
                return
        if was_pending:
            self.untold.clear()
        if page.outcome == "hit":
            shown = int(page.body)
            assert shown == self.truth or self.untold, f"process {number} shows {shown}, not {self.truth}"
            assert shown >= process.answered, f"process {number} shows {shown} after it answered {process.answered}"
        if page.outcome in ("miss", "busy"):
            self.readers.append(Reader(process, page, self.truth))

    @rule(which=st.integers(0, 5))
    def store(self, which: int) -> None:
        """A reader stores what it read, however long ago."""
        if not self.readers:
            return
        reader = self.readers.pop(which % len(self.readers))
        with self.inside(reader.process):
            lookup.store_page(reader.page.key, etag=str(reader.value), body=str(reader.value).encode(), ttl=PAGE_TTL)

    @rule(number=processes)
    def crowd_out(self, number: int) -> None:
        """The user reads so many other pages that theirs give way, and those of others, too."""
        with self.inside(self.all[number]):
            for name in range(USER_PAGES_MAX):
                key = f"page:epoch:{USER}:token:{name}"
                lookup.store_page(key, etag="junk", body=b"junk" * 1000, ttl=PAGE_TTL)

    @rule(number=processes)
    def read(self, number: int) -> None:
        """A reader that nobody gets in the way of: most do not."""
        readers = len(self.readers)
        self.look(number)
        if len(self.readers) > readers:
            self.store(readers)

    # --- writers ------------------------------------------------------------------------------------------------------

    @rule(number=processes)
    def begin(self, number: int) -> None:
        process = self.all[number]
        marker = f"marker {next(self.markers)}"
        with self.inside(process):
            is_marked = invalidation.add_markers({USER: marker})
        if is_marked:
            self.untold.clear()  # the user has a new token
        self.writers.append(Writer(process, marker, is_marked, began=self.now))

    @rule(which=st.integers(0, 5))
    def commit(self, which: int) -> None:
        open_writers = [writer for writer in self.writers if not writer.version]
        if not open_writers:
            return
        writer = open_writers[which % len(open_writers)]
        writer.version = self.truth = next(self.versions)
        if not writer.is_marked:
            self.untold.add(self.truth)
            self.recorded = True

    @rule(which=st.integers(0, 5))
    def end(self, which: int) -> None:
        done = [writer for writer in self.writers if writer.version]
        if not done:
            return
        writer = done[which % len(done)]
        self.writers.remove(writer)
        with self.inside(writer.process):
            invalidation.remove_markers({USER: writer.marker})
        if writer.process.is_connected:
            self.untold.clear()
        writer.process.answered = max(writer.process.answered, writer.version)

    @rule(which=st.integers(0, 5))
    def hear_nothing_of_the_commit(self, which: int) -> None:
        """The database's connection breaks during a COMMIT that took effect: the writer is answered with an error."""
        done = [writer for writer in self.writers if writer.version]
        if not done:
            return
        writer = done[which % len(done)]
        self.writers.remove(writer)
        if not writer.is_marked:
            with self.inside(writer.process):
                writer.process.bump.request()

    @rule(number=processes, breaks=st.booleans())
    def write(self, number: int, breaks: bool) -> None:
        """A writer that nobody gets in the way of."""
        self.begin(number)
        self.commit(len([writer for writer in self.writers if not writer.version]) - 1)
        done = [writer for writer in self.writers if writer.version]
        (self.hear_nothing_of_the_commit if breaks else self.end)(len(done) - 1)

    # --- what nobody asked for ----------------------------------------------------------------------------------------

    @rule(number=processes)
    def retry(self, number: int) -> None:
        """The thread of a process that may have no requests, as a worker."""
        process = self.all[number]
        was_pending = process.bump.is_pending
        with self.inside(process), contextlib.suppress(RedisUnavailable):
            process.bump.carry_out()
            if was_pending:
                self.untold.clear()

    @rule(number=processes)
    def look_while_a_bump_is_on_its_way(self, number: int) -> None:
        """A reader comes while another thread of its process tells Redis of the bump."""
        process, set_new_epoch = self.all[number], invalidation.set_new_epoch
        was_pending = process.bump.is_pending

        def be_slow() -> None:
            patch.setattr(invalidation, "set_new_epoch", set_new_epoch)
            self.look(number)
            set_new_epoch()

        with pytest.MonkeyPatch.context() as patch, self.inside(process), contextlib.suppress(RedisUnavailable):
            patch.setattr(invalidation, "set_new_epoch", be_slow)
            process.bump.carry_out()
            if was_pending:
                self.untold.clear()

    @rule(number=processes)
    def carry_out_recorded(self, number: int) -> None:
        """A worker carries out what some process recorded."""
        process = self.all[number]
        if not self.recorded or not process.is_connected:
            return
        with self.inside(process):
            invalidation.set_new_epoch()
        self.recorded = False
        self.untold.clear()

    @rule(number=processes)
    def kill(self, number: int) -> None:
        """A process dies with all that it remembers; its transactions that were not committed are rolled back."""
        self.writers = [writer for writer in self.writers if writer.process.number != number]
        self.readers = [reader for reader in self.readers if reader.process.number != number]
        self.all[number] = Process(number, is_connected=self.all[number].is_connected)

    @rule(number=processes)
    def lose_or_find_the_connection(self, number: int) -> None:
        self.all[number].is_connected = not self.all[number].is_connected

    @rule(seconds=st.sampled_from([1, 30, 61]))
    def wait(self, seconds: int) -> None:
        """Time passes; no transaction lasts as long as a marker."""
        later = self.now + timedelta(seconds=seconds)
        if any(later - writer.began >= timedelta(seconds=invalidation.MARKER_SECONDS) for writer in self.writers):
            return
        self.now = later
        self.clock.stop()
        self.clock = time_machine.travel(self.now, tick=False)
        self.clock.start()

    @invariant()
    def a_user_has_no_more_pages_than_they_may(self) -> None:
        with redis.Redis.from_url(settings.REDIS_URL) as connection:
            stored = [key for key in connection.keys("page:*") if not key.endswith(b":filler")]
        assert len(stored) <= USER_PAGES_MAX

    @invariant()
    def what_others_may_not_know_is_recorded_or_pending(self) -> None:
        """So it ends by itself, as soon as Redis can be reached."""
        writing = any(writer.version and not writer.is_marked for writer in self.writers)
        assert not self.untold or self.recorded or writing or any(process.bump.is_pending for process in self.all)


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


def test_a_page_stored_before_an_unfinished_write_is_not_served_after_its_marker(machine):
    machine.read(0)
    machine.write(0, breaks=True)
    machine.wait(61)
    machine.look(1)


def test_a_page_stored_during_a_write_is_not_served_after_its_marker(machine):
    machine.begin(0)
    machine.read(1)
    machine.commit(0)
    machine.hear_nothing_of_the_commit(0)
    machine.wait(61)
    machine.look(1)


def test_a_process_shows_no_page_from_before_a_write_that_redis_was_never_told_of(machine):
    machine.read(0)
    machine.lose_or_find_the_connection(0)
    machine.write(0, breaks=False)
    machine.lose_or_find_the_connection(0)
    machine.look(0)


def test_a_process_that_is_about_to_tell_redis_of_its_write_shows_no_page_from_before_it(machine):
    machine.read(0)
    machine.lose_or_find_the_connection(0)
    machine.write(0, breaks=False)
    machine.lose_or_find_the_connection(0)
    machine.look_while_a_bump_is_on_its_way(0)


def test_a_process_that_is_asked_nothing_tells_the_others_by_itself(machine):
    machine.read(1)
    machine.lose_or_find_the_connection(0)
    machine.write(0, breaks=False)
    machine.lose_or_find_the_connection(0)
    machine.retry(0)

    assert not machine.untold
    machine.look(1)


def test_what_a_process_that_died_could_not_tell_is_told_by_another(machine):
    machine.read(1)
    machine.lose_or_find_the_connection(0)
    machine.begin(0)
    machine.commit(0)
    machine.kill(0)
    machine.carry_out_recorded(1)

    assert not machine.untold
    machine.look(1)


def test_no_order_of_steps_and_no_failure_shows_an_old_page():
    run_state_machine_as_test(
        TwoProcesses,
        settings=hypothesis_settings(
            max_examples=120,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        ),
    )
