"""What an error report says: where it happened, and nothing of whose request it was."""

import json

import pytest
import sentry_sdk
from django.db import IntegrityError, transaction
from sentry_sdk.transport import Transport
from sentry_sdk.utils import event_from_exception

from tests.factories import UserFactory
from utils.monitoring import error_reports


class Captured(Transport):
    sent: list[str] = []

    def capture_envelope(self, envelope):
        self.sent += [json.dumps(item.payload.json) for item in envelope.items if item.payload.json]


@pytest.fixture
def client():
    Captured.sent = []
    options = error_reports.options("https://key@sentry.example.com/1", "test")
    return sentry_sdk.Client(**options, transport=Captured, default_integrations=False)


@pytest.mark.django_db
def test_neither_variables_nor_rows_leave_with_an_error(client):
    email = "@".join(["dora", "example.com"])  # reports quote the lines around an error
    UserFactory(email=email)
    try:
        with transaction.atomic():
            UserFactory(email=email)
    except IntegrityError as error:
        event, hint = event_from_exception(error, client_options=client.options)
    client.capture_event(event, hint)

    (report,) = Captured.sent
    assert "accounts_user_email_key" in report
    assert "test_neither_variables_nor_rows_leave_with_an_error" in report
    assert email not in report
    assert '"vars"' not in report


def test_of_a_request_its_path_leaves_and_nothing_else(client):
    request = {
        "url": "https://api.example.com/api/ai/tasks/1/events/",
        "method": "GET",
        "query_string": "ticket=secret",
        "headers": {"Authorization": "Bearer secret"},
        "cookies": {"sessionid": "secret"},
        "data": {"password": "secret"},
        "env": {"REMOTE_ADDR": "192.0.2.1"},
    }
    client.capture_event({"request": request})

    (report,) = Captured.sent
    assert "/api/ai/tasks/1/events/" in report
    assert "secret" not in report
    assert "192.0.2.1" not in report
