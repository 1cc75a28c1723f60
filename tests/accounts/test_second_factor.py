"""The admin's second factor, as production asks for it."""

import hashlib
import io
import re
import zipfile
from base64 import b32decode
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest
import time_machine
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django_otp.oath import TOTP

from accounts.models import SecondFactor, User
from accounts.services import second_factor
from accounts.services.second_factor import InvalidCode, enroll, new_seed, secret_of, verify
from tests.accounts.conftest import PASSWORD
from tests.conftest import client_of
from tests.factories import UserFactory

FACTOR = "/admin/second-factor/"
NOON = 1_800_000_000


@pytest.fixture(autouse=True)
def _production(settings):
    settings.OPERATORS_NEED_SECOND_FACTOR = True


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def operator(db, encoded_password) -> User:
    return UserFactory(email="root@example.com", is_staff=True, password=encoded_password)


@pytest.fixture
def browser() -> Client:
    return Client()


def give_password(browser: Client, email: str = "root@example.com", password: str = PASSWORD):
    return browser.post("/admin/login/?next=/admin/", {"username": email, "password": password})


def give_code(browser: Client, code: str, **more: str):
    return browser.post(FACTOR, {"code": code, **more})


def code_of(uri: str) -> str:
    """What an authenticator app shows that has scanned it."""
    [secret] = parse_qs(urlsplit(uri).query)["secret"]
    return f"{TOTP(b32decode(secret)).token():06d}"


def app_code(operator: User, steps: int = 0) -> str:
    """What the operator's app shows now, or so many steps of 30 s later."""
    app = TOTP(secret_of(user_id=operator.pk, seed=SecondFactor.objects.get(user=operator).seed), drift=steps)
    return f"{app.token():06d}"


def enrolled(operator: User) -> list[str]:
    """Give the operator a second factor, as if a minute ago; the recovery codes."""
    seed = new_seed()
    first = f"{TOTP(secret_of(user_id=operator.pk, seed=seed)).token():06d}"
    codes = enroll(user_id=operator.pk, seed=seed, code=first)
    SecondFactor.objects.update(last_step=0)
    return codes


def is_inside(browser: Client) -> bool:
    return browser.get("/admin/accounts/user/").status_code == 200


# --- Enrolment --------------------------------------------------------------------------------------------------------


def test_the_first_sign_in_shows_a_secret_and_its_first_code_opens_the_admin(browser, operator, clock):
    assert give_password(browser)["Location"] == "/admin/"
    assert not is_inside(browser)
    page = browser.get("/admin/", follow=True)
    assert page.redirect_chain[-1] == (f"{FACTOR}?next=/admin/", 302)
    uri = page.context["uri"]
    assert uri.startswith("otpauth://totp/NoteAssist%20AI%3Aroot%40example.com?secret=")
    assert 'class="qrline"' in page.text
    [key] = re.findall(r"<code>((?:[A-Z2-7]{4} ?){8})</code>", page.text)
    assert f"secret={key.replace(' ', '')}&" in uri
    assert page["Cache-Control"] == "max-age=0, no-cache, no-store, must-revalidate, private"

    answer = give_code(browser, code_of(uri), next="/admin/notes/note/")

    codes = re.findall(r"<code>([a-z2-7]{4}(?:-[a-z2-7]{4}){3})</code>", answer.text)
    assert len(set(codes)) == 10
    assert 'href="/admin/notes/note/"' in answer.text
    assert is_inside(browser)


def test_the_secret_stays_the_same_until_its_first_code_is_right(browser, operator, clock):
    give_password(browser)
    uri = browser.get(FACTOR).context["uri"]

    wrong = give_code(browser, "000000" if code_of(uri) != "000000" else "000001")

    assert wrong.context["uri"] == uri
    assert not SecondFactor.objects.exists()
    assert not is_inside(browser)


def test_nothing_secret_is_stored(operator, clock):
    codes = enrolled(operator)

    row = SecondFactor.objects.values().get()
    assert row["recovery_codes"] == [hashlib.sha256(code.replace("-", "").encode()).hexdigest() for code in codes]
    secret = secret_of(user_id=operator.pk, seed=row["seed"])
    assert len(secret) == 20
    assert secret.hex() not in str(row)
    assert row["seed"] != new_seed()


def test_who_has_a_second_factor_is_shown_no_secret(browser, operator, clock):
    enrolled(operator)
    give_password(browser)

    page = browser.get(FACTOR)

    assert "otpauth" not in page.text
    assert "qrline" not in page.text


