"""The page says how questions find a note, where embeddings are configured."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from ai_tasks.embedding_rows import NoteIndexing
from ai_tasks.embeddings import extension
from ai_tasks.embeddings.indexing import index_due_notes
from ai_tasks.spending import AIBudgetReached, next_midnight
from tests.browser.conftest import Product, Watched
from tests.browser.steps import barriers, register, shoot, write_topic
from tests.openai_server import running_server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

SHOWN = {
    "en": "Questions find this note also by what it means. Passages: 2.",
    "de": "Fragen finden diese Notiz auch nach ihrem Sinn. Abschnitte: 2.",
    "ur": "سوال اس نوٹ کو اس کے مفہوم سے بھی ڈھونڈ لیتے ہیں",
}


@pytest.fixture
def product(django_db_setup, transactional_db, tmp_path, settings) -> Iterator[Product]:
    """A web process of its own with embeddings, which nobody but this test makes."""
    if not extension.install():
        pytest.skip("this PostgreSQL has no extension vector")
    with running_server() as server:
        settings.EMBEDDINGS_ARE_ON, settings.EMBEDDINGS_MODEL = True, "test-embeddings"
        settings.EMBEDDINGS_BASE_URL, settings.EMBEDDINGS_API_KEY = server.base_url, "key"
        product = Product(
            tmp_path,
            EMBEDDINGS_MODEL="test-embeddings",
            EMBEDDINGS_BASE_URL=server.base_url,
            EMBEDDINGS_API_KEY="key",
        )
        with product.web():
            yield product


def elsewhere(do: Callable[[], Any]) -> Any:
    """While the browser runs, Django takes this thread for an asynchronous one."""

    def run() -> Any:
        try:
            return do()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(run).result()


def outline(page: Page, name: str = "Outline") -> None:
    """Open it anew."""
    button = page.get_by_role("button", name=name, exact=True)
    if button.get_attribute("aria-expanded") == "true":
        button.click()
    button.click()
    expect(page.get_by_role("navigation", name=name)).to_be_visible()


def test_a_note_says_how_questions_find_it(product: Product, browser: Browser, axe: str):
    page = Watched(browser, product.url).open()
    register(page, "ada@example.com")
    write_topic(page, "A bad pivot makes one part empty.\n\nA random pivot is a good choice.")
    outline(page)
    expect(page.get_by_text("by what it means it will be found later")).to_be_visible()

    elsewhere(lambda: NoteIndexing.objects.update(due_at=next_midnight(), error_code=AIBudgetReached.code))
    outline(page)
    expect(page.get_by_text("Today's AI budget is used up.")).to_be_visible()

    elsewhere(lambda: NoteIndexing.objects.update(due_at=timezone.now() - timedelta(seconds=1)))
    assert elsewhere(index_due_notes) == 1
    outline(page)
    expect(page.get_by_text(SHOWN["en"])).to_be_visible()
    assert barriers(page, axe) == []
    shoot(page, "indexing")

    elsewhere(lambda: NoteIndexing.objects.update(error_code="internal_error"))
    outline(page)
    expect(page.get_by_text("Questions find this note by its words only.")).to_be_visible()
    elsewhere(lambda: NoteIndexing.objects.update(error_code=""))
    for language, name in (("de", "Gliederung"), ("ur", "خاکہ")):
        page.evaluate(f"localStorage.setItem('noteassist.language', '{language}')")
        page.reload()
        outline(page, name)
        expect(page.get_by_text(SHOWN[language])).to_be_visible()
