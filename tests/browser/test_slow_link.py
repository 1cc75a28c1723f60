"""The page on a slow link: 400 kbit/s with 400 ms, compressed and by hashed names as in production.

``SLOW_LINK_FIGURES`` names a file for the figures that docs/client.md shows. Asserted are bytes and requests, from
which the times follow: a machine that pauses would make the times themselves fail.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from playwright.sync_api import Browser, CDPSession, Page, expect

from tests.browser.conftest import Product
from tests.browser.steps import register
from tests.processes import environment_of_this_test, wait_until
from tests.test_deployment import PRODUCTION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

KBIT_PER_SECOND, LATENCY_MS = 400, 400
FIRST_VISIT_BYTES = 60_000
"""gzip, with the headers of every answer."""
FIRST_LIST_BYTES = 75_000
"""Of all that a browser with a session, but without any file, loads with the list: 1.5 s of the link."""


@pytest.fixture
def as_in_production(django_db_setup, transactional_db, tmp_path) -> Iterator[Product]:
    """Static files with hashed names and compressed, of a web process without DEBUG."""
    product = Product(tmp_path)
    product.environment |= {**PRODUCTION, "PUBLIC_URL": product.url, "CORS_ALLOWED_ORIGINS": product.url}
    command = [sys.executable, "manage.py", "collectstatic", "--noinput"]
    environment = environment_of_this_test(**product.environment)
    subprocess.run(command, env=environment, cwd=settings.BASE_DIR, check=True, capture_output=True)
    with product.web():
        yield product


def slow_down(session: CDPSession) -> None:
    session.send("Network.enable")
    bytes_per_second = KBIT_PER_SECOND * 1000 / 8
    session.send(
        "Network.emulateNetworkConditions",
        {
            "offline": False,
            "latency": LATENCY_MS,
            "downloadThroughput": bytes_per_second,
            "uploadThroughput": bytes_per_second,
        },
    )


def test_the_first_list_and_later_ones_come_soon_enough(as_in_production: Product, browser: Browser):
    context = browser.new_context(service_workers="block")  # its files come after the page, and it is not slowed down
    page = context.new_page()
    session = context.new_cdp_session(page)
    received: list[int] = []
    session.on("Network.loadingFinished", lambda event: received.append(int(event["encodedDataLength"])))
    slow_down(session)

    page.goto(as_in_production.url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    figures = {"first visit, bytes": sum(received), "first visit, requests": len(received)}
    figures["first paint, ms"] = round(page.evaluate(FIRST_PAINT))
    register(page, "ada@example.com")
    for title in ("Sorting", "Graphs"):
        page.get_by_label("New note").fill(title)
        page.get_by_label("New note").press("Enter")
        expect(page.get_by_label("Title")).to_have_value(title)

    # Somebody comes who was never here, but for the session: everything is loaded over the slow link
    session.send("Network.clearBrowserCache")
    received.clear()
    page.goto("about:blank")
    page.goto(as_in_production.url)
    expect(page.get_by_role("link", name=re.compile("Sorting"))).to_be_visible()
    figures["first list, ms"] = round(list_came(page))
    figures["first list, bytes"] = sum(received)
    page.reload()
    expect(page.get_by_role("link", name=re.compile("Sorting"))).to_be_visible()
    figures["list after a reload, ms"] = round(list_came(page))

    page.get_by_role("link", name="Trash").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    started = page.evaluate("performance.now()")
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url.removeprefix(as_in_production.url)))
    page.get_by_role("link", name="Notes", exact=True).click()
    expect(page.get_by_role("link", name=re.compile("Sorting"))).to_be_visible()
    figures["later list, ms"] = round(list_came(page, since=started) - started)
    lists = [it for it in asked if it.startswith("/api/notes/")]

    if "SLOW_LINK_FIGURES" in os.environ:
        Path(os.environ["SLOW_LINK_FIGURES"]).write_text(json.dumps(figures, indent=2) + "\n")
    assert figures["first visit, bytes"] < FIRST_VISIT_BYTES, figures
    assert figures["first list, bytes"] < FIRST_LIST_BYTES, figures
    assert lists == ["/api/notes/?page_size=20"]
    context.close()


# What is in the page may not have been painted yet, so this waits for it.
FIRST_PAINT = """
new Promise((resolve) => {
  new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntriesByName("first-contentful-paint")) resolve(startTime);
  }).observe({ type: "paint", buffered: true });
})
"""
# When the answer with the list that is shown was complete, from the beginning of the visit; null while nobody knows.
UNTIL_LIST = """
(since) => performance.getEntriesByType("resource")
  .filter((it) => it.name.includes("/api/notes/?") && it.responseEnd > since).at(-1)?.responseEnd ?? null
"""


def list_came(page: Page, *, since: float = 0) -> float:
    """In milliseconds of the visit."""
    wait_until(lambda: page.evaluate(UNTIL_LIST, since) is not None)
    return page.evaluate(UNTIL_LIST, since)
