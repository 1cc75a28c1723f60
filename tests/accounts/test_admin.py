import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.test import Client

from accounts.models import Session, User
from tests.accounts.conftest import PASSWORD
from tests.conftest import client_of
from tests.database_faults import in_background, uncommitted
from tests.factories import NoteFactory, SessionFactory, UserFactory

NEW = "another rather long secret"


@pytest.fixture
def operator(db, encoded_password) -> User:
    return UserFactory(email="root@example.com", is_staff=True, password=encoded_password)


@pytest.fixture
def admin(operator) -> Client:
    client = Client()
    client.force_login(operator)
    return client


@pytest.fixture
def alice_client(alice):
    """Alice, whose session state is known to Redis."""
    client = client_of(alice)
    assert client.get("/api/users/me/").status_code == 200
    return client


def form(user: User, **changes) -> dict:
    values = {"email": user.email, "name": user.name, "is_active": user.is_active, "is_staff": user.is_staff}
    return {key: "on" if value is True else value for key, value in {**values, **changes}.items() if value is not False}


def status_of(client) -> int:
    return client.get("/api/users/me/").status_code


@pytest.mark.parametrize("changes", [{"is_active": False}, {"is_staff": True}])
def test_a_change_of_permissions_takes_effect_on_the_next_request(admin, alice, alice_client, committing, changes):
    with committing():
        response = admin.post(f"/admin/accounts/user/{alice.pk}/change/", form(alice, **changes))

    assert response.status_code == 302
    alice.refresh_from_db()
    assert alice.token_version == 2
    assert {name: getattr(alice, name) for name in changes} == changes
    assert status_of(alice_client) == 401


def test_a_change_of_name_ends_nothing_and_shows_at_once(admin, alice, alice_client, committing):
    with committing():
        admin.post(f"/admin/accounts/user/{alice.pk}/change/", form(alice, name="Alicia"))

    assert alice_client.get("/api/users/me/").json()["name"] == "Alicia"


def test_a_change_of_role_lets_sessions_renew_themselves(admin, alice, committing):
    session = SessionFactory(user=alice)
    with committing():
        admin.post(f"/admin/accounts/user/{alice.pk}/change/", form(alice, is_staff=True))

    session.refresh_from_db()
    assert session.revoked_at is None
    alice.refresh_from_db()
    assert client_of(alice, session).get("/api/users/me/").json()["is_staff"] is True


def test_setting_a_password_ends_every_session(admin, alice, alice_client, committing):
    with committing():
        response = admin.post(
            f"/admin/accounts/user/{alice.pk}/password/",
            {"password1": NEW, "password2": NEW, "usable_password": "true", "set-password": "1"},
        )

    assert response.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert status_of(alice_client) == 401
    assert not Session.objects.filter(user=alice, revoked_at=None).exists()


def test_making_a_password_unusable_ends_every_session(admin, alice, alice_client, committing):
    with committing():
        admin.post(
            f"/admin/accounts/user/{alice.pk}/password/",
            {"password1": "", "password2": "", "usable_password": "false", "unset-password": "1"},
        )

    alice.refresh_from_db()
    assert not alice.has_usable_password()
    assert status_of(alice_client) == 401


