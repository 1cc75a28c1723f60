import pytest

from accounts.models import Session, User
from accounts.tokens import read_access, read_refresh
from tests.factories import UserFactory

REGISTER = "/api/auth/register/"
BODY = {"email": "dora@example.com", "name": "Dora", "password": "a rather long secret"}


def pointers(response) -> dict[str, str]:
    return {error["pointer"]: error["code"] for error in response.json()["errors"]}


def test_registering_signs_in(client, db):
    response = client.post(REGISTER, BODY, format="json")

    user = User.objects.get()
    assert response.status_code == 201
    body = response.json()
    assert sorted(body) == ["access", "refresh", "user"]
    assert body["user"] == {
        "id": user.pk,
        "email": "dora@example.com",
        "name": "Dora",
        "is_staff": False,
        "date_joined": user.date_joined.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    assert read_access(body["access"]).user_id == user.pk
    assert read_refresh(body["refresh"]).session_id == Session.objects.get(user=user).pk
    assert user.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {body['access']}")
    assert client.get("/api/users/me/").json() == body["user"]


def test_an_address_is_stored_trimmed_and_lower_cased(client, db):
    assert client.post(REGISTER, {**BODY, "email": "  Dora@Example.COM "}, format="json").status_code == 201

    assert User.objects.get().email == "dora@example.com"


@pytest.mark.parametrize("email", ["dora@example.com", "DORA@example.com"])
def test_a_taken_address_is_reported(client, db, email):
    UserFactory(email="dora@example.com")

    response = client.post(REGISTER, {**BODY, "email": email}, format="json")

    assert response.status_code == 400
    assert response.json()["code"] == "email_taken"
    assert pointers(response) == {"/email": "email_taken"}
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"email": "no address"}, {"/email": "invalid"}),
        ({"email": "a@b\n.com"}, {"/email": "invalid"}),
        ({"email": "\u00e5sa@example.com"}, {"/email": "invalid"}),
        ({"email": "dora@m\u00fcnchen.de"}, {"/email": "invalid"}),
        ({"email": "dora@\u1c89a.com"}, {"/email": "invalid"}),  # which PostgreSQL and Python lower-case differently
        ({"email": "dora@\ue000.com"}, {"/email": "invalid"}),  # which no mail can be sent to
        ({"email": "a" * 250 + "@b.com"}, {"/email": "max_length"}),
        ({"email": "a@localhost"}, {"/email": "private_domain"}),
        ({"email": "a@[169.254.169.254]"}, {"/email": "private_domain"}),
        ({"email": "a@[::1]"}, {"/email": "private_domain"}),
        ({"email": "a@10.0.0.10"}, {"/email": "invalid"}),
        ({"email": "a@intranet"}, {"/email": "invalid"}),
        ({"email": "a@db.internal"}, {"/email": "private_domain"}),
        ({"email": "a@Printer.LOCAL"}, {"/email": "private_domain"}),
        ({"email": "a@home.arpa"}, {"/email": "private_domain"}),
        ({"email": 5}, {"/email": "invalid"}),
        ({"email": None}, {"/email": "null"}),
        ({"name": "x" * 151}, {"/name": "max_length"}),
        ({"name": "a\nb"}, {"/name": "control_character"}),
        ({"name": ["a"]}, {"/name": "invalid"}),
        ({"password": "short"}, {"/password": "password_too_short"}),
        ({"password": "12345678901"}, {"/password": "password_entirely_numeric"}),
        ({"password": "dora@example.com"}, {"/password": "password_too_similar"}),
        ({"name": "Bartholomew", "password": "bartholomew1"}, {"/password": "password_too_similar"}),
        ({"password": "password1"}, {"/password": "password_too_common"}),
        ({"password": 1234567890123}, {"/password": "invalid"}),
        ({"password": "x" * 1025}, {"/password": "max_length"}),
        ({"is_staff": True}, {"/is_staff": "unknown_field"}),
        ({"id": 1, "token_version": 9}, {"/id": "unknown_field", "/token_version": "unknown_field"}),
    ],
)
def test_errors_have_pointers(client, db, change, expected):
    response = client.post(REGISTER, {**BODY, **change}, format="json")

    assert response.status_code == 400
    assert pointers(response) == expected
    assert not User.objects.exists()


def test_what_is_missing_is_told_with_its_place(client, db):
    response = client.post(REGISTER, {"name": "Dora"}, format="json")

    assert (response.status_code, pointers(response)) == (400, {"/email": "required", "/password": "required"})


def test_a_name_may_be_left_out(client, db):
    body = {key: value for key, value in BODY.items() if key != "name"}

    assert client.post(REGISTER, body, format="json").json()["user"]["name"] == ""


def test_a_password_of_1024_characters_is_taken_as_it_is(client, db):
    password = " pass\u00e9 " * 128

    assert client.post(REGISTER, {**BODY, "password": password}, format="json").status_code == 201
    login = {"email": BODY["email"], "password": password}
    assert client.post("/api/auth/login/", login, format="json").status_code == 200
