"""The page cache never shows less than the last write, whoever dies in between."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
import time_machine
from django.db import OperationalError, connection, transaction

from accounts.models import User
from tests.factories import SessionFactory
from utils.admission.gate import Subject, admit
from utils.admission.throttling import Limit
from utils.http.rendering import Rendered
from utils.page_cache import lookup
from utils.page_cache.invalidation import MARKER_SECONDS, add_markers, changing_pages_of, forget_pages_of
from utils.page_cache.keys import writers_key
from utils.page_cache.lookup import CachedPage, await_page, store_page
from utils.redis.client import redis_guard, reset_client

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def subject(alice):
    session = SessionFactory(user=alice)
    subject = Subject(alice.pk, session.pk, alice.token_version)
    admit(subject, staff_as_read=False)
    return subject


@pytest.fixture
def without_redis(settings) -> Callable[[], AbstractContextManager]:
    """A block in which nothing listens where Redis should be."""

    @contextmanager
    def without_redis():
        url, settings.REDIS_URL = settings.REDIS_URL, "unix:///nonexistent.sock"
        reset_client()
        yield
        settings.REDIS_URL = url
        reset_client()

    return without_redis


def read(subject, *tags) -> CachedPage:
    return admit(subject, page_name="list", if_none_match=tags).page


def fill(subject, body=b"old") -> None:
    page = read(subject)
    assert page.outcome == "miss"
    store_page(page.key, etag="tag", body=body, ttl=180)


def write_and_break_connection(admin) -> None:
    """End the server process behind this thread's connection, so that its next statement fails: here COMMIT."""
    User.objects.update(name="new")
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])


class Died(BaseException):
    """Nothing runs after it: a process that was killed."""


def test_a_stored_page_is_read_back_with_its_tag(subject):
    fill(subject, b"body")

    page = read(subject)

    assert (page.outcome, page.etag, page.body) == ("hit", "tag", b"body")


def test_a_client_that_has_the_page_is_told_so_without_a_body(subject):
    fill(subject)

    assert read(subject, "other", "tag") == CachedPage("same", etag="tag")


def test_of_readers_that_miss_at_once_one_renders_the_page_and_the_others_wait_for_it(subject):
    holder, waiter = read(subject), read(subject)
    assert (holder.outcome, waiter.outcome) == ("miss", "busy")
    assert holder.key == waiter.key

    threading.Timer(0.05, store_page, [holder.key], {"etag": "tag", "body": b"body", "ttl": 180}).start()

    assert await_page(waiter.key) == Rendered(b"body", etag="tag")


def test_after_the_fill_lock_is_given_up_the_waiting_reader_renders_the_page(subject):
    holder, waiter = read(subject), read(subject)
    lookup.abandon_page(holder.key)

    assert await_page(waiter.key) is None
    assert read(subject).outcome == "miss"


def test_another_users_page_is_not_seen(subject, charlie):
    fill(subject)
    session = SessionFactory(user=charlie)
    stranger = Subject(charlie.pk, session.pk, charlie.token_version)
    admit(stranger, staff_as_read=False)

    assert read(stranger).outcome == "miss"


def test_after_a_write_the_page_is_gone(subject):
    fill(subject)

    with changing_pages_of(subject.user_id):
        pass

    assert read(subject).outcome == "miss"


def test_readers_bypass_the_cache_while_a_write_is_going_on(subject):
    fill(subject)

    with changing_pages_of(subject.user_id):
        assert read(subject).outcome == "bypass"


def test_two_writers_at_once_both_hold_readers_off(subject):
    with changing_pages_of(subject.user_id):
        with changing_pages_of(subject.user_id):
            pass
        assert read(subject).outcome == "bypass"

    assert read(subject).outcome == "miss"


def test_a_reader_that_began_before_the_write_stores_at_a_key_that_is_not_looked_up(subject):
    slow_reader = read(subject)
    with changing_pages_of(subject.user_id):
        pass

    store_page(slow_reader.key, etag="tag", body=b"old", ttl=180)

    assert read(subject).outcome == "miss"


def test_a_page_stored_after_the_marker_was_evicted_is_unreachable_after_the_commit(subject, empty_redis):
    with changing_pages_of(subject.user_id):
        empty_redis.delete(writers_key(subject.user_id))
        fill(subject)

    assert read(subject).outcome == "miss"


