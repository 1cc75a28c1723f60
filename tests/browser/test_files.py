"""Files on the page: pictures in notes, links for others, imports with their report, and notes as files."""

import io
import re
import zipfile

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Watched
from tests.browser.steps import barriers, register, save, shoot, write_topic
from tests.processes import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

# As a browser does when somebody pastes or drops a file.
GIVE_FILE = """
(field, [name, type, bytes]) => {
  const files = new DataTransfer();
  files.items.add(new File([new Uint8Array(bytes)], "pivot.png", { type }));
  const how = { paste: ["clipboardData", ClipboardEvent], drop: ["dataTransfer", DragEvent] }[name];
  field.dispatchEvent(new how[1](name, { [how[0]]: files, bubbles: true, cancelable: true }));
}
"""


SHARED = r"""
The pivot splits the list in two; see [[Median of three|the median of three]]. With good pivots the sort takes

$$
T(n) = 2\,T\!\left(\frac{n}{2}\right)
+ c\,n = O(n \log n)
$$

steps, and with the worst ones **quadratic** time.

> [!tip] Which one?
> A random pivot costs nothing to find.

| Pivot | Worst case | Likely |
|---|---|---|
| the first | $n^2$ | $n \log n$ |
| a random one | $n^2$ | $n \log n$ |

```python
def sort(items):
    if len(items) < 2:
        return items
    pivot = random.choice(items)
    smaller = [it for it in items if it < pivot]
```
"""


def picture() -> list[int]:
    data = io.BytesIO()
    Image.new("RGB", (120, 40), "teal").save(data, "PNG")
    return list(data.getvalue())


def test_a_picture_is_pasted_and_dropped_into_a_text_and_shown(watched: Watched):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, "Look:\n\n")
    page.get_by_role("button", name="Edit").click()
    text = page.get_by_label("Text (Markdown)")
    for how, count in (("paste", 1), ("drop", 2)):
        text.evaluate(GIVE_FILE, [how, "image/png", picture()])
        expect(text).to_have_value(
            re.compile(rf"(!\[pivot.png\]\(/api/attachments/[0-9a-f-]{{36}}/\)[\s\S]*){{{count}}}")
        )
    save(page)
    expect(page.locator(".prose img")).to_have_count(2)
    page.reload()
    expect(page.locator(".prose img")).to_have_count(2)
    wait_until(lambda: page.locator(".prose img").first.evaluate("it => it.naturalWidth") == 120, 60)
    shoot(page, "picture")
    assert watched.wrong == []


def test_a_note_is_shared_by_a_link_until_it_is_ended(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    write_topic(page, SHARED)
    page.get_by_role("button", name="Share").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Make a link").click()
    link = dialog.get_by_role("link").first
    expect(link).to_be_visible()
    seen = barriers(page, axe)
    shoot(page, "share")
    url = re.sub(r"^https?://[^/]+", watched.url, link.get_attribute("href"))

    stranger = page.context.browser.new_context(viewport={"width": 900, "height": 1000}).new_page()
    stranger.goto(url)
    expect(stranger.locator(".text")).to_contain_text("see the median of three. With")
    expect(stranger.locator(".text a")).to_have_count(0)
    expect(stranger.locator("blockquote p")).to_have_text(["Tip: Which one?", "A random pivot costs nothing to find."])
    expect(stranger.locator("math")).to_have_count(5)
    seen += barriers(stranger, axe)
    shoot(stranger, "shared")
    stranger.set_viewport_size({"width": 390, "height": 1000})
    assert not watched.scrolls_sideways(stranger)
    seen += barriers(stranger, axe)
    shoot(stranger, "shared-phone")
    stranger.set_viewport_size({"width": 794, "height": 1000})
    stranger.emulate_media(media="print")
    shoot(stranger, "shared-print")
    dialog.get_by_role("button", name="End the link").click()
    expect(dialog.get_by_role("link")).to_have_count(0)
    assert stranger.goto(url).status == 404
    assert seen == []
    assert watched.wrong == []


def test_notes_come_in_from_an_archive_with_a_report_and_go_out_as_files(watched: Watched, axe: str):
    page = watched.open()
    register(page, "ada@example.com")
    page.get_by_label("Templates").click()
    page.get_by_role("link", name="Import").click()
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as it:
        it.writestr("Sorting.md", "# Sorting\n\n## Quicksort\n\n### Pivot\n\nA **random** one.\n")
        it.writestr("Graphs.md", "# Graphs\n\nNodes and edges.\n")
    upload = {"name": "notes.zip", "mimeType": "application/zip", "buffer": archive.getvalue()}

    page.get_by_label("File").set_input_files(upload)
    page.get_by_label("only show what would be done").check()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_text("created: 2")).to_be_visible()
    page.get_by_label("only show what would be done").uncheck()
    page.get_by_role("button", name="Import").click()
    expect(page.get_by_role("link", name="Sorting.md")).to_be_visible()
    seen = barriers(page, axe)
    shoot(page, "import")
    page.get_by_role("link", name="Sorting.md").click()
    expect(page.locator(".prose strong")).to_have_text("random")

    for button, suffix, begins in (("As Markdown", ".md", b"---"), ("As PDF", ".pdf", b"%PDF")):
        with page.expect_download(timeout=90_000) as download:
            page.get_by_role("button", name=button).click()
        assert download.value.suggested_filename.endswith(suffix)
        assert download.value.path().read_bytes().startswith(begins)
    assert seen == []
    assert watched.wrong == []
