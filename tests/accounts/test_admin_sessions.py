"""How long a sign-in to the admin lasts."""

import pytest
import time_machine
from django.conf import settings as ours
from django.test import Client

from tests.accounts.conftest import PASSWORD
from tests.accounts.test_second_factor import app_code, enrolled, give_code, give_password, is_inside
from tests.factories import UserFactory

MINUTE, HOUR = 60, 3600
NOON = 1_800_000_000


@pytest.fixture
def clock():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def operator(db, encoded_password):
    return UserFactory(email="root@example.com", is_staff=True, password=encoded_password)


@pytest.fixture
def browser(operator, clock) -> Client:
    client = Client()
    give_password(client)
    return client


def test_the_cookie_lives_for_the_guides_thirty_days(browser):
    assert browser.cookies["sessionid"]["max-age"] == 30 * 24 * HOUR == ours.SESSION_COOKIE_AGE


def test_twelve_hours_after_the_sign_in_it_ends_however_busy_it_is(browser, clock):
    for _ in range(11):
        clock.shift(HOUR)
        assert is_inside(browser)
    clock.shift(HOUR - 1)
    assert is_inside(browser)
    clock.shift(1)
    assert not is_inside(browser)


def test_two_hours_after_the_last_page_it_ends(browser, clock):
    clock.shift(2 * HOUR - 1)
    assert is_inside(browser)
    clock.shift(2 * HOUR - 1)
    assert is_inside(browser)
    clock.shift(2 * HOUR)
    assert not is_inside(browser)


def test_it_then_shows_the_login_of_nobody_and_signs_in_anew(browser, clock):
    clock.shift(3 * HOUR)

    page = browser.get("/admin/", follow=True)

    assert page.redirect_chain == [("/admin/login/?next=/admin/", 302)]
    assert "You are authenticated as" not in page.text
    assert give_password(browser)["Location"] == "/admin/"
    assert is_inside(browser)


def test_an_old_sign_in_is_asked_for_the_factor_again_too(operator, clock, settings):
    settings.OPERATORS_NEED_SECOND_FACTOR = True
    enrolled(operator)
    browser = Client()
    give_password(browser)
    give_code(browser, app_code(operator))
    assert is_inside(browser)
    clock.shift(12 * HOUR)

    # Without the login page, which would end the old session first.
    give_password(browser)

    assert not is_inside(browser)
    give_code(browser, app_code(operator))
    assert is_inside(browser)


def test_a_page_writes_the_session_at_most_once_a_minute(browser, clock, django_assert_num_queries):
    clock.shift(59)
    with django_assert_num_queries(3):  # the operator, the count, the page
        is_inside(browser)
    clock.shift(1)
    with django_assert_num_queries(6):  # and the session, in a savepoint
        is_inside(browser)
    with django_assert_num_queries(3):
        is_inside(browser)


def test_a_session_from_before_there_were_ends_signs_in_anew(browser):
    session = browser.session
    del session["signed_in_at"]
    session.save()

    assert not is_inside(browser)


def test_an_operator_may_delete_themselves_an_hour_later(browser, operator, clock):
    clock.shift(HOUR)

    response = browser.post(f"/admin/accounts/user/{operator.pk}/delete/", {"post": "yes"})

    assert (response.status_code, response["Location"]) == (302, "/admin/")
    assert not type(operator).objects.exists()


def test_a_student_is_still_told_why_the_admin_stays_shut(db, encoded_password):
    student = UserFactory(password=encoded_password)
    browser = Client()
    browser.force_login(student)

    assert "You are authenticated as" in browser.get("/admin/login/").text
    assert PASSWORD not in browser.get("/admin/login/").text
