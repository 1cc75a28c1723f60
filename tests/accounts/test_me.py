import pytest

from accounts.models import User

ME = "/api/users/me/"


def test_me_shows_the_profile(alice, alice_client, django_assert_num_queries):
    alice_client.get("/api/auth/sessions/")

    with django_assert_num_queries(1):  # the profile
        response = alice_client.get(ME)

    assert response.status_code == 200
    assert response.json() == {
        "id": alice.pk,
        "email": "alice@example.com",
        "name": "Alice",
        "is_staff": False,
        "date_joined": alice.date_joined.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }


def test_a_profile_seen_before_costs_no_query(alice_client, django_assert_num_queries):
    first = alice_client.get(ME)

    with django_assert_num_queries(0):
        again = alice_client.get(ME)
        unchanged = alice_client.get(ME, headers={"If-None-Match": first["ETag"]})

    assert again.content == first.content
    assert (unchanged.status_code, unchanged.content) == (304, b"")


def test_a_changed_name_shows_at_once(alice_client, committing):
    alice_client.get(ME)

    with committing():
        response = alice_client.patch(ME, {"name": "  Alice B. "}, format="json")

    assert (response.status_code, response.json()["name"]) == (200, "Alice B.")
    assert alice_client.get(ME).json() == response.json()


def test_an_empty_change_changes_nothing(alice_client):
    assert alice_client.patch(ME, {}, format="json").json()["name"] == "Alice"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"name": "x" * 151}, {"/name": "max_length"}),
        ({"name": "a\tb\u0007"}, {"/name": "control_character"}),
        ({"name": None}, {"/name": "null"}),
        ({"name": 5}, {"/name": "invalid"}),
        ({"email": "other@example.com"}, {"/email": "unknown_field"}),
        ({"name": "x", "is_staff": True}, {"/is_staff": "unknown_field"}),
        ({"id": 5}, {"/id": "unknown_field"}),
        ({"token_version": 5}, {"/token_version": "unknown_field"}),
        ({"password": "x"}, {"/password": "unknown_field"}),
        ({"is_active": False}, {"/is_active": "unknown_field"}),
    ],
)
def test_nothing_else_can_be_changed(alice, alice_client, body, expected):
    response = alice_client.patch(ME, body, format="json")

    assert response.status_code == 400
    assert {error["pointer"]: error["code"] for error in response.json()["errors"]} == expected
    assert User.objects.get() == alice
    assert User.objects.get().name == "Alice"


def test_me_is_a_401_without_a_token(client, db):
    response = client.get(ME)

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer a b", "Bearer \u00e9", "Bearer x.y.z", "Bearer ..", "bearer null"]
)
def test_a_malformed_token_is_a_uniform_401(client, db, header):
    response = client.get(ME, HTTP_AUTHORIZATION=header)

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    assert response["WWW-Authenticate"] == "Bearer"
