"""The page while the network or the server is away for a while."""

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import Product, Watched
from tests.browser.steps import TEXT, edit, register, save, write_topic

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]


def test_without_a_network_the_page_says_so_and_what_was_written_waits_in_the_editor(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page)

    edit(page, "Written on a train.")
    page.context.set_offline(True)
    save(page)
    expect(page.get_by_text("The server cannot be reached.").first).to_be_visible()
    expect(page.get_by_label("Text (Markdown)")).to_have_value("Written on a train.")
    page.context.set_offline(False)
    save(page)
    expect(page.locator(".prose")).to_have_text("Written on a train.")
    page.get_by_role("button", name="Summarise").click()
    expect(page.locator(".answer")).to_contain_text("Summary · done")
    assert [it for it in watched.wrong if "ERR_INTERNET_DISCONNECTED" not in it] == []


def test_a_page_goes_on_after_the_server_was_restarted(django_db_setup, transactional_db, browser: Browser, tmp_path):
    product = Product(tmp_path)
    watched = Watched(browser, product.url)
    with product.web():
        page = watched.open()
        register(page, "ada@example.com")
        write_topic(page, TEXT)
        edit(page, "Written before the restart.")
    save(page)
    expect(page.get_by_text("The server cannot be reached.").first).to_be_visible()
    with product.web():
        save(page)
        expect(page.locator(".prose")).to_have_text("Written before the restart.")
        page.reload()
        expect(page.locator(".prose")).to_have_text("Written before the restart.")
    # Browsers tell of what is refused as an error: of writes, and of streams from a process that does not run here.
    assert [it for it in watched.wrong if "ERR_" not in it] == []
