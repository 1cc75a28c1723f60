"""Quizzes and free recall on the page: by keyboard and by touch, kept over a reload, leading to their passages."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Watched
from tests.browser.steps import Student, barriers, shoot, sign_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

STEPS = ["Choose a pivot", "Split the list", "Sort the halves", "Join them"]
LIST = "Quicksort takes these steps:\n\n" + "\n".join(f"{n}. {text}" for n, text in enumerate(STEPS, 1))
CAPITALS = {
    "What is the capital of France?": "Paris",
    "What is the capital of Italy?": "Rome",
    "What is the capital of Spain?": "Madrid",
    "What is the capital of Poland?": "Warsaw",
    "What is the capital of Norway?": "Oslo",
    "What is the capital of Greece?": "Athens",
    "What is the capital of Egypt?": "Cairo",
    "What is the capital of Peru?": "Lima",
}


def question(page: Page, kind: str):
    return page.locator(".question").filter(has_text=kind)


def asked(part) -> str:
    """The right answer to a question about a capital."""
    return CAPITALS[re.search(r"What is the capital of \w+\?", part.inner_text())[0]]


def put_in_order(page: Page) -> None:
    """By keyboard: each item goes up until it stands in its place. The arrow that was pressed keeps the focus."""
    items = page.locator(".order .grow")
    shown = items.all_inner_texts()
    for place, text in enumerate(STEPS):
        arrow = page.get_by_role("button", name=f"Move up: {text}")
        arrow.focus()
        for at in range(shown.index(text), place, -1):
            page.keyboard.press("Enter")
            shown[at - 1], shown[at] = shown[at], shown[at - 1]
            expect(items).to_have_text(shown)
            expect(arrow).to_be_focused()


def test_a_quiz_of_a_note_is_answered_by_keyboard_survives_a_reload_and_mistakes_become_reviews(
    watched: Watched, axe: str
):
    student = Student(watched.url)
    topic = student.write_topic("Sorting", LIST)
    for front, back in CAPITALS.items():
        student.post("/api/study/cards/", {"kind": "basic", "front": front, "back": back, "topic_id": topic})
    page = watched.open()
    sign_in(page, student.email)
    page.get_by_role("link", name=re.compile("Sorting")).click()
    page.get_by_role("button", name="Quiz", exact=True).click()
    page.get_by_label("Number of questions").fill("4")
    seen = {"form": barriers(page, axe)}
    shoot(page, "quiz-form")
    page.get_by_role("button", name="Start the quiz").click()
    expect(page.locator(".question")).to_have_count(4)
    seen["quiz"] = barriers(page, axe)

    choice, gap = question(page, "Choose the right answer"), question(page, "Fill in what is missing")
    order, match = question(page, "Put these in order"), question(page, "Match what belongs together")
    choice.get_by_label(asked(choice)).focus()
    page.keyboard.press("Space")
    gap.get_by_label("Your answer").fill("Atlantis")
    before = order.locator("li").first.locator(".grow").inner_text()
    order.locator(".handle").first.drag_to(order.locator("li").last, target_position={"x": 60, "y": 36})
    expect(order.locator(".grow").last).to_have_text(before)
    put_in_order(page)
    expect(order.get_by_role("status")).to_contain_text(" of 4.")
    expect(order.locator(".grow")).to_have_text(STEPS)
    for pair in match.locator("label").all():
        pair.get_by_role("combobox").select_option(label=asked(pair))
    expect(page.get_by_text("Answered: 4 of 4")).to_be_visible()
    shoot(page, "quiz")

    page.reload()
    expect(page.get_by_text("Answered: 4 of 4")).to_be_visible()
    expect(gap.get_by_label("Your answer")).to_have_value("Atlantis")
    expect(order.locator(".grow")).to_have_text(STEPS)
    right = asked(gap)
    page.get_by_role("button", name="Send the answers").click()
    expect(page.get_by_role("heading", name="3 of 4 correct")).to_be_visible()
    expect(gap).to_contain_text(re.compile(f"Not correct.*Atlantis.*{right}", re.DOTALL))
    expect(order).to_contain_text("✓ Correct")
    seen["result"] = barriers(page, axe)
    shoot(page, "quiz-result")

    page.reload()  # the server keeps what became of it
    expect(page.get_by_role("heading", name="3 of 4 correct")).to_be_visible()
    order.get_by_role("button", name="Open the passage").click()
    expect(page.locator("ol.found")).to_contain_text("Choose a pivot")
    cards = student.get("/api/study/cards/")["results"]
    assert [it["back"] for it in cards if it["state"] == "learning"] == [right]
    assert {place: found for place, found in seen.items() if found} == {}
    assert watched.wrong == []


def test_a_quiz_of_a_tag_says_on_a_phone_that_there_is_too_little_material(watched: Watched, axe: str):
    student = Student(watched.url)
    student.write_topic("Sorting", LIST, tags=["algorithms"])
    page = watched.open(width=320, height=640, has_touch=True, is_mobile=True, color_scheme="dark")
    sign_in(page, student.email)
    page.get_by_label("Tag", exact=True).select_option("algorithms")
    page.get_by_role("button", name="Quiz about “algorithms”").tap()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("# algorithms")
    dialog.get_by_role("button", name="Close").tap()

    page.goto(f"{watched.url}/#/study/quizzes")
    expect(page.get_by_text("No quizzes yet.")).to_be_visible()
    page.get_by_role("button", name="New quiz").tap()
    dialog.get_by_role("radio", name="Tags").tap()
    dialog.get_by_label("algorithms").tap()
    seen = {"form": barriers(page, axe)}
    dialog.get_by_role("button", name="Start the quiz").tap()
    expect(page.get_by_text("There is too little material for more questions: 1.")).to_be_visible()
    page.get_by_role("button", name=re.compile("Move down")).first.tap()
    assert not watched.scrolls_sideways(page)
    seen["quiz"] = barriers(page, axe)
    shoot(page, "quiz-phone")

    page.get_by_label("Language", exact=True).select_option("ur")
    expect(page.get_by_text("سوال 1")).to_be_visible()
    page.get_by_role("button", name="جواب بھیجیں").tap()
    expect(page.locator(".outcome")).to_be_focused()
    assert not watched.scrolls_sideways(page)
    seen["right to left"] = barriers(page, axe)
    shoot(page, "quiz-urdu")
    page.get_by_role("link", name="تمام کوئز").tap()
    expect(page.locator(".card-row")).to_contain_text("1 میں سے")
    assert {place: found for place, found in seen.items() if found} == {}
    assert watched.wrong == []


def test_a_topic_explained_from_memory_shows_what_was_missed_and_leads_to_it(watched: Watched, axe: str):
    student = Student(watched.url)
    student.write_topic("The heart", "It has four chambers.\n\nVeins carry blood towards it.\n\nLungs add oxygen.")
    page = watched.open()
    sign_in(page, student.email)
    page.get_by_role("link", name=re.compile("The heart")).click()
    page.get_by_role("link", name="Explain it back").click()
    text = page.get_by_label("What you remember")
    text.fill("It has four chambers. Veins do not carry blood towards it.")
    page.reload()
    expect(text).to_have_value("It has four chambers. Veins do not carry blood towards it.")
    seen = {"text": barriers(page, axe)}
    page.get_by_role("button", name="Compare with the topic").click()

    states = page.locator(".recalled")
    expect(states).to_have_text([re.compile("^covered"), re.compile("^contradicted"), re.compile("^missing")])
    expect(states.nth(1).locator("blockquote")).to_contain_text("Veins do not carry blood towards it.")
    expect(page.get_by_role("heading", name=re.compile("% of the topic covered"))).to_be_visible()
    seen["recall"] = barriers(page, axe)
    shoot(page, "recall")
    page.set_viewport_size({"width": 320, "height": 640})
    assert not watched.scrolls_sideways(page)
    states.nth(2).get_by_role("link", name="Open the passage").click()
    expect(page.locator(".found")).to_have_text("Lungs add oxygen.")
    page.goto(f"{watched.url}/#/study/quizzes")
    expect(page.locator(".card-row")).to_contain_text("% of the topic covered")
    assert {place: found for place, found in seen.items() if found} == {}
    assert watched.wrong == []
