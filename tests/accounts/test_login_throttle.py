from concurrent.futures import ThreadPoolExecutor

import pytest
from django.test import RequestFactory

from accounts import login_throttle
from accounts.login_throttle import count_attempt, count_refresh
from tests.accounts.conftest import PASSWORD
from utils.exceptions import TooManyRequests

LOGIN = "/api/auth/login/"


def attempt(account: str = "alice@example.com", address: str = "203.0.113.9") -> int:
    """Seconds to wait; 0 if the attempt is let through."""
    request = RequestFactory().post(LOGIN, REMOTE_ADDR=address)
    try:
        count_attempt(request, account=account)
    except TooManyRequests as error:
        return int(error.headers["Retry-After"])
    return 0


@pytest.fixture
def limit(settings):
    def limit(rate: str | None) -> None:
        rest = settings.REST_FRAMEWORK
        settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "login": rate}}

    return limit


def pass_time(redis, part: str) -> None:
    """Let what Redis counts run out."""
    for key in redis.keys(f"login:{part}:*"):
        redis.delete(key)


def test_an_account_has_so_many_attempts_from_wherever_they_come(limit):
    limit("3/min")

    waits = [attempt(address=f"203.0.113.{n}") for n in range(5)]

    assert waits == [0, 0, 0, 60, 60]
    assert attempt(account="bob@example.com") == 0


def test_an_address_has_five_times_as_many_whatever_the_account(limit):
    limit("2/min")

    waits = [attempt(account=f"{n}@example.com") for n in range(12)]

    assert waits == [0] * 10 + [60, 60]
    assert attempt(account="a@example.com", address="203.0.113.10") == 0


def test_each_limit_that_is_hit_shuts_for_longer(limit, empty_redis):
    limit("1/min")
    shut = []
    for _ in range(6):
        attempt()
        shut.append(attempt())
        pass_time(empty_redis, "shut")

    assert shut == [60, 120, 240, 480, 900, 900]


def test_strikes_are_forgotten_in_time(limit, empty_redis):
    limit("1/min")
    attempt()
    assert attempt() == 60
    [key] = empty_redis.keys("login:strikes:account:*")
    assert 0 < empty_redis.ttl(key) <= 3600

    pass_time(empty_redis, "shut")
    pass_time(empty_redis, "strikes")
    attempt()
    assert attempt() == 60


def test_attempts_while_it_is_shut_neither_count_nor_prolong(limit, empty_redis):
    limit("2/min")
    waits = [attempt() for _ in range(20)]
    pass_time(empty_redis, "shut")

    assert waits == [0, 0] + [60] * 18
    assert [attempt(), attempt(), attempt()] == [0, 0, 120]


def test_exactly_the_limit_passes_when_all_come_at_once(limit):
    limit("10/min")

    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda _: attempt(), range(100)))

    assert waits.count(0) == 10


def test_redis_is_told_no_address_of_anybody(limit, empty_redis):
    attempt()

    assert len(empty_redis.keys("login:*")) == 2
    assert not [key for key in empty_redis.keys("*") if b"alice" in key]
    assert all(empty_redis.ttl(key) > 0 for key in empty_redis.keys("login:*"))


def test_one_subscriber_of_ipv6_is_one_address():
    assert (
        login_throttle._network("2001:db8:1:2:3::4") == login_throttle._network("2001:db8:1:2::9") == "2001:db8:1:2::"
    )
    assert login_throttle._network("203.0.113.9") == "203.0.113.9"


def test_a_server_that_knows_no_address_counts_by_account(limit):
    limit("1/min")

    assert [attempt(address=""), attempt(address="")] == [0, 60]


def test_without_redis_each_process_counts_for_itself(limit, dead_redis):
    limit("2/min")

    waits = [attempt() for _ in range(4)]

    assert waits[:2] == [0, 0]
    assert all(0 < wait <= 60 for wait in waits[2:])


def test_a_rate_of_none_lifts_the_limit(limit, empty_redis):
    limit(None)

    assert [attempt() for _ in range(100)] == [0] * 100
    assert empty_redis.keys("login:*") == []


def test_a_shut_account_is_told_when_to_come_back(client, alice, limit):
    limit("2/min")
    body = {"email": "Alice@example.com", "password": PASSWORD}
    first = client.post(LOGIN, body, format="json")
    client.post(LOGIN, body, format="json")

    response = client.post(LOGIN, body, format="json")

    assert (first["RateLimit-Limit"], first["RateLimit-Remaining"], first["RateLimit-Reset"]) == ("2", "1", "60")
    assert response.status_code == 429
    assert (response.json()["code"], response["Retry-After"]) == ("throttled", "60")
    assert (response["RateLimit-Limit"], response["RateLimit-Remaining"]) == ("2", "0")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("register", {"email": "dora@example.com", "name": "", "password": "a rather long secret"}),
        ("password/reset", {"email": "dora@example.com"}),
        ("login", {"email": "dora@example.com", "password": "x"}),
    ],
)
def test_register_reset_and_login_share_one_limit(client, db, limit, path, body):
    limit("2/min")
    attempt(account="dora@example.com")
    attempt(account="dora@example.com")

    assert client.post(f"/api/auth/{path}/", body, format="json").status_code == 429


def test_refreshes_from_one_address_are_limited_without_a_query(client, db, limit, django_assert_num_queries):
    limit("1/min")

    def refresh(address="203.0.113.9"):
        return client.post("/api/auth/refresh/", {"refresh": "forged"}, format="json", REMOTE_ADDR=address)

    with django_assert_num_queries(0):
        answers = [refresh() for _ in range(61)]

    assert [answer.status_code for answer in answers] == [401] * 60 + [429]
    first, refused = answers[0], answers[60]
    assert (first["RateLimit-Limit"], first["RateLimit-Remaining"], first["RateLimit-Reset"]) == ("60", "59", "60")
    assert (refused.json()["code"], refused["Retry-After"]) == ("throttled", "60")
    assert refresh(address="203.0.113.10").status_code == 401
    assert attempt() == 0


def test_the_limit_of_refreshes_shuts_for_one_window_however_often_it_is_hit(limit, empty_redis):
    limit("1/min")
    request = RequestFactory().post("/api/auth/refresh/", REMOTE_ADDR="203.0.113.9")
    shut = []
    for _ in range(3):
        for _ in range(60):
            count_refresh(request)
        with pytest.raises(TooManyRequests) as error:
            count_refresh(request)
        shut.append(error.value.headers["Retry-After"])
        pass_time(empty_redis, "shut")

    assert shut == ["60", "60", "60"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("auth/password/change", {"old_password": "wrong", "new_password": "a rather long secret"}),
        ("users/me/delete", {"password": "wrong"}),
    ],
)
def test_a_stolen_access_token_does_not_help_to_guess_the_password(alice_client, limit, path, body):
    limit("2/min")

    answers = [alice_client.post(f"/api/{path}/", body, format="json").status_code for _ in range(3)]

    assert answers == [400, 400, 429]
