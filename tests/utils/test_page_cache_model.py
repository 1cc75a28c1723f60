"""Whatever two processes do, in whatever order, and whatever fails: a page that is shown is what was written last.

The machine below lets readers and writers of two processes of one Redis and one PostgreSQL take turns. A writer is
``changing_pages_of`` itself in a thread of its own, which stops before and after whatever others may notice, and goes
on when the machine says so: the order of marker, BEGIN, COMMIT and what follows is the code's. Either process may lose
its connection to Redis, and a writer's to PostgreSQL may break during a COMMIT that takes effect later; processes die
between any two steps; time passes. The one residue that the protocol allows is modelled exactly: a page may be old
while a process could not tell Redis of its write, and this ends by itself.
"""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import hypothesis.strategies as st
import pytest
import redis
import time_machine
from django.conf import settings
from django.db import connection
from hypothesis import HealthCheck, Phase
from hypothesis import settings as hypothesis_settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.database_faults import NAMESPACE, own_connection, trigger
from tests.processes import wait_until
from tests.utils.page_cache_writers import USER, Process, Reader, Steps, Writer, written
from utils.admission import gate
from utils.admission.gate import STATE_SECONDS, Subject, admit, state_key
from utils.models import PendingEpochBump
from utils.page_cache import invalidation, lookup
from utils.page_cache.invalidation import carry_out_recorded_bumps
from utils.page_cache.lookup import USER_PAGES_MAX
from utils.redis.client import RedisUnavailable, reset_client
from utils.redis.scripts import run_surely

SUBJECT = Subject(USER, session_id=1, token_version=1)
PAGE_TTL = 180
NO_REDIS = "unix:///nonexistent/redis.sock?db=0"
WRITERS_MAX = 4
"""At once: each has a connection to PostgreSQL."""