def test_a_second_enrolment_at_the_same_time_is_refused(operator, clock):
    seed = new_seed()
    enrolled(operator)
    before = SecondFactor.objects.values().get()

    with pytest.raises(InvalidCode):
        enroll(user_id=operator.pk, seed=seed, code=f"{TOTP(secret_of(user_id=operator.pk, seed=seed)).token():06d}")

    assert SecondFactor.objects.values().get() == before


# --- Signing in -------------------------------------------------------------------------------------------------------


def test_password_and_code_open_the_admin_and_neither_does_alone(browser, operator, clock):
    enrolled(operator)

    assert give_code(browser, app_code(operator))["Location"].startswith("/admin/login/?next=")
    assert not is_inside(browser)
    give_password(browser)
    assert not is_inside(browser)
    assert browser.get("/admin/password_change/").status_code == 302
    assert give_code(browser, app_code(operator))["Location"] == "/admin/"
    assert is_inside(browser)


def test_the_session_gets_a_new_key_with_the_factor(browser, operator, clock):
    enrolled(operator)
    give_password(browser)
    before = browser.session.session_key

    give_code(browser, app_code(operator))

    assert browser.session.session_key != before
    assert browser.cookies["sessionid"].value == browser.session.session_key


def test_a_code_of_the_app_works_once(browser, operator, clock):
    enrolled(operator)
    code = app_code(operator)
    give_password(browser)
    assert give_code(browser, code).status_code == 302

    other = Client()
    give_password(other)
    refused = give_code(other, code)

    assert refused.status_code == 200
    assert "This code is wrong, or was used already." in refused.text
    assert not is_inside(other)
    clock.shift(30)
    give_code(other, app_code(operator))
    assert is_inside(other)


@pytest.mark.parametrize(("steps", "works"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_clocks_may_differ_by_one_step(operator, clock, steps, works):
    enrolled(operator)

    if works:
        assert verify(user_id=operator.pk, code=app_code(operator, steps)) is None
    else:
        with pytest.raises(InvalidCode):
            verify(user_id=operator.pk, code=app_code(operator, steps))


def test_an_earlier_code_is_refused_once_a_later_one_was_used(operator, clock):
    enrolled(operator)
    verify(user_id=operator.pk, code=app_code(operator, 1))

    with pytest.raises(InvalidCode):
        verify(user_id=operator.pk, code=app_code(operator, 0))


@pytest.mark.parametrize("code", ["", "12345", "1234567", "٣٣٣٣٣٣", "aaaa-bbbb-cccc-dddd", "x" * 40, "%00", "-", " "])
def test_what_is_no_code_is_refused(browser, operator, clock, code):
    enrolled(operator)
    give_password(browser)

    assert give_code(browser, code).status_code == 200
    assert not is_inside(browser)


def test_another_operators_codes_open_nothing(browser, operator, clock):
    theirs = UserFactory(is_staff=True)
    recovery_codes = enrolled(theirs)
    enrolled(operator)
    give_password(browser)

    for code in (app_code(theirs), recovery_codes[0]):
        assert give_code(browser, code).status_code == 200
    assert not is_inside(browser)


def test_a_student_with_a_password_is_asked_for_no_factor(browser, db, encoded_password):
    UserFactory(email="student@example.com", password=encoded_password)

    assert give_password(browser, "student@example.com").status_code == 200
    assert browser.get(FACTOR)["Location"] == f"/admin/login/?next={FACTOR}"
    assert not SecondFactor.objects.exists()


def test_one_may_leave_without_the_factor(browser, operator, clock):
    give_password(browser)

    assert browser.post(FACTOR, {"cancel": "Sign out"})["Location"] == "/admin/login/"
    assert browser.get(FACTOR).status_code == 302


def test_nobody_is_led_elsewhere(browser, operator, clock):
    enrolled(operator)
    give_password(browser)

    assert give_code(browser, app_code(operator), next="https://evil.example.com/")["Location"] == "/admin/"


def test_a_form_from_elsewhere_is_refused(operator, clock):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)

    assert give_code(browser, "123456").status_code == 403


# --- Recovery codes ---------------------------------------------------------------------------------------------------


def test_a_recovery_code_opens_the_admin_once_in_any_spelling(browser, operator, clock):
    code = enrolled(operator)[3]
    give_password(browser)

    assert give_code(browser, f" {code.upper().replace('-', ' ')} ").status_code == 302
    assert "You used a recovery code. 9 are left." in browser.get("/admin/").text
    other = Client()
    give_password(other)
    assert give_code(other, code).status_code == 200
    assert not is_inside(other)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["app", "recovery"])
