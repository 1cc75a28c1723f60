"""Asking one's notes on the page: an answer whose sentences lead to their passages."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import barriers, edit, register, save, shoot, write_topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def test_a_sentence_leads_to_the_passage_it_rests_on_and_says_when_that_changed(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "A bad pivot makes one part empty.\n\nA random pivot is a good choice.")
    page.get_by_role("link", name="Study").click()
    expect(page.get_by_role("heading", name="Study")).to_be_visible()
    page.get_by_role("link", name="Ask", exact=True).click()  # one screen follows another in the same place
    page.get_by_label("Question").fill("Which pivot is a good choice?")
    page.get_by_role("button", name="Ask", exact=True).click()
    quote = page.locator(".sentences blockquote").first
    expect(quote).to_contain_text("pivot")
    seen = barriers(page, axe)
    shoot(page, "ask")
    quote.get_by_role("link").click()
    expect(page.get_by_role("article", name="Choosing a pivot")).to_be_focused()

    edit(page, "Something else.")
    save(page)
    expect(page.locator(".prose")).to_have_text("Something else.")
    page.reload()
    page.get_by_label("AI tasks, 0 at work").click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("dialog").locator(".sentences .badge").first).to_contain_text("the passage")

    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_label("AI tasks, 0 at work").click()
    page.get_by_role("link", name="Ask", exact=True).click()
    page.get_by_label("Question").fill("How tall is the Eiffel tower?")
    page.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator(".notice")).to_contain_text("Not in your notes")
    assert seen == []
    assert watched.wrong == []
