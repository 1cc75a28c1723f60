import re
import smtplib
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.db.models import F

from accounts.models import PasswordReset, User
from accounts.querysets import SENDING
from accounts.services import password_resets, passwords, users
from accounts.services.password_resets import publish_due, send_mail, token_of
from accounts.services.sessions import Device, purge_expired
from tests.accounts.conftest import PASSWORD
from tests.conftest import client_of
from tests.factories import UserFactory

REQUEST = "/api/auth/password/reset/"
CONFIRM = "/api/auth/password/reset/confirm/"
NEW = "another rather long secret"


@pytest.fixture(autouse=True)
def published(monkeypatch) -> list[tuple]:
    """The messages to workers; nobody carries them out."""
    messages: list[tuple] = []
    monkeypatch.setattr(password_resets, "publish", lambda *message: messages.append(message) or True)
    return messages


def ask(client, email="alice@example.com"):
    return client.post(REQUEST, {"email": email}, format="json", headers={"X-Request-ID": "1"})


def confirm(client, token, new_password=NEW):
    return client.post(CONFIRM, {"token": token, "new_password": new_password}, format="json")


def make_older(reset: PasswordReset, **delta: float) -> None:
    """Move everything about the request into the past."""
    by = timedelta(**delta)
    PasswordReset.objects.filter(pk=reset.pk).update(
        **{field: F(field) - by for field in ("created_at", "claimed_until", "mailed_at")}
    )
    reset.refresh_from_db()


@pytest.fixture
def reset(alice) -> PasswordReset:
    return PasswordReset.objects.create(user=alice)


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_whether_anybody_has_the_address_the_answer_is_the_same(client, alice, committing, monkeypatch, published):
    UserFactory(email="disabled@example.com", is_active=False)
    waits = []
    monkeypatch.setattr(password_resets, "wait_out", waits.append)

    with committing():
        answers = [ask(client, f"{name}@example.com") for name in ("alice", "nobody", "disabled")]

    assert {(answer.status_code, answer.content) for answer in answers} == {(204, b"")}
    assert len(waits) == 3
    reset = PasswordReset.objects.get()
    assert reset.user == alice
    assert published == [
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


# --- The mail ---------------------------------------------------------------------------------------------------------


def test_the_mail_holds_a_token_that_works_in_text_and_html(client, alice, reset):
    assert send_mail(reset.pk)

    [message] = mail.outbox
    [(html, kind)] = message.alternatives
    assert (message.to, kind) == (["alice@example.com"], "text/html")
    assert token_of(reset) in html
    [token] = re.findall(r"^\d+-[0-9a-f]{64}$", message.body, re.MULTILINE)
    assert confirm(client, token).status_code == 204
    login = {"email": alice.email, "password": NEW}
    assert client.post("/api/auth/login/", login, format="json").status_code == 200


def test_a_mail_is_sent_once_however_often_its_task_comes(reset):
    assert [send_mail(reset.pk) for _ in range(3)] == [True, False, False]

    reset.refresh_from_db()
    assert reset.mailed_at is not None
    assert len(mail.outbox) == 1
    make_older(reset, seconds=120)
    assert not send_mail(reset.pk)


@pytest.mark.django_db(transaction=True)
def test_a_mail_is_sent_once_when_its_task_runs_many_times_at_once():
    reset = PasswordReset.objects.create(user=UserFactory())

    def send(_: int) -> bool:
        try:
            return send_mail(reset.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        sent = list(pool.map(send, range(8)))

    assert sent.count(True) == 1
    assert len(mail.outbox) == 1


def test_a_user_gets_no_second_mail_within_a_minute(alice, reset):
    send_mail(reset.pk)
    newer = PasswordReset.objects.create(user=alice)

    assert not send_mail(newer.pk)
    make_older(reset, seconds=61)
    assert send_mail(newer.pk)
    assert len(mail.outbox) == 2


def test_a_mail_that_its_server_did_not_take_is_tried_again_after_a_minute(reset, monkeypatch, published):
    class Down:
        def send_messages(self, messages):
            raise smtplib.SMTPServerDisconnected("down")

    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMultiAlternatives, "get_connection", lambda *args: Down())
        assert not send_mail(reset.pk)
    assert publish_due() == 0
    make_older(reset, seconds=61)

    assert publish_due() == 1
    assert published == [(password_resets.SEND_TASK, reset.pk)]
    assert send_mail(reset.pk)


@pytest.mark.parametrize(("minutes", "is_sent"), [(4, False), (5, True)])
def test_while_a_mail_may_be_under_way_no_other_is_sent(alice, reset, monkeypatch, minutes, is_sent):
    class Killed(BaseException):
        pass

    def kill(*args):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(mail.EmailMultiAlternatives, "send", kill)
        with pytest.raises(Killed):
            send_mail(reset.pk)
    make_older(reset, minutes=minutes)
    newer = PasswordReset.objects.create(user=alice)

    assert send_mail(newer.pk) is is_sent


def test_sending_ends_before_its_claim(settings):
    steps = 20  # connection, greeting, TLS, sign-in, envelope and text, with some to spare

    assert timedelta(seconds=settings.EMAIL_TIMEOUT) * steps < SENDING


@pytest.mark.parametrize("email", ["alice@\ue000.com", "alice@"])
def test_a_mail_that_no_server_could_take_is_given_up(reset, email):
    User.objects.update(email=email)

    assert not send_mail(reset.pk)
    make_older(reset, minutes=6)
    assert publish_due() == 0
    assert mail.outbox == []


def test_what_the_broker_did_not_take_is_published_again(reset, published):
    assert publish_due() == 1
    assert published == [(password_resets.SEND_TASK, reset.pk)]
    send_mail(reset.pk)

    assert publish_due() == 0


@pytest.mark.parametrize("change", ["used", "superseded", "too old", "disabled"])
def test_a_mail_that_would_open_nothing_is_not_sent(alice, reset, change):
    match change:
        case "used":
            PasswordReset.objects.update(used_at=F("created_at"))
        case "superseded":
            PasswordReset.objects.create(user=alice)
        case "too old":
            make_older(reset, hours=1)
        case "disabled":
            User.objects.update(is_active=False)

    assert not send_mail(reset.pk)
    assert mail.outbox == []


def test_a_task_without_its_row_is_dropped(db):
    assert not send_mail(0)


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


def test_somebody_elses_request_kills_no_token(client, charlie, reset):
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
