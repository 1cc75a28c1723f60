import math
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.http import HttpRequest
from django.test import RequestFactory

from accounts.login_throttle import AttemptKind, count_login_attempt, count_refresh, remember_address
from tests.accounts.conftest import PASSWORD
from utils.http.errors import TooManyRequests

LOGIN = "/api/auth/login/"


def request_from(address: str) -> HttpRequest:
    return RequestFactory().post(LOGIN, REMOTE_ADDR=address)


def attempt(account: str = "alice@example.com", address: str = "203.0.113.9", kind: AttemptKind = "email") -> int:
    """Seconds to wait, rounded up to 20, as a slow machine takes some itself; 0 if the attempt is let through."""
    try:
        count_login_attempt(request_from(address), kind=kind, name=account)
    except TooManyRequests as error:
        return math.ceil(int(error.headers["Retry-After"]) / 20) * 20
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


def test_an_account_has_so_many_attempts_from_one_address(limit):
    limit("3/min")

    assert [attempt() for _ in range(5)] == [0, 0, 0, 60, 60]
    assert attempt(account="bob@example.com") == 0


def test_attempts_from_one_address_do_not_lock_the_account_for_another(limit, empty_redis):
    limit("3/min")
    for _ in range(6):
        for _ in range(4):
            attempt(address="198.51.100.7")
        pass_time(empty_redis, "shut")
        assert attempt(address="203.0.113.9") == 0
        pass_time(empty_redis, "attempts")


def test_an_account_has_ten_times_as_many_from_all_addresses_together(limit):
    limit("2/min")

    waits = [attempt(address=f"203.0.113.{n}") for n in range(22)]

    assert waits == [0] * 20 + [60, 60]


def test_attempts_from_elsewhere_do_not_lock_an_address_that_has_signed_in(client, alice, limit, empty_redis):
    limit("2/min")
    client.post(LOGIN, {"email": alice.email, "password": PASSWORD}, format="json", REMOTE_ADDR="198.51.100.7")
    waits = [attempt(address=f"203.0.113.{n}") for n in range(22)]
    assert waits[-1] == 60

    assert [attempt(address="198.51.100.7"), attempt(address="198.51.100.7")] == [0, 60]
    assert attempt(address="198.51.100.8") == 60
    [key] = empty_redis.keys("login:known:*")
    assert 0 < empty_redis.ttl(key) <= 30 * 24 * 3600


@pytest.mark.parametrize(("password", "status", "known"), [(PASSWORD, 200, 1), ("wrong", 401, 0)])
def test_only_who_signs_in_is_known(client, alice, empty_redis, password, status, known):
    response = client.post(LOGIN, {"email": alice.email, "password": password}, format="json")

    assert response.status_code == status
    assert len(empty_redis.keys("login:known:*")) == known


def test_each_kind_of_attempt_is_counted_apart(limit):
    limit("1/min")
    kinds: list[AttemptKind] = ["email", "reset", "user", "token"]

    assert [attempt(account="alice@example.com", kind=kind) for kind in kinds] == [0, 0, 0, 0]
    assert [attempt(account="alice@example.com", kind=kind) for kind in kinds] == [60, 60, 60, 60]


def test_an_address_has_five_times_as_many_whatever_the_account(limit):
    limit("2/min")

    waits = [attempt(account=f"{n}@example.com") for n in range(12)]

    assert waits == [0] * 10 + [60, 60]
    assert attempt(account="a@example.com", address="203.0.113.10") == 0


def test_each_exceeded_limit_locks_for_longer(limit, empty_redis):
    limit("1/min")
    shut = []
    for _ in range(6):
        attempt()
        shut.append(attempt())
        pass_time(empty_redis, "shut")
        pass_time(empty_redis, "attempts")

    assert shut == [60, 120, 240, 480, 900, 900]


def test_strikes_are_forgotten_in_time(limit, empty_redis):
    limit("1/min")
    attempt()
    assert attempt() == 60
    [key] = empty_redis.keys("login:strikes:*")
    assert 0 < empty_redis.ttl(key) <= 3600

    pass_time(empty_redis, "shut")
    pass_time(empty_redis, "strikes")
    attempt()
    assert attempt() == 60


def test_attempts_during_a_lockout_neither_count_nor_extend_it(limit, empty_redis):
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

    remember_address(request_from("203.0.113.9"), email="alice@example.com")

    assert len(empty_redis.keys("login:*")) == 4
    assert not [key for key in empty_redis.keys("*") if b"alice" in key]
    assert all(empty_redis.ttl(key) > 0 for key in empty_redis.keys("login:*"))


@pytest.mark.parametrize(
    ("address", "wait"),
    [("2001:db8:1:2::9", 60), ("2001:db8:1:2:ffff::", 60), ("2001:db8:1:3::4", 0), ("203.0.113.9", 0)],
)
def test_one_subscriber_of_ipv6_is_one_address(limit, address, wait):
    limit("3/min")
    for _ in range(4):
        attempt(address="2001:db8:1:2:3::4")

    assert attempt(address=address) == wait


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


def test_a_locked_account_gets_retry_after(client, alice, limit):
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
    ("path", "body", "kind"),
    [
        ("register", {"email": "dora@example.com", "name": "", "password": "a rather long secret"}, "email"),
        ("login", {"email": "dora@example.com", "password": "x"}, "email"),
        ("password/reset", {"email": "dora@example.com"}, "reset"),
        ("password/reset/confirm", {"token": "dora@example.com", "new_password": "x"}, "token"),
    ],
)
def test_whoever_is_not_signed_in_is_counted_by_what_they_attempt(client, db, limit, path, body, kind):
    limit("2/min")
    for other in {"email", "reset", "user", "token"} - {kind}:
        attempt(account="dora@example.com", address="127.0.0.1", kind=other)
        attempt(account="dora@example.com", address="127.0.0.1", kind=other)
    assert client.post(f"/api/auth/{path}/", body, format="json").status_code != 429

    attempt(account="dora@example.com", address="127.0.0.1", kind=kind)

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
    assert first["RateLimit-Policy"] == '"refresh-address";q=60;w=60'
    assert (refused.json()["code"], refused["Retry-After"]) == ("throttled", "60")
    assert refresh(address="203.0.113.10").status_code == 401
    assert attempt() == 0


def test_the_limit_of_refreshes_locks_for_one_window_however_often_it_is_exceeded(limit, empty_redis):
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


def test_a_locked_login_does_not_lock_the_password_reset(client, alice, limit):
    limit("1/min")
    login = {"email": alice.email, "password": "wrong"}
    assert [client.post(LOGIN, login, format="json").status_code for _ in range(2)] == [401, 429]

    reset = client.post("/api/auth/password/reset/", {"email": alice.email}, format="json")

    assert reset.status_code == 204


def test_a_code_with_a_users_id_does_not_count_against_that_user(client, alice, alice_client, limit):
    limit("2/min")
    for token in (f"user:{alice.pk}", f"{alice.pk}", "alice@example.com"):
        for _ in range(3):
            attempt(account=token, address="198.51.100.7", kind="token")

    answer = alice_client.post("/api/users/me/delete/", {"password": "wrong"}, format="json")
    login = client.post(LOGIN, {"email": alice.email, "password": PASSWORD}, format="json")

    assert (answer.status_code, login.status_code) == (400, 200)


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
