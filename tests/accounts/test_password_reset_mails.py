"""The mail of a password reset: sent once, found again where it was not, given up where it never will be."""

import re
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.db.models import F

from accounts.models import PasswordReset, User
from accounts.querysets import SEND_TIMEOUT
from accounts.services import password_resets
from accounts.services.password_resets import publish_due, send_mail, token_of
from accounts.services.sessions import purge_expired
from tests.accounts.password_resets import NEW, confirm, make_older
from tests.broker import messages
from tests.conftest import Interrupted
from tests.factories import UserFactory


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


class MailServer(socketserver.StreamRequestHandler):
    """Says yes to everything, as a mail server does that takes a mail, after what a test has it do ``first``."""

    def handle(self) -> None:
        if self.server.first and self.server.first() == "hang up":
            return
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                self.server.mails.append(b"".join(iter(self.rfile.readline, b".\r\n")))
            self.wfile.write(b"250 fine\r\n")


@pytest.fixture
def mail_server(settings):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), MailServer) as server:
        server.mails, server.first = [], None
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = server.server_address
        settings.EMAIL_USE_TLS = settings.EMAIL_USE_SSL = False
        yield server
        server.shutdown()


def test_a_mail_that_its_server_did_not_take_is_tried_again_after_a_minute(reset, mail_server, empty_redis):
    mail_server.first = lambda: "hang up"
    assert not send_mail(reset.pk)
    assert publish_due() == 0
    make_older(reset, seconds=61)

    assert publish_due() == 1
    assert messages(empty_redis) == [(password_resets.SEND_TASK, reset.pk)]
    mail_server.first = None
    assert send_mail(reset.pk)
    assert len(mail_server.mails) == 1


@pytest.mark.parametrize("sender", ["NoteAssist, Inc <a@b.co>", "a@b.co\nBcc: c@d.co"])
def test_a_mail_that_cannot_be_made_is_an_error_and_stays_due(reset, settings, caplog, mail_server, sender):
    settings.DEFAULT_FROM_EMAIL = sender

    assert not send_mail(reset.pk)

    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage().startswith(f"The mail of password reset {reset.pk} was not sent (")
    make_older(reset, seconds=61)
    assert publish_due() == 1
    settings.DEFAULT_FROM_EMAIL = '"NoteAssist, Inc" <a@b.co>'
    assert send_mail(reset.pk)
    assert len(mail_server.mails) == 1
    assert b'From: "NoteAssist, Inc" <a@b.co>' in mail_server.mails[0]


def test_a_mail_that_was_never_sent_ends_with_an_error(alice, charlie, reset, caplog):
    sent = PasswordReset.objects.create(user=charlie)
    send_mail(sent.pk)
    tries = 0
    for _ in range(100):
        make_older(reset, seconds=65)
        tries += publish_due()
    make_older(sent, hours=2)

    assert purge_expired() == 2

    assert tries == 55  # each of which would be 65 seconds later, within the hour
    [record] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert record.getMessage() == f"No mail could be sent for 1 password resets, which have ended: [{reset.pk}]"


@pytest.mark.parametrize(("minutes", "is_sent"), [(4, False), (5, True)])
def test_while_a_mail_may_be_under_way_no_other_is_sent(alice, reset, mail_server, interrupt, minutes, is_sent):
    mail_server.first = interrupt
    with pytest.raises(Interrupted):
        send_mail(reset.pk)
    mail_server.first = None
    make_older(reset, minutes=minutes)
    newer = PasswordReset.objects.create(user=alice)

    assert send_mail(newer.pk) is is_sent


def test_sending_ends_before_its_claim(settings):
    steps = 20  # connection, greeting, TLS, sign-in, envelope and text, with some to spare

    assert timedelta(seconds=settings.EMAIL_TIMEOUT) * steps < SEND_TIMEOUT


@pytest.mark.parametrize("email", ["alice@\ue000.com", "alice@"])
def test_a_mail_that_no_server_could_take_is_given_up(reset, email):
    User.objects.update(email=email)

    assert not send_mail(reset.pk)
    make_older(reset, minutes=6)
    assert publish_due() == 0
    assert mail.outbox == []


def test_tasks_that_the_broker_did_not_accept_are_published_again(reset, empty_redis):
    assert publish_due() == 1
    assert messages(empty_redis) == [(password_resets.SEND_TASK, reset.pk)]
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
