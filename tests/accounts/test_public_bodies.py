"""What anybody may send costs little, whatever it is."""

import pytest

from tests.test_security import OPEN_TO_EVERYBODY
from utils.http.json import PUBLIC_MAX_BYTES, PUBLIC_MAX_VALUES

PUBLIC = sorted(path for method, path in OPEN_TO_EVERYBODY if method == "POST" and path.startswith("/api/auth/"))


def send(client, path, body: bytes, **headers):
    return client.post(path, body, content_type="application/json", **headers)


@pytest.fixture
def no_lockouts(settings):
    """A limit that no test reaches."""
    rest = settings.REST_FRAMEWORK
    settings.REST_FRAMEWORK = {
        **rest,
        "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "login": "9999/min"},
    }


@pytest.mark.parametrize("path", [*PUBLIC, "/admin/login/"])
def test_a_body_over_sixteen_kilobytes_is_refused_by_its_length(client, db, no_lockouts, path):
    response = send(client, path, b" " * (PUBLIC_MAX_BYTES + 1))

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("path", PUBLIC)
def test_a_body_of_sixteen_kilobytes_is_read(client, db, no_lockouts, path):
    body = b'{"unknown": "' + b"x" * (PUBLIC_MAX_BYTES - 15) + b'"}'
    assert len(body) == PUBLIC_MAX_BYTES

    response = send(client, path, body)

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
    assert {"pointer": "/unknown", "code": "unknown_field", "detail": "Unknown field."} in response.json()["errors"]


@pytest.mark.parametrize("path", PUBLIC)
def test_a_body_of_many_values_is_refused(client, db, no_lockouts, path):
    response = send(client, path, b"[" + b"0," * PUBLIC_MAX_VALUES + b"0]")

    assert (response.status_code, response.json()["code"]) == (400, "invalid_json")
    assert response.json()["detail"] == "The request body has more than 100 values."


@pytest.mark.parametrize("path", PUBLIC)
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"unknown": 1}', b"x" * 1000])
def test_a_request_counts_at_its_address_before_its_body_is_read(client, db, settings, path, body):
    rest = settings.REST_FRAMEWORK
    settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "login": "1/min"}}

    statuses = [send(client, path, body, REMOTE_ADDR="192.0.2.1").status_code for _ in range(61)]

    assert statuses == [400] * 60 + [429]
    assert send(client, path, body, REMOTE_ADDR="192.0.2.2").status_code == 400


def test_signed_in_routes_read_two_megabytes(alice_client):
    response = send(alice_client, "/api/notes/", b'{"title": "' + b"x" * 1_000_000 + b'"}')

    assert (response.status_code, response.json()["code"]) == (400, "invalid")
