from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection

from accounts.models import PasswordReset, User
from accounts.services import constant_time_response, password_resets, passwords, users
from accounts.services.password_resets import token_of
from accounts.services.sessions import Device, purge_expired
from tests.accounts.conftest import PASSWORD
from tests.accounts.password_resets import NEW, REQUEST, ask, confirm, make_older
from tests.accounts.test_constant_time_response import Clock
from tests.broker import messages
from tests.conftest import client_of
from tests.factories import UserFactory

# --- Asking -----------------------------------------------------------------------------------------------------------


def test_whether_anybody_has_the_address_the_answer_is_the_same(client, alice, committing, monkeypatch, empty_redis):
    UserFactory(email="disabled@example.com", is_active=False)
    clock = Clock()
    for module in (password_resets, constant_time_response):
        monkeypatch.setattr(module, "time", clock)

    with committing():
        answers = [ask(client, f"{name}@example.com") for name in ("alice", "nobody", "disabled")]

    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert clock.slept == [constant_time_response.STEP_SECONDS] * 3
    reset = PasswordReset.objects.get()
    assert reset.user == alice
    assert messages(empty_redis) == [
        (password_resets.SEND_TASK, reset.pk),
        (password_resets.SEND_TASK, 0),
        (password_resets.SEND_TASK, 0),
    ]


def test_every_request_takes_the_same_queries(client, alice, django_assert_num_queries):
    for name in ("alice", "nobody"):
        with django_assert_num_queries(1):
            ask(client, f"{name}@example.com")


def test_asking_again_within_a_minute_leaves_the_first_mail_good(client, alice):
    ask(client)
    ask(client, "ALICE@example.com")

    reset = PasswordReset.objects.get()
    make_older(reset, seconds=61)
    ask(client)
    assert PasswordReset.objects.count() == 2


@pytest.mark.parametrize("body", [{}, {"email": "x"}, {"email": "alice@example.com", "user": 1}])
def test_a_malformed_body_is_400(client, db, body):
    assert client.post(REQUEST, body, format="json").status_code == 400


# --- Choosing the new password ----------------------------------------------------------------------------------------


def test_a_new_password_ends_every_session(client, alice, alice_client, reset, committing):
    assert alice_client.get("/api/users/me/").status_code == 200

    with committing():
        assert confirm(client, token_of(reset)).status_code == 204

    assert alice_client.get("/api/users/me/").status_code == 401
    alice.refresh_from_db()
    assert alice.check_password(NEW)


def test_a_token_works_once(client, reset):
    token = token_of(reset)

    assert [confirm(client, token).status_code for _ in range(2)] == [204, 400]


@pytest.mark.django_db(transaction=True)
def test_a_token_works_once_when_it_comes_many_times_at_once():
    user = UserFactory()
    token = token_of(PasswordReset.objects.create(user=user))

    def in_thread(number: int) -> bool:
        try:
            password_resets.confirm_reset(token=token, new_password=f"{NEW} {number}")
        except password_resets.InvalidResetToken:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(5) as pool:
        worked = list(pool.map(in_thread, range(5)))

    user.refresh_from_db()
    assert worked.count(True) == 1
    assert user.check_password(f"{NEW} {worked.index(True)}")


def test_a_token_dies_with_a_newer_request(client, alice, reset):
    newer = PasswordReset.objects.create(user=alice)

    assert confirm(client, token_of(reset)).status_code == 400
    assert confirm(client, token_of(newer)).status_code == 204


def test_another_users_request_invalidates_no_token(client, charlie, reset):
    PasswordReset.objects.create(user=charlie)

    assert confirm(client, token_of(reset)).status_code == 204


def test_a_token_dies_with_a_change_of_the_password(client, alice, reset):
    passwords.change(user_id=alice.pk, old_password=PASSWORD, new_password=f"{NEW} 2", device=Device())

    assert confirm(client, token_of(reset)).status_code == 400


def test_a_token_dies_with_a_change_of_the_address(client, alice, reset):
    token = token_of(reset)
    users.change_account(user_id=alice.pk, email="new@example.com", name="Alice", is_active=True, is_staff=False)

    assert confirm(client, token).status_code == 400


def test_a_token_dies_with_logout_everywhere(client, alice, reset):
    client_of(alice).post("/api/auth/logout-all/")

    assert confirm(client, token_of(reset)).status_code == 400


def test_a_token_dies_after_an_hour(client, reset):
    make_older(reset, minutes=59)
    fresh = token_of(reset)
    make_older(reset, minutes=1)
    stale = token_of(reset)

    assert confirm(client, stale).status_code == 400
    assert fresh != stale  # a token is of the row as it is


def test_a_disabled_user_cannot_use_a_token(client, alice, reset):
    User.objects.update(is_active=False)

    assert confirm(client, token_of(reset)).status_code == 400


def test_a_token_of_another_row_or_none_is_refused(client, alice, charlie, reset):
    number, signature = token_of(reset).split("-")
    other = PasswordReset.objects.create(user=charlie)
    tokens = [
        f"{other.pk}-{signature}",
        f"{number}-{signature[:-1]}",
        f"{number}-",
        "-",
        "x-y",
        f"{'9' * 60}-{signature}",
        "\u0661-a",
    ]

    answers = [confirm(client, token) for token in tokens]

    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(400, "reset_token_invalid")}
    assert {answer.json()["errors"][0]["pointer"] for answer in answers} == {"/token"}


def test_an_unacceptable_password_leaves_the_token_good(client, reset):
    response = confirm(client, token_of(reset), "short")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/new_password")
    assert confirm(client, token_of(reset)).status_code == 204


def test_old_requests_are_purged(reset):
    make_older(reset, minutes=59)
    assert purge_expired() == 0
    make_older(reset, minutes=2)

    assert purge_expired() == 1
