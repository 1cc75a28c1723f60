"""Accounts whose password everybody knows are development's alone."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from accounts.models import User
from accounts.services.demo_accounts import DEMO_ADMIN_EMAIL, DEMO_EMAIL, DEMO_PASSWORD
from NoteAssist_AI.demo_accounts import stop_with_demo_accounts
from tests.database_faults import locked
from tests.factories import NoteFactory, UserFactory


@pytest.fixture
def demo(db) -> list[User]:
    return [UserFactory(email=DEMO_ADMIN_EMAIL, is_staff=True), UserFactory(email=DEMO_EMAIL)]


@pytest.mark.django_db(transaction=True)
def test_production_does_not_start_with_demo_accounts(demo, capsys):
    with pytest.raises(SystemExit) as stop:
        stop_with_demo_accounts()

    assert stop.value.code == 3
    assert capsys.readouterr().err == (
        "Demo accounts with a public password: admin@noteassist.local, demo@noteassist.local. "
        "Run `python manage.py remove_demo`.\n"
    )


@pytest.mark.django_db(transaction=True)
def test_it_starts_without_them_and_while_the_database_is_away(alice):
    stop_with_demo_accounts()

    UserFactory(email=DEMO_EMAIL)
    with locked("accounts_user"):
        stop_with_demo_accounts()


def test_the_doctor_names_them_in_production_alone(demo, settings):
    def findings() -> list[str]:
        output = StringIO()
        try:
            call_command("doctor", stdout=output)
        except SystemExit:
            pass  # something else needs attention
        return [line for line in output.getvalue().splitlines() if "emo accounts" in line]

    assert findings() == ["ok   accounts    2 demo accounts"]
    settings.IS_PRODUCTION = True
    assert findings() == [
        "BAD  accounts    Demo accounts with a public password: admin@noteassist.local, demo@noteassist.local. "
        "Run `python manage.py remove_demo`."
    ]
    User.objects.all().delete()
    assert findings() == ["ok   accounts    0 demo accounts"]


@pytest.mark.django_db(transaction=True)
def test_they_are_removed_with_all_that_is_theirs_and_nobody_elses(alice, capsys):
    theirs, hers = NoteFactory(user=UserFactory(email=DEMO_EMAIL)), NoteFactory(user=alice)

    call_command("remove_demo")
    call_command("remove_demo")

    assert capsys.readouterr().out.splitlines() == ["Removed: demo@noteassist.local", "There are no demo accounts."]
    assert list(User.objects.all()) == [alice]
    assert not type(theirs).objects.filter(pk=theirs.pk).exists()
    assert type(hers).objects.filter(pk=hers.pk).exists()


@pytest.mark.parametrize("email", [DEMO_EMAIL, " Demo@NoteAssist.Local ", DEMO_ADMIN_EMAIL])
def test_nobody_registers_their_addresses(client, db, email):
    response = client.post(
        "/api/auth/register/", {"email": email, "name": "", "password": "a long phrase of mine"}, format="json"
    )

    assert response.status_code == 400
    assert [(error["pointer"], error["code"]) for error in response.json()["errors"]] == [("/email", "private_domain")]
    assert not User.objects.exists()


def test_seeding_makes_an_operator_who_signs_in_to_the_admin(client, db):
    call_command("seed_demo", stdout=StringIO())
    call_command("seed_demo", stdout=StringIO())

    assert User.objects.get(email=DEMO_ADMIN_EMAIL).is_staff
    assert not User.objects.get(email=DEMO_EMAIL).is_staff
    form = {"username": DEMO_ADMIN_EMAIL, "password": DEMO_PASSWORD}
    assert client.post("/admin/login/?next=/admin/", form).headers["Location"] == "/admin/"


def test_an_operator_is_made_on_the_command_line(db, monkeypatch, capsys):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long phrase of mine")

    call_command("createsuperuser", interactive=False, email="Ops@example.com", name="Ops")

    operator = User.objects.get(email="ops@example.com")
    assert operator.is_staff
    assert operator.check_password("a long phrase of mine")


@pytest.mark.parametrize("email", ["ops@localhost", "ops@[127.0.0.1]", "ops@server.localdomain"])
def test_no_operator_is_made_whom_the_internet_does_not_reach(db, monkeypatch, email):
    monkeypatch.setenv("DJANGO_SUPERUSER_PASSWORD", "a long phrase of mine")

    with pytest.raises(CommandError, match="a private name such as"):
        call_command("createsuperuser", interactive=False, email=email, name="Ops")

    assert not User.objects.exists()
