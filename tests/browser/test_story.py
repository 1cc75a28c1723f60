"""A student's way through the page, in a real browser against the running product, with the guide's limits on."""

import re
import time
import zipfile

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import (
    DEFINITIONS,
    SHOTS,
    TEXT,
    barriers,
    edit,
    register,
    save,
    shoot,
    type_at_once,
    write_exam,
    write_note,
    write_topic,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

SILENCE_SECONDS = 8
"""After which the page reads a task of which its stream says nothing, as that of a slow machine may."""


def test_from_registering_to_an_answer_and_a_conflict_of_two_tabs(watched: Watched):
    page = watched.open()
    shoot(page, "signin")
    register(page, "ada@example.com")
    write_note(page)
    edit(page, TEXT)
    save(page)
    expect(page.locator(".prose strong")).to_have_text("quadratic")

    # An answer streams in, and is told of
    before, asked_at = len(watched.requests), time.monotonic()
    page.get_by_role("button", name="Summarise").click()
    expect(page.locator(".answer")).to_contain_text("Summary · done")
    expect(page.locator(".answer .prose")).to_contain_text("pivot")
    expect(page.get_by_label("Notifications, 1 unread")).to_be_visible()
    asked = watched.requests[before:]
    assert [it for it in asked if re.search(r"/api/ai/tasks/[0-9a-f-]+/events/\?ticket=", it)] != []
    reads = [it for it in asked if re.fullmatch(r"GET /api/ai/tasks/[0-9a-f-]+/", it)]
    assert len(reads) <= (time.monotonic() - asked_at) // SILENCE_SECONDS, "it polled"
    shoot(page, "answer")

    # After a reload the session goes on, and the tray still has the task
    page.reload()
    expect(page.locator(".prose strong")).to_have_text("quadratic")
    page.get_by_label("AI tasks, 0 at work").click()
    expect(page.locator(".menu .panel").first).to_contain_text("Summary · done")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("pivot")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_label("AI tasks, 0 at work").click()
    page.get_by_label("Notifications, 1 unread").click()
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("pivot")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_label("Notifications, 1 unread").click()

    # Two tabs write the same topic
    other = watched.tab(page.context.new_page())
    other.get_by_role("link", name=re.compile("Sorting")).click()
    expect(other.locator(".prose strong")).to_have_text("quadratic")
    edit(page, "Both say this.\n\nMy words.")
    edit(other, "Both say this.\n\nWords of the other tab.")
    save(other)
    expect(other.locator(".prose")).to_have_text("Both say this. Words of the other tab.")
    save(page)
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("Both say this.")).to_have_count(2)
    expect(dialog.locator("mark")).to_have_text(["My words.", "Words of the other tab."])
    shoot(page, "conflict")
    dialog.get_by_role("button", name="Keep my text").click()
    expect(page.locator(".prose")).to_have_text("Both say this. My words.")

    # The versions hold what it was
    page.get_by_role("button", name="Versions").click()
    page.get_by_role("dialog").get_by_role("button", name="Show").last.click()
    expect(page.locator(".snapshot")).to_contain_text("Sorting")
    shoot(page, "versions")
    page.get_by_role("dialog").get_by_role("button", name="Close").click()

    # To the trash and back
    page.get_by_role("button", name="Move to the trash").click()
    expect(page.get_by_text("No notes yet.")).to_be_visible()
    page.get_by_role("link", name="Trash").click()
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()

    # Signing out leaves nothing in the browser, and the other tab with it
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("localStorage.getItem('noteassist.refresh')") is None
    # Of the guide's limits: 60 requests a minute, and far fewer in half an hour of work
    assert 20 < len([it for it in watched.requests if " /api/" in it]) < 300
    # A browser tells of each 412 as an error; the page expects this one and shows it.
    assert [it for it in watched.wrong if "412" not in it] == []
    assert len([it for it in watched.wrong if "412" in it]) == 1


def test_from_registering_to_the_forecast_of_an_exam(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, DEFINITIONS)
    page.get_by_role("button", name="Make cards").click()
    proposed = page.get_by_role("group", name="Proposed cards").locator(".hunk")
    expect(proposed).to_have_count(3)
    proposed.first.focus()
    page.keyboard.press("a")
    expect(proposed.first).to_contain_text("accepted")
    page.get_by_role("button", name="Accept all").click()
    expect(page.get_by_role("button", name="Accept all")).to_have_count(0)

    page.get_by_role("link", name="Study").click()
    expect(page.get_by_text("3 new")).to_be_visible()
    expect(page.locator(".asked")).to_be_visible()
    page.keyboard.press("Space")
    page.keyboard.press("4")
    expect(page.get_by_text("2 new")).to_be_visible()

    page.get_by_role("link", name="Exams").click()
    page.get_by_role("button", name="New exam").click()
    write_exam(page, "Algorithms", days=10, scope="Sorting")
    expect(page.get_by_role("heading", name="Algorithms")).to_be_visible()
    expect(page.get_by_role("table", name="All cards (3)").get_by_role("row")).to_have_count(3)
    expect(page.locator(".forecast [role=status]")).to_have_text("The plan reaches your target of 90%.")
    expect(page.locator(".planned li")).to_have_count(2)  # the third was studied
    shoot(page, "exam")
    assert len([it for it in watched.requests if " /api/" in it]) < 60
    assert watched.wrong == []


