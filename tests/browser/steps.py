"""What people do on the page, step by step, and how a test looks at it."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from playwright.sync_api import Locator, Page, expect

TEXT = (
    "The pivot splits the list in two. A bad pivot makes one part empty. Then the sort takes **quadratic** time. "
    "A random pivot is a good choice. The median of three is another one."
)
DEFINITIONS = (
    "A stack is a list whose last item leaves first.\n\nA queue is a list whose first item leaves first.\n\n"
    "A heap is a tree whose parents are never smaller than their children."
)
"""Of which three cards are made without a model."""
PASSWORD = "notes on engines"
SHOTS = os.environ.get("SCREENSHOTS")


class Student:
    """Somebody who writes by the API what a test begins with, as that is faster than the page."""

    def __init__(self, url: str, email: str = "ada@example.com") -> None:
        self.email = email
        self.client = httpx2.Client(base_url=url, timeout=30)
        answer = self.post("/api/auth/register/", {"email": email, "name": "Ada", "password": PASSWORD})
        self.client.headers["Authorization"] = f"Bearer {answer['access']}"

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.client.post(path, json=body).raise_for_status().json()

    def patch(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self.client.patch(path, json=body).raise_for_status().json()

    def get(self, path: str) -> dict[str, Any]:
        return self.client.get(path).raise_for_status().json()

    def write_topic(self, title: str, text: str, **note: Any) -> int:
        """A note with one chapter and one topic of this title; the topic's id."""
        chapters = [{"title": title, "topics": [{"title": title, "explanation": text}]}]
        written = self.post("/api/notes/", {"title": title, "chapters": chapters, **note})
        return written["chapters"][0]["topics"][0]["id"]


def shoot(page: Page, name: str) -> None:
    """Keep a picture for whoever wants to look: SCREENSHOTS names a folder."""
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=f"{SHOTS}/{name}.png")


# As quickly as nobody types: between two letters no time passes, whatever else the machine does.
TYPE = """
(field, text) => {
  for (let length = 1; length <= text.length; length += 1) {
    field.value = text.slice(0, length);
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
"""


def type_at_once(field: Locator, text: str) -> None:
    """Type letter by letter, faster than the page's patience with a typist."""
    field.evaluate(TYPE, text)


def register(page: Page, email: str) -> None:
    page.get_by_role("button", name="Register").click()
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Name").fill("Ada")
    page.get_by_label("Password").fill(PASSWORD)
    page.locator("form").get_by_role("button", name="Register").click()
    expect(page.get_by_text("No notes yet.")).to_be_visible()


def write_note(page: Page) -> None:
    page.get_by_label("New note").fill("Sorting")
    page.get_by_label("New note").press("Enter")
    page.get_by_label("New chapter", exact=True).fill("Quicksort")
    page.get_by_label("New chapter", exact=True).press("Enter")
    page.get_by_label("New topic", exact=True).fill("Choosing a pivot")
    page.get_by_label("New topic", exact=True).press("Enter")


def edit(page: Page, text: str) -> None:
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Text (Markdown)").fill(text)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def write_exam(page: Page, title: str, *, days: int, scope: str, minutes: int = 20) -> None:
    """Write an exam in the dialogue: at nine, so many days from now, about the note or tag that has this label."""
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Title").fill(title)
    at = datetime.now(UTC) + timedelta(days=days)
    dialog.get_by_label("Begins at").fill(at.strftime("%Y-%m-%dT09:00"))
    dialog.get_by_label("Time zone").fill("Europe/Berlin")
    dialog.get_by_label(scope).check()
    for day in ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"):
        dialog.get_by_label(day, exact=True).fill(str(minutes))
    dialog.get_by_role("button", name="Create").click()


def sign_in(page: Page, email: str, password: str = PASSWORD) -> None:
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Notes", exact=True)).to_be_visible()


def write_topic(page: Page, text: str = TEXT) -> None:
    """A note with one topic that has a text."""
    write_note(page)
    edit(page, text)
    save(page)
    expect(page.locator(".prose").first).to_be_visible()


def barriers(page: Page, axe: str) -> list[tuple[str, str]]:
    """What axe-core finds serious or worse: the rule, and the first element that breaks it."""
    page.evaluate(axe)
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [(it["id"], it["nodes"][0]["html"]) for it in found if it["impact"] in ("serious", "critical")]
