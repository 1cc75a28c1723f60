"""Exams on the page: writing one, its forecast, the plan of today and its calendar."""

import httpx2
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import DEFINITIONS, Student, barriers, register, shoot, sign_in, write_exam, write_topic
from tests.browser.test_study import write_card

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def test_an_exam_says_what_is_missing_and_has_a_calendar_until_its_link_ends(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, DEFINITIONS)
    page.goto(f"{watched.url}/#/study/exams")
    page.get_by_role("button", name="New exam").click()
    expect(page.get_by_role("dialog").get_by_label("Sorting")).to_be_visible()
    seen = {"form": barriers(page, axe)}
    shoot(page, "exam-form")
    write_exam(page, "Algorithms", days=10, scope="Sorting", minutes=0)
    expect(page.get_by_text("No cards belong to this exam yet.")).to_be_visible()

    page.get_by_role("link", name="NoteAssist AI").click()
    page.get_by_role("link", name="Sorting").click()
    page.get_by_role("button", name="Make a card").click()
    write_card(page, "What is a heap?", "A tree.")
    page.get_by_role("link", name="Study").click()
    page.get_by_role("link", name="Exams").click()
    page.get_by_role("link", name="Algorithms").click()
    verdict = page.locator(".forecast [role=status]")
    expect(verdict).to_contain_text("does not reach your target of 90%. Minutes missing")
    rows = page.get_by_role("table", name="All cards (1)").get_by_role("row")
    expect(rows).to_have_text(["Without study0% 0% to 0%", "With the plan0% 0% to 0%", "Only what is due0% 0% to 0%"])
    expect(page.get_by_text("Cards: 0. Minutes: 0 of 0.")).to_be_visible()
    seen["exam"] = barriers(page, axe)

    page.get_by_role("button", name="Make a link").click()
    link = page.locator("a[href$='.ics']")
    expect(link).to_be_visible()
    url = link.get_attribute("href")
    assert "SUMMARY:Algorithms" in httpx2.get(url, timeout=30).text
    page.get_by_role("button", name="End the link").click()
    expect(link).to_have_count(0)
    assert httpx2.get(url, timeout=30).status_code == 404

    page.set_viewport_size({"width": 320, "height": 640})
    assert not watched.scrolls_sideways(page)
    shoot(page, "exam-phone")
    page.get_by_label("Language", exact=True).select_option("ur")
    expect(page.get_by_role("heading", name="پیش گوئی")).to_be_visible()
    assert not watched.scrolls_sideways(page)
    seen["right to left"] = barriers(page, axe)
    page.evaluate("scrollTo(0, 500)")
    shoot(page, "exam-urdu")
    page.get_by_role("combobox", name="زبان", exact=True).select_option("en")

    page.on("dialog", lambda it: it.accept())
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No exams yet.")).to_be_visible()
    assert {place: found for place, found in seen.items() if found} == {}
    assert watched.wrong == []


def test_an_exam_without_a_scope_says_so_beside_the_field(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    page.goto(f"{watched.url}/#/study/exams")
    page.get_by_role("button", name="New exam").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Title").fill("Algorithms")
    dialog.get_by_label("Begins at").fill("2099-01-01T09:00")
    dialog.get_by_role("button", name="Create").click()
    expect(dialog.locator("fieldset .wrong")).to_have_text("Name at least one note or tag.")
    # A browser tells of each 400 as an error.
    assert [it for it in watched.wrong if "400" not in it] == []


def test_an_exam_is_changed_and_what_one_does_not_touch_stays(watched: Watched, axe: str):
    student = Student(watched.url)
    student.write_topic("Sorting", DEFINITIONS)
    note = student.get("/api/notes/")["results"][0]["id"]
    minutes = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), 20)
    exam = {
        "title": "Algorithms",
        "at": "2027-07-01T09:00",
        "time_zone": "Europe/Berlin",
        "scope": {"note_ids": [note], "tags": ["algorithms"]},
        "minutes_per_day": minutes,
        "target": 0.9,
    }
    path = f"/api/study/exams/{student.post('/api/study/exams/', exam)['id']}/"
    page = watched.open()
    sign_in(page, student.email)
    page.goto(f"{watched.url}/#/study/exams")
    page.get_by_role("link", name="Algorithms").click()
    page.get_by_role("button", name="Edit").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Begins at")).to_have_value("2027-07-01T09:00")
    expect(dialog.get_by_label("Sorting")).to_be_checked()
    expect(dialog.get_by_label("# algorithms")).to_be_checked()
    seen = barriers(page, axe)
    shoot(page, "exam-edit")
    dialog.get_by_label("Title").fill("Data structures")
    dialog.get_by_label("Time zone").fill("Asia/Karachi")
    dialog.get_by_label("Mon", exact=True).fill("45")
    dialog.get_by_label("Share of the cards").fill("80")
    dialog.get_by_label("# algorithms").uncheck()
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Data structures")).to_be_visible()
    shown = student.get(path)
    assert {name: shown[name] for name in exam} == {
        "title": "Data structures",
        "at": "2027-07-01T04:00:00.000000Z",
        "time_zone": "Asia/Karachi",
        "scope": {"note_ids": [note], "tags": []},
        "minutes_per_day": {**minutes, "mon": 45},
        "target": 0.8,
    }

    # Who writes what was changed elsewhere since is told, and sees it as it is
    page.get_by_role("button", name="Edit").click()
    student.patch(path, {"title": "Trees"})
    dialog.get_by_label("Title").fill("Graphs")
    dialog.get_by_role("button", name="Save").click()
    expect(page.get_by_text("It was changed elsewhere.")).to_be_visible()
    expect(page.get_by_role("heading", name="Trees")).to_be_visible()
    assert seen == []
    assert [it for it in watched.wrong if "412" not in it] == []
