"""The panel under the hood, which development has."""

import re
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import expect

from accounts.models import User
from accounts.services.demo_accounts import DEMO_EMAIL
from tests.browser.conftest import Watched
from tests.browser.steps import barriers, shoot
from tests.factories import AITaskFactory

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def waiting(url) -> None:
    """Two tasks of which no worker was told."""
    AITaskFactory.create_batch(
        2, user=User.objects.get(email=DEMO_EMAIL), created_at=timezone.now() - timedelta(minutes=5)
    )


def test_it_tells_what_each_request_took_and_how_many_tasks_wait(waiting, watched: Watched, axe: str):
    page = watched.open()
    page.get_by_role("button", name="Look around as the demo user").click()
    note = page.get_by_role("link", name=re.compile("Python loops"))
    for _ in range(2):
        note.click()
        expect(page.locator(".prose").first).to_be_visible()
        page.get_by_role("link", name="Trash").click()
        expect(page.get_by_text("The trash is empty.")).to_be_visible()
        page.get_by_role("link", name="Notes", exact=True).click()
    page.get_by_text(re.compile(r"^Under the hood · \d+ · p50 \d+ ms · p95 \d+ ms$")).click()

    hood = page.locator(".hood")
    expect(hood).to_contain_text(re.compile(r"Tasks that wait: 2 · Oldest task that waits: \d{3} s"))
    of_the_note = hood.locator("tr", has_text=re.compile(r"GET /api/notes/\d+/\d")).filter(
        has_text=re.compile("hit|same|miss")
    )
    number, milliseconds = re.compile(r"^\d+$"), re.compile(r"^\d+ ms$")
    # Milliseconds, queries, the page cache, bytes (which a browser tells a moment later), what the limit leaves
    expect(of_the_note.first.locator("td")).to_have_text(
        [re.compile("^GET /api/notes/"), number, number, "0", re.compile("^(hit|same)$"), number, number]
    )
    expect(of_the_note.last.locator("td").nth(4)).to_have_text("miss")
    expect(hood.locator("tr", has_text="GET /api/notes/…/").locator("td")).to_have_text(
        ["GET /api/notes/…/", re.compile(r"^([2-9]|\d\d+)$"), milliseconds, milliseconds]
    )
    assert barriers(page, axe) == []
    shoot(page, "hood")
    assert watched.wrong == []
