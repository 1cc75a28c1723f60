"""What Redis could not be told in time reaches it by itself: pauses, cut connections, another server that is dead."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery
from django.apps import apps

from accounts import session_state
from accounts.models import User
from NoteAssist_AI.embedded.servers import Redis
from tests.conftest import client_of
from tests.database_faults import uncommitted
from tests.factories import NoteFactory, SessionFactory
from tests.processes import wait_until
from utils.admission.gate import Subject, admit
from utils.models import PendingEpochBump
from utils.page_cache import invalidation
from utils.page_cache.invalidation import EpochBump, carry_out_recorded_bumps, changing_pages_of
from utils.page_cache.keys import code_version, page_name, writers_key
from utils.redis.broker import broker_breaker, publish
from utils.redis.client import EPOCH_KEY, breaker, redis_guard
from utils.redis.scripts import Script, run_surely

pytestmark = pytest.mark.django_db(transaction=True)

START_THREAD = EpochBump._start_thread
ECHO = Script("return ARGV[1]")


@pytest.fixture
def threaded(monkeypatch) -> None:
    """With the thread that tests otherwise do without."""
    monkeypatch.setattr(EpochBump, "_start_thread", START_THREAD)


@pytest.fixture
def pause(own_redis: Redis, impatient) -> Iterator[Callable[[int], None]]:
    """Stop the test's Redis as a pause does, or continue it."""
    pid = int(own_redis.pid_path.read_text())

    def send(signum: int) -> None:
        impatient()
        os.kill(pid, signum)

    yield send
    os.kill(pid, signal.SIGCONT)


def epoch(server: Redis) -> bytes | None:
    with redis.Redis.from_url(server.url) as client:
        return client.get(EPOCH_KEY)


def write(user: User) -> None:
    with changing_pages_of(user.pk):
        User.objects.filter(pk=user.pk).update(name="new")


def test_a_write_during_a_pause_is_told_after_it_by_a_process_that_is_asked_nothing(alice, own_redis, pause, threaded):
    with redis_guard() as client:
        client.ping()
    before = epoch(own_redis)
    pause(signal.SIGSTOP)

    write(alice)

    assert PendingEpochBump.objects.count() == 1
    pause(signal.SIGCONT)
    wait_until(lambda: not PendingEpochBump.objects.exists())
    assert epoch(own_redis) not in (None, before)
    assert not invalidation.epoch_bump.is_pending


def test_what_a_process_could_not_tell_before_it_died_is_told_by_the_next_run_of_a_worker(alice, own_redis):
    before = epoch_after_ping(own_redis)
    own_redis.stop()
    write(alice)
    own_redis.run()
    invalidation.epoch_bump.is_pending = False  # it died

    assert carry_out_recorded_bumps() == 1

    assert epoch(own_redis) != before
    assert carry_out_recorded_bumps() == 0


def epoch_after_ping(server: Redis) -> bytes | None:
    with redis_guard() as client:
        client.ping()
    return epoch(server)


def test_a_write_that_is_rolled_back_records_nothing(alice, dead_redis):
    with pytest.raises(ZeroDivisionError), changing_pages_of(alice.pk):
        raise ZeroDivisionError

    assert not PendingEpochBump.objects.exists()


def test_a_write_is_told_although_the_breaker_is_open(alice, empty_redis, breakers_stay_open):
    breaker.open()

    with changing_pages_of(alice.pk):
        assert empty_redis.zcard(writers_key(alice.pk)) == 1

    assert empty_redis.zcard(writers_key(alice.pk)) == 0
    assert not PendingEpochBump.objects.exists()


@pytest.mark.parametrize("end", ["a session", "all sessions"])
def test_a_sign_out_takes_effect_although_the_breaker_is_open(alice, breakers_stay_open, end):
    session = SessionFactory(user=alice)
    client = client_of(alice, session)
    assert client.get("/api/users/me/").status_code == 200
    breaker.open()

    if end == "a session":
        session_state.mark_revoked([session.pk])
    else:
        session_state.mark_token_version_raised(alice.pk, alice.token_version + 1)

    breaker.close()
    assert client.get("/api/users/me/").status_code == 401


