"""One's account on the page: a forgotten password, a new one, and a session that was ended elsewhere."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Product, Watched
from tests.browser.steps import edit, register, save, shoot, sign_in, write_topic
from tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

CODE = re.compile(r"Enter this code where you asked for it:\s+(\d+-\S+)")


def test_a_forgotten_password_is_replaced_by_the_code_of_a_mail(watched: Watched, product: Product):
    page = watched.open()
    register(page, "ada@example.com")
    page.get_by_role("button", name="Sign out").click()

    page.get_by_role("button", name="Forgotten password").click()
    page.get_by_label("E-mail").fill("ada@example.com")
    mailed = len(CODE.findall(product.worker.output))
    page.get_by_role("button", name="Send a code").click()
    expect(page.get_by_text("a code is on its way to it")).to_be_visible()
    wait_until(lambda: len(CODE.findall(product.worker.output)) > mailed, 60, lambda: product.worker.output)
    code = CODE.findall(product.worker.output)[-1]
    shoot(page, "reset")

    page.get_by_label("Code").fill("1-wrong")
    page.get_by_label("New password").fill("notes on analysis")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Code").fill(code)
    page.get_by_label("New password").fill("password")
    page.get_by_role("button", name="Change password").click()
    expect(page.locator(".field", has=page.get_by_label("New password"))).to_contain_text("too common")
    page.get_by_label("New password").fill("notes on analysis")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("The password is changed.")).to_be_visible()
    sign_in(page, "ada@example.com", "notes on analysis")
    # A browser tells of each 400 as an error: of the wrong code, and of the common password. And of each 401: of what
    # was asked while one signed out.
    assert [it for it in watched.wrong if "400" not in it and "401" not in it] == []


def test_a_session_that_was_ended_elsewhere_ends_here_without_losing_what_was_written(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page)
    other = watched.open()
    sign_in(other, "ada@example.com")
    other.get_by_role("link", name="Ada").click()

    edit(page, "Words that are not saved yet.")
    other.get_by_role("button", name="Sign out everywhere").click()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    save(page)
    expect(page.get_by_text("You are signed out. Sign in again.")).to_be_visible()
    sign_in(page, "ada@example.com")
    expect(page.get_by_label("Text (Markdown)")).to_have_value("Words that are not saved yet.")
    save(page)
    expect(page.locator(".prose")).to_have_text("Words that are not saved yet.")
    assert [it for it in watched.wrong if "401" not in it] == []
