import argon2
import pytest
from django.contrib.auth.hashers import make_password

from accounts.models import Session, User
from accounts.services import passwords, steady_time
from accounts.services.sessions import raise_token_version
from tests.accounts.conftest import PASSWORD
from tests.factories import UserFactory

LOGIN = "/api/auth/login/"
CURRENT = "argon2$argon2id$v=19$m=19456,t=2,p=1$"


def log_in(client, email="alice@example.com", password=PASSWORD):
    return client.post(LOGIN, {"email": email, "password": password}, format="json")


@pytest.mark.parametrize("email", ["alice@example.com", " ALICE@Example.com "])
def test_login_begins_a_session(client, alice, email):
    response = log_in(client, email)

    assert response.status_code == 200
    assert response["Cache-Control"] == "no-store"
    assert sorted(response.json()) == ["access", "refresh", "user"]
    assert response.json()["user"]["email"] == "alice@example.com"
    session = Session.objects.get()
    assert (session.user_id, session.generation, session.ip) == (alice.pk, 1, "127.0.0.1")


def test_login_costs_one_read_and_one_write(client, alice, django_assert_num_queries):
    with django_assert_num_queries(2):  # the user, the session
        log_in(client)


@pytest.mark.parametrize("outdated", ["argon2 of Django's cost", "pbkdf2"])
def test_an_outdated_hash_is_replaced_by_one_more_write(client, db, django_assert_num_queries, outdated):
    user = UserFactory(email="alice@example.com", password=old_hash(outdated))

    with django_assert_num_queries(3):  # the user, the hash, the session
        assert log_in(client).status_code == 200

    user.refresh_from_db()
    assert user.password.startswith(CURRENT)
    assert log_in(client).status_code == 200


def old_hash(kind: str) -> str:
    if kind == "pbkdf2":
        return make_password(PASSWORD, hasher="pbkdf2_sha256")
    return "argon2" + argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)


def test_a_wrong_password_does_not_touch_an_outdated_hash(client, db):
    encoded = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user = UserFactory(email="alice@example.com", password=encoded)

    assert log_in(client, password="wrong").status_code == 401
    user.refresh_from_db()
    assert user.password == encoded


def failures(client, alice):
    """The answers to everything that may be wrong with a login."""
    UserFactory(email="disabled@example.com", password=alice.password, is_active=False)
    UserFactory(email="old@example.com", password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    UserFactory(email="unusable@example.com", password="!")
    UserFactory(email="garbage@example.com", password="")
    return [
        client.post(LOGIN, {"email": email, "password": password}, format="json", headers={"X-Request-ID": "1"})
        for email, password in [
            ("alice@example.com", "wrong"),
            ("nobody@example.com", PASSWORD),
            ("disabled@example.com", PASSWORD),
            ("disabled@example.com", "wrong"),
            ("old@example.com", "wrong"),
            ("unusable@example.com", PASSWORD),
            ("garbage@example.com", PASSWORD),
        ]
    ]


def test_whatever_is_wrong_the_answer_is_the_same(client, alice):
    answers = failures(client, alice)

    assert {answer.status_code for answer in answers} == {401}
    assert {answer["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "invalid_credentials"
    assert not Session.objects.exists()


class Clock:
    """A clock that only work and sleep move."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += seconds


@pytest.mark.parametrize("work", [0.02, 0.25, 0.39])
def test_whatever_is_wrong_the_answer_takes_the_same_time(alice, monkeypatch, work):
    clock = Clock()
    monkeypatch.setattr(steady_time, "time", clock)
    monkeypatch.setattr(steady_time, "STEP_SECONDS", 0.4)
    started = clock.monotonic()
    clock.now += work

    steady_time.wait_out(started)

    assert clock.now == pytest.approx(1000.4)


def test_every_failure_checks_one_password_and_waits(client, alice, monkeypatch):
    checks, waits = [], []
    verify = passwords.verify_password
    monkeypatch.setattr(passwords, "verify_password", lambda *args: checks.append(args) or verify(*args))
    monkeypatch.setattr("accounts.services.sign_in.wait_out", waits.append)

    count = len(failures(client, alice))

    assert (len(checks), len(waits)) == (count, count)


def test_a_password_changed_while_it_is_checked_does_not_open_a_session(client, alice, monkeypatch):
    check = passwords.check

    def change_meanwhile(**kwargs):
        verdict = check(**kwargs)
        raise_token_version(user_id=alice.pk)
        return verdict

    monkeypatch.setattr(passwords, "check", change_meanwhile)

    assert log_in(client).status_code == 401
    assert not Session.objects.exists()


def test_a_hash_upgrade_never_overwrites_a_new_password(alice):
    stale = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).update(password="changed meanwhile")

    passwords.upgrade(user=stale, password=PASSWORD)

    alice.refresh_from_db()
    assert alice.password == "changed meanwhile"


def test_a_stale_token_does_not_keep_anybody_from_signing_in(client, alice):
    client.credentials(HTTP_AUTHORIZATION="Bearer stale")

    assert log_in(client).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "alice@example.com"},
        {"email": "alice@example.com", "password": "x" * 1025},
        {"email": "alice@example.com", "password": 5},
        {"email": "alice@example.com", "password": PASSWORD, "remember": True},
        [],
        "text",
    ],
)
def test_a_malformed_body_is_400(client, alice, body):
    assert client.post(LOGIN, body, format="json").status_code == 400


def test_login_works_without_redis(client, alice, dead_redis):
    assert log_in(client).status_code == 200