def test_a_writer_that_dies_after_its_commit_leaves_nothing_stale(subject):
    slow_reader = read(subject)
    store_page(slow_reader.key, etag="tag", body=b"old", ttl=600)
    assert read(subject).outcome == "hit"

    assert add_markers({subject.user_id: "a marker that nobody removes: its writer committed and was killed"})

    assert read(subject).outcome == "bypass"
    store_page(slow_reader.key, etag="tag", body=b"old", ttl=600)
    with time_machine.travel(time.time() + MARKER_SECONDS + 1):
        assert read(subject).outcome == "miss"


def test_a_write_that_is_rolled_back_lets_readers_in_again(subject):
    with pytest.raises(Died), changing_pages_of(subject.user_id):
        raise Died

    assert read(subject).outcome == "miss"


def test_inside_a_larger_transaction_readers_wait_for_its_commit(subject):
    with transaction.atomic():
        with changing_pages_of(subject.user_id):
            pass
        assert read(subject).outcome == "bypass"

    assert read(subject).outcome == "miss"


def test_the_new_token_is_there_before_other_callbacks_of_the_commit_run(subject):
    seen = []

    with changing_pages_of(subject.user_id):
        transaction.on_commit(lambda: seen.append(read(subject).outcome), robust=True)

    assert seen == ["miss"]


def test_a_process_with_an_unmarked_write_uses_no_old_page(subject, without_redis):
    fill(subject)
    with without_redis(), changing_pages_of(subject.user_id):
        pass

    fill(subject, b"new")
    assert read(subject).body == b"new"


def test_a_process_whose_invalidation_failed_uses_no_old_page(subject, without_redis):
    fill(subject)
    with without_redis():
        forget_pages_of(subject.user_id)

    assert read(subject).outcome == "miss"


def test_a_larger_transaction_whose_commit_reply_was_lost_leaves_no_old_page(subject, without_redis):
    with ExitStack() as stack:
        with transaction.atomic():
            with without_redis(), changing_pages_of(subject.user_id):
                pass
            fill(subject)
            stack.enter_context(without_redis())

    assert read(subject).outcome == "miss"


def test_a_write_whose_connection_breaks_during_its_commit_makes_readers_bypass_until_its_deadline(subject, admin):
    fill(subject)

    with pytest.raises(OperationalError), changing_pages_of(subject.user_id):
        write_and_break_connection(admin)

    assert read(subject).outcome == "bypass"
    with time_machine.travel(time.time() + MARKER_SECONDS + 1):
        assert read(subject).outcome == "miss"


def test_a_process_whose_unmarked_write_broke_during_its_commit_uses_no_old_page(subject, admin, without_redis):
    fill(subject)
    with without_redis(), pytest.raises(OperationalError), changing_pages_of(subject.user_id):
        write_and_break_connection(admin)

    assert read(subject).outcome == "miss"


def test_pages_from_before_a_restart_of_redis_are_not_used(subject):
    fill(subject)
    with redis_guard() as client:
        client.set("pages:run", "the run before")  # what a snapshot brings back
    reset_client()

    assert read(subject).outcome == "miss"


def test_an_invalidation_by_hand_drops_the_users_pages(subject):
    fill(subject)

    forget_pages_of(subject.user_id)

    assert read(subject).outcome == "miss"


def test_an_invalidation_in_a_transaction_keeps_pages_from_being_stored_until_its_commit(subject):
    fill(subject)

    with transaction.atomic():
        forget_pages_of(subject.user_id)
        assert read(subject).outcome == "bypass"

    assert read(subject).outcome == "miss"


def test_every_key_of_the_cache_but_the_epoch_and_the_bookkeeping_has_an_end(subject, empty_redis):
    fill(subject)
    admit(subject, limits=[Limit("burst", 60, 60), Limit("sustained", 1000, 86_400)])
    with changing_pages_of(subject.user_id):
        keys = {key.decode(): empty_redis.ttl(key) for key in empty_redis.keys()}

    assert {key for key, ttl in keys.items() if ttl < 0} == {
        *("pages:epoch", "pages:run"),
        *("pages:stored", "pages:sizes", "pages:bytes"),
    }


def test_in_memory_mode_has_no_page_cache(subject, settings):
    settings.PAGE_CACHE_ENABLED = False

    assert read(subject).outcome == "none"
