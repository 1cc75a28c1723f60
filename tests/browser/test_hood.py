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
    expect(hood).to_contain_text(re.compile(r"Tasks that wait: 2 · Oldest task that waits: 3\d\d s"))
    of_the_note = hood.locator("tr", has_text=re.compile(r"GET /api/notes/\d+/\d")).filter(
        has_text=re.compile("hit|same|miss")
    )
    newest, oldest = (it.locator("td").all_inner_texts() for it in (of_the_note.first, of_the_note.last))
    assert (newest[3:5], oldest[4]) == (["0", newest[4]], "miss")
    assert newest[4] in ("hit", "same")
    assert all(re.fullmatch(r"\d+", it) for it in (newest[2], newest[5], newest[6])), "ms, bytes, what the limit leaves"
    kind = hood.locator("tr", has_text="GET /api/notes/…/").locator("td").all_inner_texts()
    assert int(kind[1]) >= 2
    assert all(re.fullmatch(r"\d+ ms", it) for it in kind[2:])
    assert barriers(page, axe) == []
    shoot(page, "hood")
    assert watched.wrong == []