def test_cut_connections_show_no_old_page(alice, own_redis, no_limits):
    """Redis answers throughout; every connection to it is cut again and again."""
    note = NoteFactory(user=alice, title="0")
    client = client_of(alice)
    stopped = threading.Event()

    def cut() -> None:
        with redis.Redis.from_url(own_redis.url) as killer:
            while not stopped.wait(0.003):
                killer.client_kill_filter(_type="normal", skipme=True)

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        for number in range(1, 31):
            client.get(f"/api/notes/{note.pk}/")
            changed = client.patch(f"/api/notes/{note.pk}/", {"title": str(number)}, format="json")
            assert changed.status_code == 200
            breaker.close()
            assert client.get(f"/api/notes/{note.pk}/").json()["title"] == str(number)
    finally:
        stopped.set()
        cutter.join()


def test_a_command_that_must_arrive_is_sent_again_on_a_new_connection(own_redis):
    assert run_surely(ECHO.call(args=["first"])) == [b"first"]
    with redis.Redis.from_url(own_redis.url) as operator:
        operator.client_kill_filter(_type="normal", skipme=True)

    assert run_surely(ECHO.call(args=["second"])) == [b"second"]


def test_a_dead_broker_keeps_nobody_from_the_cache(monkeypatch, empty_redis, breakers_stay_open):
    broker_breaker.close()
    monkeypatch.setattr("utils.redis.broker.app", Celery(broker="redis+socket:///nonexistent/broker.sock"))

    assert publish("a task", "its id") is False

    assert (broker_breaker.is_open, breaker.is_open) == (True, False)
    with redis_guard() as client:
        assert client.ping() is True


def test_a_state_is_good_for_its_own_user_only(alice, charlie):
    session = SessionFactory(user=alice)
    admit(Subject(alice.pk, session.pk, alice.token_version), staff_as_read=False)

    assert admit(Subject(charlie.pk, session.pk, charlie.token_version)).verdict == "refused"


def test_a_poll_with_the_token_of_a_deleted_user_writes_nothing(alice, empty_redis):
    client = client_of(alice)
    assert client.get("/api/notifications/pending/").status_code == 200
    password = {"password": "correct horse battery"}
    alice.set_password(password["password"])
    alice.save()
    assert client.post("/api/users/me/delete/", password, format="json").status_code == 204
    left = set(empty_redis.keys(f"*{alice.pk}*"))

    assert client.get("/api/notifications/pending/").status_code == 401

    assert set(empty_redis.keys(f"*{alice.pk}*")) == left
    assert not [key for key in left if key.startswith(b"inbox:")]


def test_no_request_looks_up_a_page_while_a_pending_bump_is_on_its_way(redis_proxy):
    bump, seen = EpochBump(), []
    redis_proxy.send = lambda data: seen.append(bump.is_pending) or data
    bump.request()

    bump.carry_out()

    assert (set(seen), bump.is_pending) == ({True}, False)


def test_a_bump_that_is_requested_while_one_is_on_its_way_is_carried_out_as_well(redis_proxy):
    bump = EpochBump()
    bump.request()
    redis_proxy.send = lambda data: bump.request() or data

    bump.carry_out()

    assert bump.is_pending


def test_a_bump_that_is_requested_as_the_thread_ends_is_carried_out_by_it(alice, empty_redis, threaded):
    bump = EpochBump()
    with uncommitted("LOCK TABLE utils_pendingepochbump") as lock:
        bump.request()
        lock.wait_for_one()  # it looks for recorded bumps, its last step
        first = empty_redis.get(EPOCH_KEY)
        bump.request()
        lock.open()

    wait_until(lambda: not bump.is_pending)
    assert None is not first != empty_redis.get(EPOCH_KEY)


@pytest.fixture
def code(settings, tmp_path) -> Path:
    """A copy of our Python files, which pages are made by."""
    ours = [Path(app.path) for app in apps.get_app_configs() if Path(app.path).parent == settings.BASE_DIR]
    for app in ours:
        shutil.copytree(
            app, tmp_path / app.name, ignore=lambda _, names: {n for n in names if Path(n).suffix == ".pyc"}
        )
    settings.BASE_DIR = tmp_path
    code_version.cache_clear()
    yield tmp_path
    code_version.cache_clear()


def test_a_page_is_known_to_the_code_that_made_it_only(code):
    names = [page_name("/api/notes/", {})]
    apps_of_ours = sorted(path for path in code.iterdir())
    for app in apps_of_ours:
        file = min(path for path in app.rglob("*.py") if path.stat().st_size)
        file.write_bytes(file.read_bytes() + b"# other\n")
        code_version.cache_clear()
        names.append(page_name("/api/notes/", {}))

    assert len(set(names)) == len(names) == len(apps_of_ours) + 1