def test_search_waits_for_the_typist_and_the_account_can_be_left_with_all_that_is_in_it(watched: Watched):
    page = watched.open()
    page.get_by_role("button", name="Look around as the demo user").click()
    expect(page.get_by_role("link", name=re.compile("Python loops"))).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    register(page, "grace@example.com")
    for title in ("Sorting", "Graphs"):
        page.get_by_label("New note").fill(title)
        page.get_by_label("New note").press("Enter")
        expect(page.get_by_label("Title")).to_have_value(title)
    before = len(watched.requests)
    type_at_once(page.get_by_label("Search"), "graph")
    expect(page.get_by_role("link", name=re.compile("Sorting"))).to_have_count(0)
    expect(page.get_by_role("link", name=re.compile("Graphs"))).to_have_count(1)
    searches = [it for it in watched.requests[before:] if "/api/search/" in it]
    assert searches == ["GET /api/search/?q=graph&facets=true"]

    # A second session of the same person, which the first one ends
    other = watched.open()
    other.get_by_label("E-mail").fill("grace@example.com")
    other.get_by_label("Password").fill("notes on engines")
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_role("heading", name="Notes", exact=True)).to_be_visible()
    page.get_by_role("link", name="Ada").click()
    page.get_by_role("button", name="End").click()
    expect(page.get_by_role("button", name="End")).to_have_count(0)
    other.reload()  # if no poll has noticed it before
    expect(other.get_by_role("heading", name="Sign in")).to_be_visible()

    page.get_by_label("Present password").fill("notes on engines")
    page.get_by_label("New password").fill("notes on analysis")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("The password is changed.")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download my data").click()
    assert download.value.suggested_filename.endswith(".zip")
    assert zipfile.is_zipfile(download.value.path())

    page.on("dialog", lambda it: it.accept())
    page.get_by_label("Password", exact=True).fill("notes on analysis")
    page.get_by_role("button", name="Delete account").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.evaluate("localStorage.getItem('noteassist.refresh')") is None
    # A browser tells of each 401 as an error: of the request, and of the refresh after it.
    assert [it for it in watched.wrong if "401" not in it] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_reads_from_right_to_left_and_has_no_serious_barriers(watched: Watched, axe: str, scheme):
    page = watched.open(width=320, height=640, color_scheme=scheme)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    seen = {"signed out": barriers(page, axe)}
    assert not watched.scrolls_sideways(page)
    page.get_by_role("button", name="Look around as the demo user").click()
    expect(page.get_by_role("link", name=re.compile("Python loops"))).to_be_visible()
    write_note(page)
    edit(page, f"{TEXT}\n\n- one\n- two\n\n`{'long' * 40}`")
    save(page)
    expect(page.locator(".prose strong")).to_have_text("quadratic")
    page.get_by_role("button", name="Summarise").click()
    expect(page.locator(".answer")).to_contain_text("Summary · done")
    expect(page.locator(".answer .prose")).to_contain_text("pivot")
    seen["note"] = barriers(page, axe)
    assert not watched.scrolls_sideways(page)
    shoot(page, f"phone-{scheme}")

    page.get_by_label("Language", exact=True).select_option("ur")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_role("button", name="سائن آؤٹ")).to_be_visible()
    assert not watched.scrolls_sideways(page)
    seen["right to left"] = barriers(page, axe)
    page.set_viewport_size({"width": 1280, "height": 860})
    seen["wide"] = barriers(page, axe)
    shoot(page, f"urdu-{scheme}")
    page.goto(f"{watched.url}/#/account")
    expect(page.get_by_text("demo@noteassist.local")).to_be_visible()
    seen["account"] = barriers(page, axe)
    shoot(page, f"account-{scheme}")

    if SHOTS:
        page.get_by_role("combobox", name="زبان", exact=True).select_option("en")
        page.goto(f"{watched.url}/#/")
        page.get_by_role("link", name=re.compile("Python loops")).click()
        page.get_by_role("button", name="Summarise").first.click()
        expect(page.locator(".answer")).to_contain_text("Add below")
        page.locator(".answer").evaluate("it => it.scrollIntoView({block: 'center'})")
        page.mouse.move(0, 0)
        expect(page.locator(".toast")).to_have_count(0)
        shoot(page, f"readme-{scheme}")
    assert {place: found for place, found in seen.items() if found} == {}
    assert len(seen) == 5
    assert watched.wrong == []
