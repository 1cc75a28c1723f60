"""Texts as the page shows them: formulas, code in colours, callouts."""

import json
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import files
from tests.browser.conftest import Watched
from tests.browser.steps import barriers, edit, register, save, shoot, write_note

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.django_db(transaction=True)]

FORMULAS = json.loads(Path(files.__file__).with_name("formulas.json").read_text())
TEXT = r"""
A pivot costs $5, or $n \log n$ comparisons; `$HOME` is code, and $\frac{1}$ is no formula.

$$
T(n) = 2\,T\!\left(\frac{n}{2}\right)
+ \color{red}{c\,n} = \sum_{i=0}^{\log n} c\,n = O(n \log n) \qquad \text{where } \mathtt{a\_long\_name} = 1
$$

$\href{javascript:alert(1)}{x}$ $\text{<img src=x onerror=alert(1)>}$ and
$\overline{x} \in \mathbb{R}$, $\cancel{y}$, $f'(x)$

$$\begin{aligned} f(x) &= \begin{cases} 1 & x > 0 \\ 0 & \text{else} \end{cases} \\
g &= \lim_{n \to \infty} \vec{v}_n \end{aligned}$$

> [!tip]- Choose *well*
> Take the [[Median of three|median]].

```py
def sort(items):  # stable
    return sorted(items) or "nothing" * 2
```
"""
CODE = 'SELECT title FROM notes WHERE version > 7; -- "recent"'
PARSED = """async (texts) => {
  const { default: MarkdownIt } = await import("markdown-it");
  const { withFormulas } = await import("page/formulas.js");
  const markdown = new MarkdownIt();
  withFormulas(markdown);
  return texts.map((text) => markdown.parse(text, {}).flatMap((it) => [it, ...(it.children ?? [])])
    .filter((it) => it.type === "formula").map((it) => `${it.markup}${it.content}${it.markup}`.replace(/\\s+/g, " ")));
}"""


def test_what_is_a_formula_is_the_same_on_the_page_as_on_shared_pages(watched: Watched):
    page = watched.open()

    found = page.evaluate(PARSED, [case["text"] for case in FORMULAS])

    assert found == [case["formulas"] for case in FORMULAS]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_formulas_are_set_and_code_has_colours_that_all_can_read(watched: Watched, axe: str, scheme):
    page = watched.open(color_scheme=scheme)
    register(page, "ada@example.com")
    assert [it for it in watched.requests if "temml" in it or "highlight" in it] == []
    write_note(page)
    edit(page, TEXT)
    page.get_by_label("Code", exact=True).fill(CODE)
    page.get_by_label("Language of the code").fill("PostgreSQL")
    save(page)

    text = page.locator(".prose")
    expect(text.locator("math")).to_have_count(7)
    expect(text.locator(".formula math[display=block]")).to_have_count(2)
    expect(text).to_contain_text("\N{DOUBLE-STRUCK CAPITAL R}")
    expect(text.locator("p > code")).to_have_text(["$HOME", r"$\frac{1}$", r"$\href{javascript:alert(1)}{x}$"])
    expect(text.locator("p").first).to_contain_text("costs $5, or ")
    expect(text.locator("mtext", has_text="<img")).to_have_count(1)
    expect(text.locator("blockquote p")).to_have_text(["Tip: Choose well", "Take the median."])
    expect(text.get_by_role("link", name="median")).to_have_attribute("href", "#/title/Median%20of%20three")
    expect(text.locator(".hljs-keyword")).to_have_text(["def", "return", "or"])
    expect(page.locator(".topic > pre .hljs-keyword")).to_have_text(["SELECT", "FROM", "WHERE"])
    expect(page.locator(".topic > pre")).to_have_text(CODE)
    expect(page.locator("[style], annotation, .prose img")).to_have_count(0)
    asked = [it for it in watched.requests if "temml" in it or "highlight" in it]
    assert len(asked) == len(set(asked)) == 4, "Temml, highlight.js and two languages"
    seen = {"wide": barriers(page, axe)}
    shoot(page, f"texts-{scheme}")
    page.set_viewport_size({"width": 320, "height": 640})
    assert not watched.scrolls_sideways(page)
    seen["phone"] = barriers(page, axe)
    shoot(page, f"texts-phone-{scheme}")
    assert seen == {"wide": [], "phone": []}
    assert watched.wrong == []
