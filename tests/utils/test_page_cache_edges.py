"""The page cache where it does nothing, gives up or deletes: a dead Redis, a page that is late, a user who left."""

import threading

import pytest

from tests.conftest import client_of
from tests.database_faults import locked
from tests.processes import wait_until
from utils.models import PendingEpochBump
from utils.page_cache import lookup
from utils.page_cache.invalidation import MARKER_SECONDS, EpochBump, add_markers, changing_pages_of
from utils.page_cache.keys import (
    SIZES_KEY,
    STORED_KEY,
    TOKEN_SECONDS,
    TOTAL_KEY,
    fill_lock_key,
    pages_key,
    token_key,
    writers_key,
)
from utils.page_cache.lookup import PAGE_OVERHEAD_BYTES, abandon_page, await_page, drop_pages_of, store_page
from utils.redis.client import EPOCH_KEY

START_THREAD = EpochBump._start_thread


def store(user_id: int, name: str) -> str:
    key = f"page:epoch:{user_id}:token:{name}"
    store_page(key, etag="tag", body=b"body", ttl=180)
    return key


def test_a_page_that_its_renderer_does_not_finish_in_time_is_waited_for_no_longer(empty_redis, monkeypatch):
    monkeypatch.setattr(lookup, "_WAIT_SECONDS", 0.05)
    empty_redis.set(fill_lock_key("page:epoch:7:token:slow"), "1")

    assert await_page("page:epoch:7:token:slow") is None


def test_without_redis_nothing_is_stored_given_up_or_waited_for(dead_redis):
    key = store(7, "list")
    abandon_page(key)

    assert await_page(key) is None


def test_a_page_whose_name_has_colons_counts_as_its_users(empty_redis):
    key = store(7, "/api/notes/:7:8")

    assert empty_redis.zrange(pages_key(7), 0, -1) == [key.encode()]


def test_of_a_deleted_user_no_page_is_left_and_of_others_all_are(empty_redis):
    for name in ("list", "detail"):
        store(7, name)
    kept = store(8, "list").encode()

    drop_pages_of(7)

    assert empty_redis.keys("page:*") == empty_redis.zrange(STORED_KEY, 0, -1) == [kept]
    assert empty_redis.hgetall(SIZES_KEY) == {kept: b"%d" % (len(b"body") + PAGE_OVERHEAD_BYTES)}
    assert int(empty_redis.get(TOTAL_KEY)) == len(b"body") + PAGE_OVERHEAD_BYTES
    assert not empty_redis.exists(pages_key(7))


def test_a_writers_marker_and_the_token_last_as_long_as_is_said(empty_redis):
    assert add_markers({7: "a marker"})

    assert MARKER_SECONDS - 30 < empty_redis.ttl(writers_key(7)) <= MARKER_SECONDS == 60
    assert TOKEN_SECONDS - 30 < empty_redis.ttl(token_key(7)) <= TOKEN_SECONDS == 86_400


def test_without_a_page_cache_a_write_tells_redis_nothing_and_records_nothing(alice, empty_redis, settings):
    settings.PAGE_CACHE_ENABLED = False

    with changing_pages_of(alice.pk):
        assert empty_redis.keys() == []

    assert empty_redis.keys() == []
    assert not PendingEpochBump.objects.exists()


def test_a_process_without_a_pending_bump_leaves_the_epoch_as_it_is(alice, empty_redis):
    client = client_of(alice)
    client.get("/api/notifications/pending/")
    before = empty_redis.get(EPOCH_KEY)

    EpochBump().carry_out()

    assert None is not before == empty_redis.get(EPOCH_KEY)


@pytest.mark.django_db(transaction=True)
def test_bumps_that_are_requested_while_one_waits_for_redis_share_its_thread(own_redis, monkeypatch):
    monkeypatch.setattr(EpochBump, "_start_thread", START_THREAD)
    own_redis.stop()
    bump = EpochBump()

    bump.request()
    [thread] = threads()
    bump.request()

    assert threads() == [thread]
    own_redis.run()
    thread.join(60)
    assert not bump.is_pending


@pytest.mark.django_db(transaction=True)
def test_recorded_bumps_that_a_process_cannot_read_are_left_to_the_workers(empty_redis, monkeypatch, caplog):
    monkeypatch.setattr(EpochBump, "_start_thread", START_THREAD)
    bump = EpochBump()

    with locked("utils_pendingepochbump"):
        bump.request()
        wait_until(lambda: not threads())

    assert not bump.is_pending
    assert empty_redis.exists(EPOCH_KEY)
    assert [line for line in caplog.messages if line.startswith("Recorded epoch bumps are left to the workers")]


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "epoch-bump"]