def test_a_code_works_once_when_it_comes_many_times_at_once(encoded_password, kind):
    operator = UserFactory(is_staff=True)
    recovery_codes = enrolled(operator)
    code = recovery_codes[0] if kind == "recovery" else app_code(operator)

    def try_it(_: int) -> bool:
        try:
            verify(user_id=operator.pk, code=code)
        except InvalidCode:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(try_it, range(5))).count(True) == 1
    assert len(SecondFactor.objects.get().recovery_codes) == (9 if kind == "recovery" else 10)


# --- Guessing ---------------------------------------------------------------------------------------------------------


def test_guessing_is_limited_like_passwords_and_counted_apart(browser, operator, settings, caplog):
    rest = settings.REST_FRAMEWORK
    settings.REST_FRAMEWORK = {**rest, "DEFAULT_THROTTLE_RATES": {**rest["DEFAULT_THROTTLE_RATES"], "login": "2/min"}}
    enrolled(operator)
    give_password(browser)
    wrong = f"{(int(app_code(operator)) + 500_000) % 1_000_000:06d}"
    for _ in range(2):
        assert "This code is wrong" in give_code(browser, wrong).text
    right = app_code(operator)

    assert "The limit of 2 requests per 60 seconds is reached." in give_code(browser, right).text
    assert not is_inside(browser)
    assert give_password(Client()).status_code == 302
    outcomes = [record.fields["outcome"] for record in caplog.records if record.getMessage() == "admin_second_factor"]
    assert outcomes == ["code_invalid", "code_invalid", "throttled"]


# --- Development, resets, one's data ----------------------------------------------------------------------------------


def test_development_asks_for_the_password_alone(browser, operator, settings):
    settings.OPERATORS_NEED_SECOND_FACTOR = False

    give_password(browser)

    assert is_inside(browser)
    assert browser.get(FACTOR)["Location"] == "/admin/"


def test_a_reset_ends_the_admins_sessions_and_the_next_sign_in_enrols(browser, operator, charlie, clock, capsys):
    enrolled(operator)
    enrolled(charlie)
    api = client_of(operator)
    give_password(browser)
    give_code(browser, app_code(operator))
    assert is_inside(browser)

    call_command("reset_second_factor", " ROOT@example.com ")

    assert capsys.readouterr().out == "root@example.com enrols a new second factor at the next sign-in to the admin.\n"
    assert not is_inside(browser)
    assert api.get("/api/users/me/").status_code == 401  # which the session's refresh token renews
    give_password(browser)
    assert browser.get(FACTOR).context["uri"].startswith("otpauth://")
    assert list(SecondFactor.objects.values_list("user_id", flat=True)) == [charlie.pk]


def test_a_reset_of_nothing_or_nobody_says_so(operator, capsys):
    call_command("reset_second_factor", "root@example.com")
    assert capsys.readouterr().out == "root@example.com has no second factor.\n"
    operator.refresh_from_db()
    assert operator.token_version == 1

    with pytest.raises(CommandError, match="No account has this address"):
        call_command("reset_second_factor", "nobody@example.com")


def test_the_export_tells_of_the_factor_and_holds_nothing_of_its_secret(operator, clock):
    enrolled(operator)
    factor = SecondFactor.objects.get()

    response = client_of(operator).get("/api/users/me/export/")

    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    [told] = orjson.loads(archive.read("second_factor.json"))
    assert list(told) == ["enrolled_at"]
    everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert [text for text in (factor.seed, *factor.recovery_codes) if text in everything] == []


def test_the_admin_shows_nothing_of_the_secret(browser, operator, clock):
    enrolled(operator)
    factor = SecondFactor.objects.get()
    give_password(browser)
    give_code(browser, app_code(operator))

    page = browser.get(f"/admin/accounts/secondfactor/{factor.pk}/change/")

    assert page.status_code == 200
    assert [text for text in (factor.seed, *factor.recovery_codes) if text in page.text] == []


def test_the_key_uri_is_read_by_apps():
    uri = second_factor.otpauth_uri(email="a+b@example.com", secret=b"12345678901234567890")

    assert uri == (
        "otpauth://totp/NoteAssist%20AI%3Aa%2Bb%40example.com"
        "?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=NoteAssist%20AI"
    )
