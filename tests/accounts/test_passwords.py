from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection
from rest_framework.test import APIClient

from accounts.models import PasswordReset, Session, User
from accounts.services import passwords
from accounts.services.sessions import Device
from accounts.tokens import issue_refresh
from tests.accounts.conftest import PASSWORD
from tests.conftest import client_of
from tests.factories import SessionFactory, UserFactory

CHANGE = "/api/auth/password/change/"
NEW = "another rather long secret"
BODY = {"old_password": PASSWORD, "new_password": NEW}


def works(client: APIClient) -> bool:
    return client.get("/api/users/me/").status_code == 200


def test_a_change_ends_every_session_and_begins_a_new_one(alice, committing):
    here, there = SessionFactory.create_batch(2, user=alice)
    client, other = client_of(alice, here), client_of(alice, there)
    assert works(client)
    assert works(other)
    reset = PasswordReset.objects.create(user=alice)

    with committing():
        response = client.post(CHANGE, BODY, format="json")

    assert response.status_code == 200
    pair = response.json()
    assert sorted(pair) == ["access", "refresh"]
    assert not works(client)
    assert not works(other)
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {pair['access']}")
    assert works(client)
    assert [session["current"] for session in client.get("/api/auth/sessions/").json()["results"]] == [True]
    reset.refresh_from_db()
    assert reset.used_at is not None
    for session in (here, there):
        token = issue_refresh(session_id=session.pk, generation=1, expires_at=session.expires_at)
        assert client.post("/api/auth/refresh/", {"refresh": token}, format="json").status_code == 401
    assert client.post("/api/auth/refresh/", {"refresh": pair["refresh"]}, format="json").status_code == 200


def test_after_a_change_only_the_new_password_signs_in(client, alice):
    client_of(alice).post(CHANGE, BODY, format="json")

    answers = [
        client.post("/api/auth/login/", {"email": alice.email, "password": password}, format="json").status_code
        for password in (PASSWORD, NEW)
    ]
    assert answers == [401, 200]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"old_password": "wrong"}, {"/old_password": "wrong_password"}),
        ({"new_password": "short"}, {"/new_password": "password_too_short"}),
        ({"new_password": "alice@example.com"}, {"/new_password": "password_too_similar"}),
        ({"new_password": "x" * 1025}, {"/new_password": "max_length"}),
        ({"user": 1}, {"/user": "unknown_field"}),
    ],
)
def test_errors_have_pointers_and_nothing_changes(alice, alice_client, change, expected):
    response = alice_client.post(CHANGE, {**BODY, **change}, format="json")

    assert response.status_code == 400
    assert {error["pointer"]: error["code"] for error in response.json()["errors"]} == expected
    assert User.objects.get(pk=alice.pk).password == alice.password
    assert works(alice_client)


@pytest.mark.django_db(transaction=True)
def test_of_two_changes_at_once_one_wins_and_one_session_lives(encoded_password):
    user = UserFactory(password=encoded_password)

    def change(number: int) -> str | None:
        new_password = f"{NEW} {number}"
        try:
            passwords.change(user_id=user.pk, old_password=PASSWORD, new_password=new_password, device=Device())
        except passwords.WrongPassword:
            return None
        finally:
            connection.close()
        return new_password

    with ThreadPoolExecutor(4) as pool:
        [winner] = filter(None, pool.map(change, range(4)))

    user.refresh_from_db()
    assert user.check_password(winner)
    assert user.token_version == 2
    assert Session.objects.filter(revoked_at=None).count() == 1
