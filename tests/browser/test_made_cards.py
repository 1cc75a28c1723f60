"""Cards that AI makes of a topic: proposed, then accepted and rejected by keyboard."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import DEFINITIONS, barriers, register, shoot, write_topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def test_cards_made_of_a_topic_are_decided_by_keyboard_and_what_is_open_survives_a_reload(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, DEFINITIONS)
    page.get_by_role("button", name="Make cards").click()
    proposed = page.get_by_role("group", name="Proposed cards").locator(".hunk")
    expect(proposed).to_have_count(3)
    expect(page.locator(".answer .notice")).to_contain_text("No AI model is configured")
    seen = {"proposed": barriers(page, axe)}
    shoot(page, "cards-proposed")

    proposed.nth(0).focus()
    page.keyboard.press("a")
    expect(proposed.nth(0)).to_contain_text("accepted")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("r")
    expect(proposed.nth(1)).to_contain_text("rejected")
    expect(proposed.nth(2).get_by_role("button", name="Accept")).to_be_visible()
    seen["decided"] = barriers(page, axe)

    page.reload()
    page.get_by_label("AI tasks, 0 at work").click()
    page.get_by_role("button", name="Show", exact=True).click()
    left = page.get_by_role("dialog").locator(".hunk")
    expect(left).to_have_count(1)
    left.get_by_role("button", name="Accept").click()
    expect(left).to_contain_text("accepted")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_label("AI tasks, 0 at work").click()
    page.get_by_role("link", name="Study").click()
    expect(page.get_by_text("2 new")).to_be_visible()
    assert {place: found for place, found in seen.items() if found} == {}
    assert watched.wrong == []
