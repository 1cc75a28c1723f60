"""The workbench: search, many notes at once, moving, undo, templates, links, and what differs between versions."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.conftest import Watched
from tests.browser.steps import barriers, edit, register, save, shoot, type_at_once, write_topic
from tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def add_topic(page: Page, title: str) -> None:
    page.get_by_label("New topic", exact=True).first.fill(title)
    page.get_by_label("New topic", exact=True).first.press("Enter")
    expect(page.get_by_role("article", name=title)).to_be_visible()


def expect_topics(within: Page | Locator, *titles: str) -> None:
    """Wait until these topics are shown, in this order; each has its handle before it."""
    expect(within.locator(".topic h4")).to_have_text([f"⠿ {it}" for it in titles])


@contextmanager
def held(page: Page, url: re.Pattern[str]) -> Iterator[Callable[[], bool]]:
    """Hold the first request to this address up until the block ends; yields what tells whether it came."""
    requests: list[Route] = []

    def hold_first(route: Route) -> None:
        if requests:
            route.continue_()
        requests.append(route)

    page.route(url, hold_first)
    yield lambda: page.evaluate("true") and requests != []  # Playwright takes requests in while it is asked something
    requests[0].continue_()
    page.unroute(url)


def test_search_finds_as_one_types_marks_the_words_and_narrows_by_what_was_found(watched: Watched, axe: str):
    page = watched.open()
    page.get_by_role("button", name="Look around as the demo user").click()
    expect(page.get_by_role("link", name=re.compile("Python loops"))).to_be_visible()
    before = len(watched.requests)
    type_at_once(page.get_by_label("Search"), "loop")
    expect(page.locator(".list mark").first).to_have_text(re.compile("loop", re.I))
    searches = [it for it in watched.requests[before:] if "/api/search/" in it]
    assert searches == ["GET /api/search/?q=loop&facets=true"]
    shoot(page, "search")
    seen = barriers(page, axe)

    python = page.locator(".facets").get_by_role("button", name=re.compile("^python"))
    with page.expect_response(re.compile("/api/search/.*python")) as narrowed:
        python.click()
    expect(page.get_by_label("Search")).to_have_value("loop tag:python")
    results = narrowed.value.json()["results"]
    assert results != []
    expect(page.locator(".list .row-item b")).to_have_text([it["title"] for it in results])
    page.locator(".list .row-item[href*='/note/']").first.click()
    expect(page.locator(".note .topic").first).to_be_visible()
    page.get_by_label("Search").fill("zyzzyva")
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    page.get_by_label("Search").fill("")
    expect(page.get_by_role("link", name=re.compile("Python loops"))).to_be_visible()
    assert seen == []
    assert watched.wrong == []


def test_many_notes_are_changed_at_once_and_it_can_be_taken_back(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    for title in ("Sorting", "Graphs", "Trees"):
        page.get_by_label("New note").fill(title)
        page.get_by_label("New note").press("Enter")
        expect(page.get_by_label("Title")).to_have_value(title)
    page.get_by_role("button", name="Select").click()
    page.get_by_role("checkbox", name=re.compile("Sorting")).check()
    page.get_by_role("checkbox", name=re.compile("Trees")).check()
    group = page.get_by_role("group", name="Selected: 2")
    group.get_by_label("Tag").fill("exam")
    shoot(page, "bulk")
    group.get_by_role("button", name="Add the tag").click()
    expect(page.get_by_text("Notes changed: 2")).to_be_visible()
    expect(page.locator(".list .tags", has_text="exam")).to_have_count(2)
    page.get_by_label("Tag", exact=True).select_option("exam")
    expect(page.get_by_role("link", name=re.compile("Graphs"))).to_have_count(0)

    page.get_by_role("button", name="Select").click()
    boxes = page.locator(".list").get_by_role("checkbox")
    expect(boxes).to_have_count(2)
    for box in boxes.all():
        box.check()
    page.get_by_role("group", name="Selected: 2").get_by_role("button", name="Move to the trash").click()
    expect(page.get_by_text("Nothing found.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("link", name=re.compile("Trees"))).to_be_visible()

    page.get_by_label("Tag", exact=True).select_option("")
    page.get_by_role("link", name=re.compile("Trees")).click()
    page.get_by_role("button", name="Move to the trash").click()
    page.get_by_role("link", name="Trash").click()  # perhaps it is not there yet
    page.on("dialog", lambda it: it.accept())
    page.get_by_role("button", name="Empty the trash").click()
    expect(page.get_by_text("The trash is empty.")).to_be_visible()
    assert watched.wrong == []


def test_topics_are_dragged_moved_by_keys_and_put_back(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "One.")
    add_topic(page, "Second")
    add_topic(page, "Third")
    expect_topics(page, "Choosing a pivot", "Second", "Third")

    third = page.get_by_role("article", name="Third")
    third.locator(".handle").drag_to(
        page.get_by_role("article", name="Choosing a pivot"), target_position={"x": 40, "y": 3}
    )
    expect_topics(page, "Third", "Choosing a pivot", "Second")
    page.get_by_role("button", name="Undo").click()
    expect_topics(page, "Choosing a pivot", "Second", "Third")

    page.get_by_role("button", name="Move up: Second").press("Enter")
    expect_topics(page, "Second", "Choosing a pivot", "Third")
    page.reload()
    expect_topics(page, "Second", "Choosing a pivot", "Third")

    # By keys also into the next chapter, whose new name is on its way still
    page.get_by_label("New chapter", exact=True).fill("Tres")
    page.get_by_label("New chapter", exact=True).press("Enter")
    chapters = page.get_by_label("Chapter", exact=True)
    chapters.nth(1).fill("Trees")
    with held(page, re.compile(r"/api/chapters/\d+/$")) as is_held:
        chapters.nth(1).press("Enter")
        wait_until(is_held)
        before = len(watched.requests)
        page.get_by_role("button", name="Move down: Third").press("Enter")
        assert [it for it in watched.requests[before:] if "/move/" in it] == []
    expect_topics(page.get_by_role("region", name="Trees"), "Third")
    expect(page.get_by_role("button", name="Move down: Third")).to_have_count(0)
    page.get_by_role("button", name="Move up: Third").press("Enter")
    expect_topics(page.get_by_role("region", name="Quicksort"), "Second", "Choosing a pivot", "Third")
    assert watched.wrong == []


def test_what_is_done_while_the_server_answers_is_not_lost(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "One.")
    topic = page.get_by_label("New topic", exact=True)

    with held(page, re.compile(r"/api/notes/\d+/$")) as is_held:  # the note, which is read again
        edit(page, "Two.")
        save(page)
        wait_until(is_held)
        expect(page.get_by_role("button", name="Save")).to_be_visible()  # one could edit the text of before else
    expect(page.locator(".prose")).to_have_text("Two.")

    with held(page, re.compile(r"/api/notes/\d+/$")) as is_held:
        topic.fill("Second")
        topic.press("Enter")
        wait_until(is_held)
        page.get_by_label("Title").fill("Sorting fast")
        topic.fill("Third")
    expect_topics(page, "Choosing a pivot", "Second")
    expect(topic).to_have_value("Third")
    expect(page.get_by_label("Title")).to_have_value("Sorting fast")
    page.get_by_label("Title").press("Enter")
    expect(page.get_by_role("link", name=re.compile("Sorting fast"))).to_be_visible()

    with held(page, re.compile(r"/api/notes/\d+/$")) as is_held:
        page.get_by_role("button", name="Move to the trash").click()
        wait_until(is_held)
        page.get_by_role("link", name="Trash").click()
        expect(page.get_by_text("The trash is empty.")).to_be_visible()
    expect(page.get_by_role("button", name="Empty the trash")).to_be_visible()
    expect(page.get_by_role("heading", name="Trash")).to_be_visible()
    assert watched.wrong == []


def test_a_template_links_and_the_outline_lead_from_note_to_note(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    page.get_by_label("Templates").click()
    page.get_by_role("button", name="Cornell notes").click()
    expect(page.get_by_label("Title")).to_have_value("Cornell notes")
    expect(page.locator(".chapter")).to_have_count(3)

    page.get_by_label("New note").fill("Quicksort")
    page.get_by_label("New note").press("Enter")
    expect(page.get_by_label("Title")).to_have_value("Quicksort")
    page.get_by_label("New chapter", exact=True).fill("See")
    page.get_by_label("New chapter", exact=True).press("Enter")
    add_topic(page, "Related")
    edit(page, "## Where else\n\nSee [[cornell notes]] and [[Nowhere]].")
    save(page)
    page.get_by_role("button", name="Outline").click()
    expect(page.get_by_role("navigation", name="Outline")).to_contain_text("Where else")
    seen = barriers(page, axe)
    shoot(page, "outline")
    page.locator(".prose").get_by_role("link", name="Nowhere").click()
    expect(page.get_by_text("There is no note “Nowhere”.")).to_be_visible()
    page.get_by_role("link", name=re.compile("^Quicksort")).click()
    page.locator(".prose").get_by_role("link", name="cornell notes").click()
    expect(page.get_by_label("Title")).to_have_value("Cornell notes")
    page.get_by_role("button", name="Outline").click()
    page.locator(".note-head").get_by_role("link", name="Quicksort").click()
    expect(page.get_by_role("article", name="Related")).to_be_focused()
    assert seen == []
    assert watched.wrong == []


def test_versions_show_what_restoring_them_would_change(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "A bad pivot makes one part empty.\n\nSorting is fun.")
    page.get_by_label("Title").fill("Sorting fast")
    page.get_by_label("Title").press("Enter")
    expect(page.get_by_role("link", name=re.compile("Sorting fast"))).to_be_visible()
    dialog = page.get_by_role("dialog")

    def look_at_the_newest() -> None:
        page.get_by_role("button", name="Versions").click()
        dialog.get_by_role("button", name="Show").first.click()
        expect(page.locator(".difference li").first).to_be_visible()

    look_at_the_newest()  # the note before its first topic was written: of its title one word goes
    expect(page.locator(".difference li").first).to_have_text("Title · changesSorting fast")
    expect(page.locator(".difference del").first).to_have_text(" fast")
    expect(page.locator(".difference del", has_text="Sorting is fun.")).to_have_count(1)
    seen = barriers(page, axe)
    shoot(page, "difference")
    dialog.get_by_role("button", name="Restore").first.click()
    expect(page.get_by_text("The version is restored.").last).to_be_visible()
    expect(page.locator(".topic")).to_have_count(0)
    look_at_the_newest()  # what it was before the restore
    expect(page.locator(".difference ins", has_text="Sorting is fun.")).to_have_count(1)
    dialog.get_by_role("button", name="Restore").first.click()
    expect(page.locator(".prose")).to_contain_text("Sorting is fun.")
    assert seen == []
    assert watched.wrong == []
