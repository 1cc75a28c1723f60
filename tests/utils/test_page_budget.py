"""Pages have a budget of their own: nobody's reading evicts what must not be lost."""

import time

import pytest
import redis as redis_client
from django.conf import settings as django_settings

from tests.conftest import client_of
from tests.factories import NoteFactory
from tests.service_client import ServiceClient
from utils.page_cache.keys import SIZES_KEY, STORED_KEY, TOTAL_KEY, pages_key
from utils.page_cache.lookup import PAGE_OVERHEAD_BYTES, USER_PAGES_MAX, store_page

pytestmark = pytest.mark.usefixtures("no_limits")


def pages_of(redis, user) -> list[bytes]:
    return redis.keys(f"page:*:{user.pk}:*")


def store(user_id: int, name: object, *, body: bytes = b"body", ttl: int = 180) -> str:
    key = f"page:epoch:{user_id}:token:{name}"
    store_page(key, etag="tag", body=body, ttl=ttl)
    return key


def names(redis, pattern: str = "page:*") -> list[int]:
    return sorted(int(key.rsplit(b":", 1)[1]) for key in redis.keys(pattern))


def assert_the_books_agree(redis) -> None:
    sizes = {key: int(size) for key, size in redis.hgetall(SIZES_KEY).items()}
    assert sizes == {key: redis.hstrlen(key, "body") + PAGE_OVERHEAD_BYTES for key in redis.keys("page:*")}
    assert set(redis.zrange(STORED_KEY, 0, -1)) == sizes.keys()
    assert int(redis.get(TOTAL_KEY) or 0) == sum(sizes.values())


@pytest.mark.parametrize("through_django", [True, False])
def test_unknown_parameters_name_no_page_and_no_lock(alice, empty_redis, through_django):
    client = client_of(alice, client_class=ServiceClient)
    client.get("/api/users/me/")
    before = set(empty_redis.keys())
    accept = {"headers": {"X-Forwarded-Proto": "https"}} if through_django else {}

    for path in ("/api/notes/?junk=1", "/api/chapters/?note=1&junk=2", "/api/ai/tasks/?junk=3", "/api/tags/?junk=4"):
        assert client.get(path, **accept).status_code == 400

    assert set(empty_redis.keys()) == before


def test_a_user_has_at_most_twenty_pages_whatever_they_ask_for(
    alice, alice_client, charlie, charlie_client, empty_redis
):
    NoteFactory(user=charlie)
    charlie_client.get("/api/notes/")
    [kept] = pages_of(empty_redis, charlie)

    for word in range(USER_PAGES_MAX + 5):
        assert alice_client.get(f"/api/notes/?search=word{word}").status_code == 200

    assert len(pages_of(empty_redis, alice)) == USER_PAGES_MAX
    assert empty_redis.zcard(pages_key(alice.pk)) == USER_PAGES_MAX
    assert pages_of(empty_redis, charlie) == [kept]
    assert_the_books_agree(empty_redis)


@pytest.mark.django_db(transaction=True)  # or each write would bypass the cache until its COMMIT
def test_pages_that_a_write_made_unreachable_count_too(alice, alice_client, empty_redis):
    for number in range(USER_PAGES_MAX + 5):
        alice_client.get("/api/notes/")
        alice_client.post("/api/notes/", {"title": f"note {number}"}, format="json")

    assert len(pages_of(empty_redis, alice)) == USER_PAGES_MAX
    assert_the_books_agree(empty_redis)


def test_the_oldest_of_a_users_pages_give_way(empty_redis):
    for number in range(USER_PAGES_MAX + 3):
        store(7, number)
        time.sleep(0.002)  # pages are ordered by the millisecond

    assert names(empty_redis) == list(range(3, USER_PAGES_MAX + 3))


def test_all_pages_together_stay_within_their_budget(empty_redis, settings):
    settings.PAGE_CACHE_BYTES = 10 * (1000 + PAGE_OVERHEAD_BYTES)
    for number in range(25):
        store(number, number, body=b"x" * 1000, ttl=100 + number)

    assert names(empty_redis) == list(range(15, 25))
    assert int(empty_redis.get(TOTAL_KEY)) == settings.PAGE_CACHE_BYTES
    assert_the_books_agree(empty_redis)


def test_a_page_larger_than_the_budget_is_not_stored(empty_redis, settings):
    settings.PAGE_CACHE_BYTES = 2000
    store(7, 1, body=b"x" * 1000)

    assert names(empty_redis) == []
    assert_the_books_agree(empty_redis)


def test_a_page_that_is_stored_again_counts_once(empty_redis):
    store(7, 1, body=b"long" * 100)
    store(7, 1, body=b"short")

    assert int(empty_redis.get(TOTAL_KEY)) == len(b"short") + PAGE_OVERHEAD_BYTES
    assert_the_books_agree(empty_redis)


def test_pages_that_have_expired_give_their_room_back(empty_redis):
    for number in range(5):
        store(7, number, ttl=1)
    time.sleep(1.1)
    store(8, 9)

    assert names(empty_redis) == [9]
    assert_the_books_agree(empty_redis)


def test_no_reading_evicts_the_strikes_and_limits_of_others(own_redis, settings):
    """In 8 MB, of which pages may take half; without their budget they take all, and Redis evicts what is oldest."""
    settings.PAGE_CACHE_BYTES = 4 * 1024**2
    with redis_client.Redis.from_url(django_settings.REDIS_URL) as redis:
        redis.config_set("maxmemory", "12mb")
        redis.config_set("maxmemory-samples", 10)
        for number in range(500):
            redis.set(f"login:strikes:{number}", 1, ex=3600)

        for number in range(200):
            store(number, number, body=b"x" * 100_000)

        assert redis.info()["evicted_keys"] == 0
        assert len(redis.keys("login:strikes:*")) == 500
