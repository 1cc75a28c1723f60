"""Studying on the page: writing cards, answering them by keyboard and by touch, and without a network."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Product, Watched
from tests.browser.steps import barriers, edit, register, save, shoot, write_topic
from tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def write_card(page: Page, front: str, back: str, kind: str = "Question and answer") -> None:
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Kind").select_option(kind)
    dialog.locator("textarea[name=front]").fill(front)
    dialog.locator("textarea[name=back]").fill(back)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)


def write_cards(page: Page, *cards: tuple[str, ...]) -> None:
    page.get_by_role("link", name="Study").click()
    page.get_by_role("link", name="Cards").click()
    for card in cards:
        page.get_by_role("button", name="New card").click()
        write_card(page, *card)
    expect(page.locator(".card-row")).to_have_count(len(cards))


def test_a_card_of_a_topic_is_studied_by_keyboard_and_tells_when_its_passage_changes(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "A bad pivot makes one part empty.\n\nA random pivot is a good choice.")
    page.get_by_role("button", name="Make a card").click()
    page.get_by_role("dialog").get_by_label("Passage").select_option(label="A random pivot is a good choice.")
    seen = {"card form": barriers(page, axe)}
    shoot(page, "card-form")
    write_card(page, "Which pivot is good?", "A **random** one.")

    page.get_by_role("link", name="Study").click()
    expect(page.get_by_text("1 new")).to_be_visible()
    expect(page.locator(".asked")).to_contain_text("Which pivot is good?")
    expect(page.locator(".asked")).not_to_contain_text("random")
    page.keyboard.press("Space")
    expect(page.locator(".answer-side strong")).to_be_visible()
    seen["answer"] = barriers(page, axe)
    shoot(page, "study")
    page.keyboard.press("1")
    expect(page.get_by_text("0 new")).to_be_visible()
    page.keyboard.press("u")
    expect(page.get_by_text("1 new")).to_be_visible()
    page.keyboard.press("Space")
    page.keyboard.press("4")
    expect(page.get_by_text("Nothing is due at the moment.")).to_be_visible()

    page.get_by_role("link", name="Statistics").click()
    expect(page.locator(".facts-list").first).to_contain_text("Reviews1")
    seen["statistics"] = barriers(page, axe)
    shoot(page, "stats")

    page.get_by_role("link", name="NoteAssist AI").click()
    page.get_by_role("link", name=re.compile("Sorting")).click()
    edit(page, "A bad pivot makes one part empty.\n\nThe median of three is a good choice.")
    save(page)
    expect(page.locator(".prose")).to_contain_text("The median of three")  # it is saved before the cards are asked for
    page.get_by_role("link", name="Study").click()
    page.get_by_role("link", name="Cards").click()
    expect(page.get_by_text("The passage that this card is about has changed since.")).to_be_visible()
    seen["cards"] = barriers(page, axe)
    shoot(page, "cards")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download for Anki").click()
    assert download.value.suggested_filename.endswith(".apkg")
    page.get_by_role("button", name="It is still right").click()
    expect(page.get_by_text("The passage that this card is about has changed since.")).to_have_count(0)

    page.get_by_role("link", name="Settings").click()
    page.get_by_label("New cards a day").fill("7")
    page.get_by_label("Steps of learning (minutes)").fill("2, 20")
    with page.expect_response("**/api/study/settings/"):  # what was said of the card may stand there still
        page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.").last).to_be_visible()
    seen["settings"] = barriers(page, axe)
    shoot(page, "study-settings")
    page.reload()
    expect(page.get_by_label("New cards a day")).to_have_value("7")
    expect(page.get_by_label("Steps of learning (minutes)")).to_have_value("2, 20")
    assert {place: found for place, found in seen.items() if found} == {}
    assert watched.wrong == []


def test_gaps_and_both_ways_are_asked_by_touch_on_a_phone(watched: Watched):
    page = watched.open(width=320, height=640, has_touch=True, is_mobile=True)
    register(page, "ada@example.com")
    write_cards(
        page,
        ("{{c1::Paris::a city}} lies on the {{c2::Seine}}.", "Since Roman times.", "Gaps in a text"),
        ("le chien", "the dog", "Both ways"),
    )
    page.get_by_role("link", name="Due").tap()
    expect(page.locator(".asked")).to_contain_text("[a city] lies on the Seine.")
    assert not watched.scrolls_sideways(page)
    page.get_by_role("button", name="Show the answer").tap()
    expect(page.locator(".answer-side:visible")).to_contain_text("Paris lies on the Seine.")
    expect(page.locator(".answer-side:visible")).to_contain_text("Since Roman times.")
    assert not watched.scrolls_sideways(page)
    shoot(page, "study-phone")
    page.get_by_role("button", name="Easy").tap()
    expect(page.locator(".asked")).to_contain_text("le chien")
    page.get_by_role("button", name="Show the answer").tap()
    expect(page.locator(".answer-side:visible")).to_contain_text("the dog")
    page.get_by_role("button", name="Easy").tap()
    expect(page.get_by_text("Nothing is due at the moment.")).to_be_visible()
    assert watched.wrong == []


def test_without_a_network_one_opens_the_page_and_studies_and_the_answers_are_sent_later(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_cards(page, ("one", "eins"), ("two", "zwei"))
    page.get_by_role("link", name="Due").click()
    expect(page.get_by_text("2 new")).to_be_visible()
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")

    page.context.set_offline(True)
    page.reload()
    expect(page.get_by_text("There is no network.")).to_be_visible()
    for question in ("one", "two"):
        expect(page.locator(".asked")).to_contain_text(question)
        page.keyboard.press("Space")
        page.keyboard.press("4")
    expect(page.get_by_text("You have answered all cards that were due")).to_be_visible()
    expect(page.get_by_text("Answers not sent yet: 2")).to_be_visible()
    shoot(page, "study-offline")
    page.reload()
    expect(page.get_by_text("You have answered all cards that were due")).to_be_visible()

    # A network may tell that it is there before it is: then they are sent again after half a minute.
    with page.expect_response(lambda it: it.url.endswith("/api/study/reviews/"), timeout=90_000) as sent:
        page.context.set_offline(False)
    assert len(sent.value.request.post_data_json["reviews"]) == 2
    expect(page.get_by_text("Answers not sent yet")).to_have_count(0)
    page.get_by_role("link", name="Statistics").click()
    expect(page.locator(".facts-list").first).to_contain_text("Reviews2")

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    wait_until(lambda: page.evaluate(KEPT) == [])
    assert [it for it in watched.wrong if "ERR_" not in it] == []


KEPT = """
new Promise((resolve) => {
  const opening = indexedDB.open("noteassist", 1);
  opening.onsuccess = () => {
    const stores = [...opening.result.objectStoreNames];
    const reading = opening.result.transaction(stores);
    const requests = stores.map((name) => reading.objectStore(name).getAll());
    reading.oncomplete = () => resolve(requests.flatMap((it) => it.result));
  };
})
"""


# Both versions are kept, and no worker waits or is being installed.
IS_UPDATED = """
Promise.all([caches.keys(), navigator.serviceWorker.getRegistration()])
  .then(([names, { installing, waiting, active }]) =>
    names.length === 2 && !installing && !waiting && active.state === "activated")
"""


def test_after_a_deploy_nobody_sees_the_old_page(django_db_setup, transactional_db, browser: Browser, tmp_path):
    old = Product(tmp_path)
    new = Product(tmp_path, **{**old.environment, "EVENTS_BASE_URL": "https://events.example.com"})
    url, root = old.url, "html[data-events='https://events.example.com']"
    context = browser.new_context()
    page = context.new_page()
    with old.web():
        page.goto(url)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.goto(url)  # the server is away: what was kept is shown
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    with new.web():
        page.goto(url)
        expect(page.locator(root)).to_have_count(1)
        wait_until(lambda: page.evaluate(IS_UPDATED), 60)
    page.goto(url)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(page.locator(root)).to_have_count(1)