def test_an_operators_own_change_of_password_ends_their_sessions_at_the_api(admin, operator, committing):
    client = client_of(operator)
    assert status_of(client) == 200

    with committing():
        response = admin.post(
            "/admin/password_change/", {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
        )

    assert response.status_code == 302
    operator.refresh_from_db()
    assert operator.check_password(NEW)
    assert status_of(client) == 401
    assert admin.get("/admin/").status_code == 200


def test_logout_everywhere_ends_the_admins_session(admin, operator):
    assert admin.get("/admin/").status_code == 200

    client_of(operator).post("/api/auth/logout-all/")

    assert admin.get("/admin/").status_code == 302


def test_a_new_user_can_sign_in(admin, client):
    response = admin.post(
        "/admin/accounts/user/add/",
        {"email": "Dora@Example.com", "name": "", "usable_password": "true", "password1": NEW, "password2": NEW},
    )

    assert response.status_code == 302
    login = {"email": "dora@example.com", "password": NEW}
    assert client.post("/api/auth/login/", login, format="json").status_code == 200


def test_an_address_that_is_taken_is_refused_in_any_spelling(admin, alice):
    response = admin.post("/admin/accounts/user/add/", {"email": "ALICE@example.com", "usable_password": "false"})

    assert response.status_code == 200
    assert "already exists" in response.text


def test_an_address_that_is_not_ascii_is_refused(admin, alice):
    form_of_new = {"email": "dora@\ue000a.com", "usable_password": "false"}
    assert admin.post("/admin/accounts/user/add/", form_of_new).status_code == 200

    changed = form(alice, email="alice@\ue000a.com")
    assert admin.post(f"/admin/accounts/user/{alice.pk}/change/", changed).status_code == 200
    assert sorted(User.objects.values_list("email", flat=True)) == ["alice@example.com", "root@example.com"]


@pytest.mark.parametrize(
    "email", ["dora@localhost", "dora@[169.254.169.254]", "dora@db.internal", "dora@server.localdomain"]
)
def test_an_address_that_the_internet_does_not_reach_is_refused(admin, alice, email):
    added = admin.post("/admin/accounts/user/add/", {"email": email, "usable_password": "false"})
    changed = admin.post(f"/admin/accounts/user/{alice.pk}/change/", form(alice, email=email))

    assert [response.status_code for response in (added, changed)] == [200, 200]
    assert ["private name such as .local" in response.text for response in (added, changed)] == [True, True]
    assert sorted(User.objects.values_list("email", flat=True)) == ["alice@example.com", "root@example.com"]


OLD_ADDRESSES = ["old@m\u00fcnchen.de", "old@localhost", "old@[169.254.169.254]", "old@server.localdomain"]


@pytest.mark.parametrize("email", OLD_ADDRESSES)
def test_a_user_who_has_one_already_can_be_changed(admin, email):
    old = UserFactory(email=email)

    admin.post(
        f"/admin/accounts/user/{old.pk}/change/",
        form(old, email=email.replace("old", "OLD"), name="Old", is_active=False),
    )

    old.refresh_from_db()
    assert (old.email, old.name, old.is_active) == (email, "Old", False)


@pytest.mark.parametrize("email", OLD_ADDRESSES[1:])
def test_a_user_who_has_one_already_signs_in_and_resets_the_password(client, db, encoded_password, email):
    old = UserFactory(email=email, password=encoded_password)

    login = client.post("/api/auth/login/", {"email": email, "password": PASSWORD}, format="json")
    reset = client.post("/api/auth/password/reset/", {"email": email}, format="json")

    assert (login.status_code, reset.status_code) == (200, 204)
    assert old.password_resets.count() == 1
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {login.json()['access']}")
    assert client.patch("/api/users/me/", {"name": "Still me"}, format="json").json()["name"] == "Still me"


def test_deleting_a_user_takes_everything_along(admin, alice, alice_client, committing, django_assert_max_num_queries):
    NoteFactory.create_batch(30, user=alice)
    with django_assert_max_num_queries(10):
        assert "with all their data" in admin.get(f"/admin/accounts/user/{alice.pk}/delete/").text

    with committing():
        admin.post(f"/admin/accounts/user/{alice.pk}/delete/", {"post": "yes"})

    assert not User.objects.filter(pk=alice.pk).exists()
    assert status_of(alice_client) == 401
    assert LogEntry.objects.filter(object_id=str(alice.pk)).exists()


def test_the_selected_users_are_deleted(admin, operator, alice, charlie):
    admin.post(
        "/admin/accounts/user/",
        {"action": "delete_selected", "_selected_action": [alice.pk, charlie.pk], "post": "yes"},
    )

    assert list(User.objects.all()) == [operator]


def test_selected_sessions_are_revoked(admin, alice, alice_client, committing):
    session = Session.objects.get(user=alice)

    with committing():
        admin.post("/admin/accounts/session/", {"action": "revoke", "_selected_action": [session.pk]})

    session.refresh_from_db()
    assert session.revoked_at is not None
    assert status_of(alice_client) == 401


def test_search_finds_users_and_sessions(admin, alice):
    SessionFactory(user=alice)

    assert "alice@example.com" in admin.get("/admin/accounts/user/?q=alice").text
    assert "alice@example.com" in admin.get("/admin/accounts/session/?q=alice").text


def test_guessing_at_the_admins_login_is_limited_like_the_apis(client, operator, settings):
    rest = settings.REST_FRAMEWORK
    settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "login": "2/min"}}
    form = {"username": operator.email, "password": PASSWORD}
    guesses = [client.post("/admin/login/", {**form, "password": "wrong"}).status_code for _ in range(2)]

    response = client.post("/admin/login/", form)

    assert (guesses, response.status_code) == ([200, 200], 200)  # the form again, although the password is right
    login = {"email": operator.email, "password": PASSWORD}
    assert client.post("/api/auth/login/", login, format="json").status_code == 429


def test_an_operator_signs_in(client, operator):
    response = client.post("/admin/login/?next=/admin/", {"username": "ROOT@example.com", "password": PASSWORD})

    assert (response.status_code, response["Location"]) == (302, "/admin/")


def test_a_password_is_checked_as_by_the_api_and_who_is_turned_away_sees_the_form_again(
    client, operator, no_slot_is_free
):
    User.objects.filter(pk=operator.pk).update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))
    right = {"username": operator.email, "password": PASSWORD}

    with no_slot_is_free:
        response = client.post("/admin/login/", right)

    assert response.status_code == 200
    assert "Please enter the correct email and password" in response.text
    assert client.post("/admin/login/", right).status_code == 302


def test_an_operator_with_an_outdated_hash_signs_in_and_stays(client, operator):
    User.objects.filter(pk=operator.pk).update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))

    client.post("/admin/login/", {"username": operator.email, "password": PASSWORD})

    operator.refresh_from_db()
    assert operator.password.startswith("argon2$argon2id$v=19$m=19456,t=2,p=1$")
    assert client.get("/admin/").status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_login_to_the_admin_never_overwrites_a_new_password(client, operator):
    User.objects.filter(pk=operator.pk).update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))
    change = "UPDATE accounts_user SET password = %s, token_version = token_version + 1 WHERE id = %s"
    form = {"username": operator.email, "password": PASSWORD}

    with (
        uncommitted(change, make_password(NEW), operator.pk) as changed,
        in_background(lambda: client.post("/admin/login/", form)),
    ):
        changed.wait_for_one()  # the old password was right
        changed.open()

    operator.refresh_from_db()
    assert [operator.check_password(password) for password in (PASSWORD, NEW)] == [False, True]
    assert client.get("/admin/").status_code == 302


def test_a_student_has_no_business_here(alice):
    client = Client()
    client.force_login(alice)

    assert client.get("/admin/accounts/user/").status_code == 302
