"""Asking AI on the page, with a provider that is good, slow, away or refuses, and without event streams."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Product, Watched
from tests.browser.steps import barriers, edit, register, save, shoot, write_note, write_topic
from tests.openai_server import OpenAIServer, running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

POLLED = re.compile(r"GET /api/ai/tasks/[0-9a-f-]+/")


@pytest.fixture(scope="module")
def asked(product: Product) -> Iterator[OpenAIServer]:
    """The provider that the worker asks during these tests."""
    with running_server() as server:
        product.start_worker(AI_BASE_URL=server.base_url, AI_MODEL="test-model", AI_API_KEY="key")
        yield server
    product.start_worker()


@pytest.fixture
def provider(asked: OpenAIServer) -> OpenAIServer:
    asked.state.script.clear()
    asked.state.default = "stream"
    return asked


@pytest.fixture(autouse=True)
def provider_first(provider: OpenAIServer, url: str) -> None:
    """Before the browser."""


def answer(page: Page) -> None:
    expect(page.locator(".answer")).to_contain_text("done")
    expect(page.locator(".answer .prose")).to_contain_text("A loop repeats")


def test_an_answer_is_used_in_the_way_that_fits_it(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "My words.")

    page.get_by_role("button", name="Explain").click()
    answer(page)
    page.get_by_role("button", name="Replace the text").click()
    expect(page.locator(".topic > .prose")).to_contain_text("A loop repeats")
    expect(page.locator(".topic > .prose")).not_to_contain_text("My words.")

    page.get_by_role("button", name="Summarise").click()
    answer(page)
    page.get_by_role("button", name="Add below the text").click()
    expect(page.locator(".topic > .prose h1")).to_have_count(2)

    page.get_by_role("group", name="Ask AI").get_by_label("Language of the code").fill("python")
    page.get_by_role("group", name="Ask AI").get_by_role("button", name="Code", exact=True).click()
    expect(page.locator(".answer")).to_contain_text("Code · done")
    page.get_by_role("button", name="Use this code").click()
    expect(page.locator(".topic > pre")).to_contain_text("for number in range(3):")
    expect(page.locator(".answer")).to_have_count(0)
    assert watched.wrong == []


def test_an_improvement_is_accepted_and_rejected_by_block_with_the_keyboard(watched: Watched, provider, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "# An answer\n\nA loop does something again.\n\nAn old paragraph.")
    page.get_by_role("button", name="Improve").click()
    expect(page.locator(".answer")).to_contain_text("done")
    hunks = page.locator(".hunk")
    expect(hunks.first).to_be_visible()
    seen = barriers(page, axe)
    shoot(page, "proposal")
    page.locator(".hunk", has_text="A loop repeats").press("a")
    expect(page.locator(".hunk.accepted")).to_have_count(1)
    expect(page.locator(".topic > .prose")).to_contain_text("A loop repeats a block of statements.")
    page.locator(".hunk.open").first.press("r")
    expect(page.locator(".hunk.rejected")).to_have_count(1)
    page.get_by_role("button", name="Reject all").click()
    expect(page.locator(".hunk.open")).to_have_count(0)
    assert seen == []
    assert watched.wrong == []


def test_keys_decide_about_an_improvement_at_once_unless_one_is_in_a_field(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "# An answer\n\nA loop does something again.\n\nAn old paragraph.")
    hunks, improve = page.locator(".hunk"), page.get_by_role("button", name="Improve")

    improve.click()
    expect(hunks.nth(0)).to_be_focused()
    page.keyboard.press("r")
    expect(hunks.nth(0)).to_have_class("hunk rejected")
    expect(hunks.nth(1)).to_be_focused()
    hunks.nth(1).get_by_role("button", name="Accept").click()
    expect(hunks.nth(1)).to_have_class("hunk accepted")
    expect(hunks.nth(2)).to_be_focused()

    improve.evaluate("it => { it.click(); it.parentElement.querySelector('input').focus(); }")
    expect(page.locator(".hunk.accepted")).to_have_count(0)
    expect(page.locator(".hunk.open").first).to_be_visible()
    expect(page.get_by_label("Language of the code")).to_be_focused()
    assert watched.wrong == []


def test_text_comes_as_it_is_written_until_one_cancels(watched: Watched, provider: OpenAIServer):
    provider.state.default = "hang_midway"  # so it cannot end before one cancels
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page)

    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".answer .coming")).to_contain_text("A loop")
    expect(page.get_by_label("AI tasks, 1 at work")).to_be_visible()
    shoot(page, "coming")
    page.locator(".answer").get_by_role("button", name="Cancel").click()
    expect(page.locator(".answer")).to_contain_text("cancelled")
    expect(page.get_by_label("AI tasks, 0 at work")).to_be_visible()
    expect(page.locator(".answer").get_by_role("button", name="Replace the text")).to_have_count(0)
    expect(page.locator(".topic > .prose strong")).to_have_text("quadratic")
    assert watched.wrong == []


def test_where_streams_are_refused_the_page_polls_and_says_nothing(watched: Watched):
    page = watched.open()
    page.context.route("**/*ticket=*", lambda route: refuse(route))
    register(page, "ada@example.com")
    write_topic(page)

    before = len(watched.requests)
    page.get_by_role("button", name="Explain").click()
    answer(page)
    assert [it for it in watched.requests[before:] if POLLED.fullmatch(it)] != []
    expect(page.locator(".toast.error")).to_have_count(0)
    # A browser tells of each 503 as an error.
    assert [it for it in watched.wrong if "503" not in it] == []


def refuse(route: Route) -> None:
    route.fulfill(status=503, headers={"Access-Control-Allow-Origin": "*", "Retry-After": "1"}, body="")


def test_a_providers_outage_and_an_answer_that_was_cut_are_said_plainly(watched: Watched, provider: OpenAIServer):
    page = watched.open()
    register(page, "ada@example.com")
    write_note(page)
    edit(page, "My words.")
    save(page)

    # Cut: what came of it is shown, and offers nothing
    provider.state.default = "length"
    page.get_by_role("button", name="Explain").click()
    expect(page.locator(".answer")).to_contain_text("The answer was cut off.")
    expect(page.locator(".answer .prose")).to_be_visible()
    expect(page.locator(".answer").get_by_role("button", name="Replace the text")).to_have_count(0)
    shoot(page, "cut")

    # Away: a wrong key fails the task that finds it out; those after it wait, one may leave or cancel
    provider.state.default = "401"
    page.locator(".answer").get_by_role("button", name="Try again").click()
    expect(page.locator(".answer").get_by_role("alert")).to_contain_text("key")
    page.locator(".answer").get_by_role("button", name="Try again").click()
    expect(page.locator(".answer")).to_contain_text("The AI provider does not answer at the moment.", timeout=90_000)
    shoot(page, "outage")
    page.reload()
    expect(page.locator(".answer")).to_contain_text("The AI provider does not answer at the moment.")
    page.locator(".answer").get_by_role("button", name="Cancel").click()
    expect(page.locator(".answer")).to_contain_text("cancelled")
    expect(page.locator(".topic > .prose")).to_have_text("My words.")
    assert watched.wrong == []
