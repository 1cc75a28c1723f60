"""Every HTML page has a strict Content-Security-Policy, and needs nothing that it forbids."""

import re
from contextlib import nullcontext

import pytest
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.test import Client
from django.urls import get_resolver

from accounts.models import User
from tests.accounts.test_deletion import fill
from tests.database_faults import without_column
from tests.factories import UserFactory
from tests.test_security import read_route, walk

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
FORBIDDEN = re.compile(
    r"<script(?![^>]*\bsrc=)(?![^>]*type=\"application/json\")[^>]*>|<style\b|<[^>]+\s(?:style|on\w+)=|javascript:"
    r"|(?:src|<link[^>]*href)=\"(?:https?:)?//",
    re.IGNORECASE,
)


@pytest.fixture
def operator(db) -> User:
    return UserFactory(email="root@example.com", is_staff=True)


@pytest.fixture
def browser(operator) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(operator)
    return client


def get_urls() -> list[str]:
    """The URL of every route, those of the admin with an object that there is."""
    urls = []
    for raw, pattern in walk(get_resolver().url_patterns):
        if pattern.name in ("logout", "not-found", "ready"):  # readiness closes the connection of the test
            continue
        if not raw.startswith("admin/"):
            urls.append(read_route(raw, pattern).url())
            continue
        model = re.match(r"admin/(\w+)/(\w+)/.*<", raw)
        row = apps.get_model(*model.groups())._default_manager.order_by("pk").first() if model else None
        urls.append(
            "/"
            + simplify_regex(re.sub(r"<(?:\w+:)?(?:id|\w+_id|path:\w+)>", str(row.pk if row else 1), raw)).lstrip("/")
        )
    return urls


def test_every_html_page_has_the_policy_and_needs_nothing_that_it_forbids(browser, operator):
    fill(operator)
    seen = {}
    for url in get_urls():
        if url == "/":
            continue  # the page has a policy of its own: test_page.py
        if url.startswith("/s/"):
            continue  # so have shared notes: test_shares.py
        response = browser.get(url, REMOTE_ADDR="127.0.0.1")
        if response.get("Content-Type", "").startswith("text/html"):
            seen[url] = (response.get("Content-Security-Policy"), FORBIDDEN.findall(response.text))
        else:
            assert "Content-Security-Policy" not in response, url
        response.close()

    assert seen == dict.fromkeys(seen, (POLICY, []))
    assert {"/api/docs/", "/admin/", "/admin/login/", "/admin/second-factor/", "/admin/password_change/"} < set(seen)
    assert len([url for url in seen if url.startswith("/admin/")]) > 40


@pytest.mark.parametrize(
    ("method", "url", "status"),
    [
        ("get", "/admin/login/?next=/admin/", 200),
        ("get", "/admin/nothing/", 404),
        ("get", "/admin/notes/note/add/", 403),
        ("get", "/admin/notes/note/", 500),
    ],
)
def test_error_pages_have_it_too(transactional_db, browser, method, url, status):
    if "login" in url:
        browser.logout()

    with without_column("notes_note", "title") if status == 500 else nullcontext():
        response = getattr(browser, method)(url)

    assert (response.status_code, response["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert response["Content-Security-Policy"] == POLICY
    assert FORBIDDEN.findall(response.text) == []


def test_the_pages_of_the_second_factor_have_it_too(browser, settings):
    settings.OPERATORS_NEED_SECOND_FACTOR = True

    page = browser.get("/admin/second-factor/")

    assert "qrline" in page.text
    assert page["Content-Security-Policy"] == POLICY
    assert FORBIDDEN.findall(page.text) == []


def test_the_docs_get_their_script_from_a_url_of_its_own(client):
    page = client.get("/api/docs/")
    [script] = re.findall(r'<script src="(/api/docs/\?script=)"', page.text)

    response = client.get(script)

    assert response["Content-Type"] == "application/javascript"
    assert "SwaggerUIBundle({" in response.text


def test_what_is_no_page_has_no_policy(alice_client, client):
    for response in (alice_client.get("/api/notes/"), client.get("/api/notes/"), client.get("/healthz/live")):
        assert "Content-Security-Policy" not in response


def test_a_developer_sees_errors_in_their_own_style(browser, settings):
    settings.DEBUG = True

    response = browser.get("/admin/nothing/")

    assert response.status_code == 404
    assert "Content-Security-Policy" not in response
