from collections import Counter
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher, low_level
from django.contrib.auth import hashers
from django.contrib.auth.hashers import make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import Session, User
from accounts.services import constant_time_login, passwords
from tests.accounts.conftest import PASSWORD
from tests.database_faults import in_background, uncommitted
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
def test_an_outdated_hash_is_replaced_by_one_more_read_and_write(client, db, django_assert_num_queries, outdated):
    user = UserFactory(email="alice@example.com", password=old_hash(outdated))

    with django_assert_num_queries(4):  # the user, the kinds of hashes, the hash, the session
        assert log_in(client).status_code == 200

    user.refresh_from_db()
    assert user.password.startswith(CURRENT)
    assert log_in(client).status_code == 200


def old_hash(kind: str) -> str:
    if kind == "pbkdf2":
        return make_password(PASSWORD, hasher="pbkdf2_sha256")
    return "argon2" + PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)


def test_a_wrong_password_does_not_touch_an_outdated_hash(client, db):
    encoded = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user = UserFactory(email="alice@example.com", password=encoded)

    assert log_in(client, password="wrong").status_code == 401
    user.refresh_from_db()
    assert user.password == encoded


@pytest.fixture
def work(monkeypatch) -> Callable[[Callable], dict[str, int]]:
    """What a call hashes: how often each cost of Argon2, and how many iterations of PBKDF2 in all.

    The libraries' own functions are counted, not replaced: but for that only time would tell.
    """
    done: Counter[str] = Counter()
    verify, hash_secret, pbkdf2 = PasswordHasher.verify, low_level.hash_secret, hashers.pbkdf2

    def counting_verify(hasher, encoded, password):
        done[encoded.rsplit("$", 2)[0]] += 1
        return verify(hasher, encoded, password)

    def counting_hash_secret(*args, time_cost, memory_cost, parallelism, **kwargs):
        done[f"$argon2id$v=19$m={memory_cost},t={time_cost},p={parallelism}"] += 1
        costs = {"time_cost": time_cost, "memory_cost": memory_cost, "parallelism": parallelism}
        return hash_secret(*args, **costs, **kwargs)

    def counting_pbkdf2(password, salt, iterations, **kwargs):
        done["pbkdf2"] += iterations
        return pbkdf2(password, salt, iterations, **kwargs)

    monkeypatch.setattr(PasswordHasher, "verify", counting_verify)
    monkeypatch.setattr(low_level, "hash_secret", counting_hash_secret)
    monkeypatch.setattr(hashers, "pbkdf2", counting_pbkdf2)

    def work(call: Callable) -> dict[str, int]:
        done.clear()
        call()
        return dict(done)

    return work


OURS = "$argon2id$v=19$m=19456,t=2,p=1"
WRONG = [
    ("alice@example.com", "wrong"),
    ("nobody@example.com", PASSWORD),
    ("disabled@example.com", PASSWORD),
    ("unusable@example.com", PASSWORD),
    ("garbage@example.com", PASSWORD),
]
WRONG_AND_OLD = [
    ("argon2@example.com", "wrong"),
    ("pbkdf2@example.com", "wrong"),
    ("older@example.com", "wrong"),
    ("older-disabled@example.com", PASSWORD),
]


@pytest.fixture
def everybody(alice) -> None:
    UserFactory(email="disabled@example.com", password=alice.password, is_active=False)
    UserFactory(email="unusable@example.com", password="!")
    UserFactory(email="garbage@example.com", password="")


@pytest.fixture
def everybody_old(everybody) -> None:
    """Users from elsewhere, whose hashes are of three kinds."""
    pbkdf2 = hashers.PBKDF2PasswordHasher()
    UserFactory(email="argon2@example.com", password=old_hash("argon2 of Django's cost"))
    UserFactory(email="pbkdf2@example.com", password=pbkdf2.encode(PASSWORD, "salt", 3000))
    older = pbkdf2.encode(PASSWORD, "salt", 1000)
    UserFactory(email="older@example.com", password=older)
    UserFactory(email="older-disabled@example.com", password=older, is_active=False)


def test_whatever_is_wrong_the_answer_is_the_same(client, everybody_old):
    answers = [
        client.post(LOGIN, {"email": email, "password": password}, format="json", headers={"X-Request-ID": "1"})
        for email, password in WRONG + WRONG_AND_OLD
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert {answer["WWW-Authenticate"] for answer in answers} == {"Bearer"}
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].json()["code"] == "invalid_credentials"
    assert not Session.objects.exists()


@pytest.mark.parametrize(("email", "password"), WRONG)
def test_where_every_hash_is_ours_a_failure_checks_one(client, everybody, work, email, password):
    assert work(lambda: log_in(client, email, password)) == {OURS: 1}


@pytest.mark.parametrize(("email", "password"), WRONG + WRONG_AND_OLD)
def test_whatever_is_wrong_the_work_is_that_of_every_kind_of_hash(client, everybody_old, work, email, password):
    done = work(lambda: log_in(client, email, password))

    assert done == {OURS: 1, "$argon2id$v=19$m=8192,t=1,p=1": 1, "pbkdf2": 3000}


def test_a_right_password_costs_no_more_because_others_have_outdated_hashes(client, everybody_old, work):
    assert work(lambda: log_in(client)) == {OURS: 1}


@pytest.mark.parametrize(("email", "password"), WRONG + WRONG_AND_OLD)
def test_a_request_refused_by_too_many_checks_has_done_the_same_work(
    client, everybody_old, work, no_slot_is_free, email, password
):
    answers = []

    with no_slot_is_free:
        done = work(lambda: answers.append(log_in(client, email, password)))

    assert done == {OURS: 1}
    assert [(answer.status_code, answer["Retry-After"]) for answer in answers] == [(503, "2")]
    assert log_in(client, email, password).status_code == 401


def test_outdated_hashes_leave_three_threads_of_four_free(no_slot_is_free):
    with no_slot_is_free:
        with pytest.raises(constant_time_login.TooManyChecks), constant_time_login.checking_outdated_hashes():
            pass

    with constant_time_login.checking_outdated_hashes():
        pass


@pytest.mark.django_db(transaction=True)
def test_outdated_hashes_are_found_by_their_index():
    UserFactory.create_batch(50)
    with connection.cursor() as cursor, CaptureQueriesContext(connection) as queries:
        constant_time_login.outdated_hash_kinds()
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {queries.captured_queries[0]['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")

    assert "user_outdated_hash_idx" in plan


@pytest.mark.django_db(transaction=True)
def test_a_password_changed_while_it_is_checked_does_not_open_a_session(client, alice):
    change = "UPDATE accounts_user SET token_version = token_version + 1 WHERE id = %s"
    with uncommitted(change, alice.pk) as changed, in_background(lambda: log_in(client)) as answer:
        changed.wait_for_one()  # the password was right
        changed.open()

    assert answer.result().status_code == 401
    assert not Session.objects.exists()


def test_a_hash_upgrade_never_overwrites_a_new_password(alice):
    stale = User.objects.get(pk=alice.pk)
    User.objects.filter(pk=alice.pk).update(password="changed meanwhile")

    passwords.upgrade(user=stale, password=PASSWORD)

    alice.refresh_from_db()
    assert alice.password == "changed meanwhile"


def test_checking_a_password_writes_nothing(db):
    encoded = hashers.PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000)
    stale = UserFactory(password=encoded)
    User.objects.filter(pk=stale.pk).update(password="changed meanwhile")

    assert stale.check_password(PASSWORD)
    assert User.objects.get(pk=stale.pk).password == "changed meanwhile"


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