class TwoProcesses(RuleBasedStateMachine):
    """See the module. Each rule is one step of one process."""

    processes = st.sampled_from([0, 1])

    @initialize()
    def start(self) -> None:
        self.url = settings.REDIS_URL
        self.redis = redis.Redis.from_url(self.url)
        self.redis.flushdb()
        reset_client()
        with connection.cursor() as cursor:
            cursor.execute("TRUNCATE tests_page")
        PendingEpochBump.objects.all().delete()
        self.now = datetime.now(UTC)
        self.clock = time_machine.travel(self.now, tick=False)
        self.clock.start()
        self.numbers = count(1)
        self.untold: set[int] = set()
        """Writes that were committed while Redis could not be told: others may show what was before."""
        self.all = [Process(0), Process(1)]
        self.readers: list[Reader] = []
        self.writers: list[Writer] = []

    def teardown(self) -> None:
        for number in (0, 1):
            self.kill(number)
        while self.writers:
            self.take_effect(0)
        self.clock.stop()
        settings.REDIS_URL = self.url
        reset_client()
        self.redis.close()

    @contextlib.contextmanager
    def inside(self, process: Process):
        """Run a step in a process: with its pending bump, and with its connection to Redis or without."""

        def told(*calls):
            Steps.pause()
            replies = run_surely(*calls)
            self.untold.clear()  # the user has a new token, or there is a new epoch
            Steps.pause()
            return replies

        url = self.url if process.is_connected else NO_REDIS
        if settings.REDIS_URL != url:
            settings.REDIS_URL = url
            reset_client()
        # Our own code is replaced: two processes, which differ by their memory, take turns in this one, thousands of
        # steps of them; and a writer stops where only Redis can tell that it is there.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(invalidation, "run_surely", told)
            patch.setattr(invalidation, "epoch_bump", process.bump)
            patch.setattr(gate, "epoch_bump", process.bump)
            yield

    # --- readers ------------------------------------------------------------------------------------------------------

    @rule(number=processes)
    def look(self, number: int) -> None:
        """A reader asks for the page and, on a miss, reads the database."""
        process = self.all[number]
        self.redis.set(state_key(SUBJECT.session_id), f"{USER}:1:0", ex=STATE_SECONDS)
        with self.inside(process):
            try:
                page = admit(SUBJECT, page_name="list").page
            except RedisUnavailable:
                return
        if page.outcome == "hit":
            shown, truth = int(page.body), written()
            assert shown == truth or self.untold, f"process {number} shows {shown}, not {truth}"
            assert shown >= process.answered, f"process {number} shows {shown} after it answered {process.answered}"
        if page.outcome in ("miss", "busy"):
            self.readers.append(Reader(process, page, written()))

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
        """A writer marks the user and opens its transaction."""
        if len(self.writers) == WRITERS_MAX:
            return
        writer = Writer(self.all[number], next(self.numbers), self.now)
        self.writers.append(writer)
        while not writer.is_inside:
            self._go_on(writer)

    @rule(which=st.integers(0, 5), breaks=st.booleans())
    def commit(self, which: int, breaks: bool) -> None:
        """A writer writes and commits; if its connection breaks meanwhile, that takes effect when nobody knows."""
        inside = [writer for writer in self.writers if writer.is_inside]
        if not inside:
            return
        writer = inside[which % len(inside)]
        writer.breaks = breaks
        if breaks:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s, %s)", [NAMESPACE, writer.number])
        self._go_on(writer)

    @rule(which=st.integers(0, 5))
    def go_on(self, which: int) -> None:
        """A writer takes one of the steps after its COMMIT."""
        past = [writer for writer in self.writers if writer.has_written and not writer.is_done]
        if past:
            self._go_on(past[which % len(past)])

    @rule(which=st.integers(0, 5))
    def take_effect(self, which: int) -> None:
        """PostgreSQL carries out a COMMIT of which nobody hears."""
        unheard = [writer for writer in self.writers if writer.is_unheard]
        if not unheard:
            return
        writer = unheard[which % len(unheard)]
        before = written()
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [NAMESPACE, writer.number])
        wait_until(lambda: written() > before)
        self._see(writer)

    def _go_on(self, writer: Writer) -> None:
        before = written()
        with self.inside(writer.process):
            writer.go_on()
        if written() > before:
            self._see(writer)
        elif writer.is_done and not writer.is_unheard:
            self._end(writer)

    def _see(self, writer: Writer) -> None:
        """It has committed."""
        writer.committed = written()
        if not writer.is_marked:
            self.untold.add(writer.number)
        if writer.is_done:
            self._end(writer)

    def _end(self, writer: Writer) -> None:
        self.writers.remove(writer)
        if writer.error is None:
            writer.process.answered = max(writer.process.answered, writer.committed)

    @rule(number=processes, breaks=st.booleans())
    def write(self, number: int, breaks: bool) -> None:
        """A writer that nobody gets in the way of."""
        before = len(self.writers)
        self.begin(number)
        if len(self.writers) == before:
            return
        writer = self.writers[-1]
        self.commit([other for other in self.writers if other.is_inside].index(writer), breaks)
        while not writer.is_done:
            self._go_on(writer)
        if writer.is_unheard:
            self.take_effect([other for other in self.writers if other.is_unheard].index(writer))

    # --- what nobody asked for ----------------------------------------------------------------------------------------

    @rule(number=processes)
    def retry(self, number: int) -> None:
        """The thread of a process that may have no requests, as a worker."""
        process = self.all[number]
        with self.inside(process), contextlib.suppress(RedisUnavailable):
            process.bump.carry_out()

    @rule(number=processes)
    def look_while_a_bump_is_on_its_way(self, number: int) -> None:
        """A reader comes before, and another after, Redis hears of the bump from another thread of their process."""
        process = self.all[number]
        bump = Steps(process.bump.carry_out)
        while True:
            with self.inside(process):
                bump.go_on()
            if bump.is_done:
                return
            self.look(number)

    @rule(number=processes)
    def carry_out_recorded(self, number: int) -> None:
        """A worker carries out what some process recorded."""
        with self.inside(self.all[number]), contextlib.suppress(RedisUnavailable):
            carry_out_recorded_bumps()

    @rule(number=processes)
    def kill(self, number: int) -> None:
        """A process dies with all that it remembers; its transactions that were not committed are rolled back."""
        process = self.all[number]
        with self.inside(process):
            for writer in self.writers:
                if writer.process is process:
                    writer.kill()
        self.writers = [writer for writer in self.writers if not writer.is_done or writer.is_unheard]
        self.readers = [reader for reader in self.readers if reader.process is not process]
        self.all[number] = Process(number, is_connected=process.is_connected)

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
        stored = [key for key in self.redis.keys("page:*") if not key.endswith(b":filler")]
        assert len(stored) <= USER_PAGES_MAX

    @invariant()
    def what_others_may_not_know_is_recorded_or_pending(self) -> None:
        """So it ends by itself, as soon as Redis can be reached."""
        if self.untold and not PendingEpochBump.objects.exists():
            is_writing = any(writer.committed and not writer.is_marked for writer in self.writers)
            assert is_writing or any(process.bump.is_pending for process in self.all)


@pytest.fixture(autouse=True)
def _page(transactional_db: None) -> Iterator[None]:
    """What is written: one row for each write. A COMMIT of one that is late waits for a lock."""
    with own_connection() as own:
        own.execute("CREATE TABLE tests_page (number integer NOT NULL, is_late boolean NOT NULL)")
        wait = f"PERFORM pg_advisory_xact_lock_shared({NAMESPACE}, NEW.number);"
        with trigger(own, "tests_late", "AFTER INSERT", "tests_page", "NEW.is_late", wait, at_commit=True):
            yield
        own.execute("DROP TABLE tests_page")


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
    machine.commit(0, breaks=True)
    machine.wait(61)
    machine.look(1)


def test_a_page_stored_before_a_commit_of_which_nobody_heard_took_effect_is_not_shown_after_it(machine):
    machine.begin(0)
    machine.commit(0, breaks=True)
    for _ in range(4):
        machine.go_on(0)
    machine.read(1)
    machine.take_effect(0)
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
    machine.commit(0, breaks=False)
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
