"""Markdown of anybody as HTML of ours."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notes import mathml
from notes.markdown_pages import to_html
from notes.mathml import Formulas

MINE = "00000000-0000-4000-8000-000000000001"
PAPER = "00000000-0000-4000-8000-000000000002"
KINDS = {MINE: "image/png", PAPER: "application/pdf"}
REL = 'rel="nofollow noopener noreferrer"'
TAGS = set("a blockquote br code del em h4 h5 h6 hr img li ol p pre strong table tbody td th thead tr ul".split())


def html_of(text: str) -> str:
    address = {pk: f"/files/{pk}/" for pk in KINDS}.get
    return to_html(text, address=address, kinds=KINDS, formulas=Formulas())


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# One\n\n### Three\n\n###### Six", "<h4>One</h4>\n<h6>Three</h6>\n<h6>Six</h6>\n"),
        ("*a* **b** ~~c~~ `d<e`", "<p><em>a</em> <strong>b</strong> <del>c</del> <code>d&lt;e</code></p>\n"),
        ("a <b>c</b>", "<p>a &lt;b&gt;c&lt;/b&gt;</p>\n"),
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;\n"),
        ("[x](javascript:alert(1))", f'<p><a {REL}>x</a></p>\n'),
        ("[x](/admin/)", f'<p><a {REL}>x</a></p>\n'),
        ("[x](https://e.co/?a=1&b=2)", f'<p><a href="https://e.co/?a=1&amp;b=2" {REL}>x</a></p>\n'),
        (f"![a photo](/api/attachments/{MINE}/)", f'<p><img src="/files/{MINE}/" alt="a photo"></p>\n'),
        (f"![a photo](/api/attachments/{MINE.upper()}/)", f'<p><img src="/files/{MINE}/" alt="a photo"></p>\n'),
        (f"![a paper](/api/attachments/{PAPER}/)", f'<p><a href="/files/{PAPER}/" {REL}>a paper</a></p>\n'),
        (f"[it](/api/attachments/{MINE}/)", f'<p><a href="/files/{MINE}/" {REL}>it</a></p>\n'),
        ("![x](https://e.co/spy.gif)", f'<p><a href="https://e.co/spy.gif" {REL}>x</a></p>\n'),
        ("![x](/api/attachments/00000000-0000-4000-8000-000000000009/)", '<p><img alt="x"></p>\n'),
        (
            "|a|b|\n|:-|-:|\n|1|2|",
            '<table tabindex="0">\n<thead>\n<tr>\n<th align="left">a</th>\n<th align="right">b</th>\n</tr>\n</thead>\n'
            '<tbody>\n<tr>\n<td align="left">1</td>\n<td align="right">2</td>\n</tr>\n</tbody>\n</table>\n',
        ),
        ("```html\n<i>\n```", '<pre tabindex="0"><code>&lt;i&gt;\n</code></pre>\n'),
        ("", ""),
    ],
)  # fmt: skip
def test_markdown_becomes_a_fixed_set_of_tags(text, html):
    assert html_of(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        (
            r"So $E = mc^2$.",
            '<p>So <math display="inline"><mrow><mi>E</mi><mo>=</mo><mi>m</mi><msup><mi>c</mi><mn>2</mn></msup></mrow>'
            "</math>.</p>\n",
        ),
        (
            r"$$6\,a_1$$",
            '<p><math display="block"><mrow><mn>6</mn><mspace width="0.167em"></mspace><msub><mi>a</mi><mn>1</mn>'
            "</msub></mrow></math></p>\n",
        ),
        (
            r"$\text{<script>}$",
            '<p><math display="inline"><mrow><mtext>&lt;script&gt;</mtext></mrow></math></p>\n',
        ),
        (
            r"$n\log n$",
            '<p><math display="inline"><mrow><mi>n</mi><mspace width="0.167em"></mspace><mi>log</mi>'
            '<mspace width="0.167em"></mspace><mi>n</mi></mrow></math></p>\n',
        ),
        (
            r"$\sin(x)$",
            '<p><math display="inline"><mrow><mi>sin</mi><mo stretchy="false">(</mo><mi>x</mi>'
            '<mo stretchy="false">)</mo></mrow></math></p>\n',
        ),
        (
            r"$\begin{aligned} a &= b \end{aligned}$",
            '<p><math display="inline"><mrow><mtable><mtr><mtd><mi>a</mi></mtd><mtd><mo>=</mo><mi>b</mi></mtd></mtr>'
            "</mtable></mrow></math></p>\n",
        ),
        (r"$a^b^c$", "<p><code>$a^b^c$</code></p>\n"),
        (f"${'x' * 2_001}$", f"<p><code>${'x' * 2_001}$</code></p>\n"),
        ("It costs $5 and $6.", "<p>It costs $5 and $6.</p>\n"),
        ("`$x$`", "<p><code>$x$</code></p>\n"),
        (f"![a $x$ b](/api/attachments/{MINE}/)", f'<p><img src="/files/{MINE}/" alt="a x b"></p>\n'),
    ],
)
def test_formulas_are_set_or_shown_as_their_source(text, html):
    assert html_of(text) == html


FORMULAS = json.loads(Path(__file__).with_name("formulas.json").read_text())
"""Texts and what of them is a formula: for shared pages and for the page (``tests/browser/test_texts.py``)."""


class Recorded(Formulas):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def html(self, latex: str, *, is_block: bool) -> str:
        marks = "$$" if is_block else "$"
        self.seen.append(re.sub(r"\s+", " ", f"{marks}{latex}{marks}"))
        return super().html(latex, is_block=is_block)


@pytest.mark.parametrize("case", FORMULAS, ids=[case["text"] for case in FORMULAS])
def test_what_is_a_formula_is_the_same_here_and_on_the_page(case):
    recorded = Recorded()

    to_html(case["text"], address=lambda pk: None, kinds={}, formulas=recorded)

    assert sorted(recorded.seen) == sorted(case["formulas"])


def test_a_formula_on_lines_of_its_own_may_look_like_a_list():
    assert html_of("Given\n$$\na\n+ b\n$$\nso") == (
        '<p>Given</p>\n<p><math display="block"><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></math></p>\n<p>so</p>\n'
    )


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("See [[Sorting]].", "<p>See Sorting.</p>\n"),
        ("[[Sorting#Pivots]] and [[Sorting|*that* note]]", "<p>Sorting#Pivots and *that* note</p>\n"),
        ("[[Sorting|]]", "<p>Sorting</p>\n"),
        ("[[R&D|<b>x</b>]] [[<i>]]", "<p>&lt;b&gt;x&lt;/b&gt; &lt;i&gt;</p>\n"),
        ("[[javascript:alert(1)|x]]", "<p>x</p>\n"),
        ("`[[Sorting]]` and \\[[Sorting]]", "<p><code>[[Sorting]]</code> and [[Sorting]]</p>\n"),
    ],
)
def test_a_link_to_another_note_is_its_words(text, html):
    assert html_of(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("> [!note]\n> Text", "<p><strong>Note</strong></p>\n<p>Text</p>"),
        ("> [!WARNING]- Mind *this*\n> Text", "<p><strong>Warning: Mind <em>this</em></strong></p>\n<p>Text</p>"),
        ("> [!tip] Alone", "<p><strong>Tip: Alone</strong></p>"),
        ("> [!tip] <b>\n> - one", "<p><strong>Tip: &lt;b&gt;</strong></p>\n<ul>\n<li>one</li>\n</ul>"),
        ("> Text [!note]", "<p>Text [!note]</p>"),
    ],
)
def test_a_callout_is_a_quote_with_a_title(text, html):
    assert html_of(text) == f"<blockquote>\n{html}\n</blockquote>\n"


def test_what_looks_like_a_callout_in_code_stays():
    assert html_of("```\n> [!note] x\n```") == '<pre tabindex="0"><code>&gt; [!note] x\n</code></pre>\n'


def test_a_page_sets_a_bounded_number_of_formulas():
    html = html_of("$x + y$ " * 20_000)

    assert (html.count("<math"), html.count("<code>$x + y$</code>")) == (4_000, 16_000)


PIECES = st.sampled_from(
    ["<", ">", "&", '"', "'", "`", "*", "_", "[", "]", "(", ")", "!", "\n", " ", "|", "-", "#", "~~", "\\", "\t", "](",
     "javascript:", "data:text/html,", "<script>", "onerror=", "<img src=x ", "<!--", "-->", "&#x6a;", "https://e.co",
     "$", "$$", "$x$", "\\text{", "\\frac", "{", "}", "^", "\\href{", "\\style{", "\\begin{matrix}", "![$", "[[", "]]",
     "[[a|", "> [!note] ", "$$\n"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(PIECES | st.text(max_size=3), max_size=40).map("".join))
def test_no_text_makes_another_tag_or_attribute(text):
    html = html_of(text)

    for closing, tag, attributes in re.findall(r"<(/?)([a-zA-Z0-9]+)([^>]*)>", html):
        names = set(re.findall(r'([a-z-]+)="[^"]*"', attributes))
        if tag in mathml._TAGS:
            assert names <= mathml._ATTRIBUTES
            continue
        assert tag in TAGS
        assert names <= {"href", "src", "alt", "rel", "start", "align", "tabindex"}
        assert not closing or not attributes
    assert not re.search(r"<(?![/a-zA-Z])", html)
    assert not re.search(r'(?:href|src)="(?!https?:|mailto:|/files/)', html)


HOSTILE = {
    "images": "![", "emphasis": "*a_", "quotes": ">", "lists": "- a\n ", "links": "[a](", "backticks": "`a",
    "tables": "|a", "tags": "<a ", "brackets": "[", "references": "[a]: b\n", "entities": "&a;", "addresses": "http://a",
    "formulas": "$x$ ", "long formulas": "$\\frac{a}{b}$ ", "open formulas": "$$a",
    "strong": "**x", "strikes": "~~a", "nested lists": "1. ", "paragraphs": "a\n\n",
    "note links": "[[a|b]] ", "open note links": "[[a|", "callouts": "> [!note] *a\n",
    "set-off formulas": "$$\na\n$$\n", "formulas set off and open": "$$a\n\n",
}  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_megabyte_is_shown_within_the_time_out(piece):
    """A second or two where the time grows with the length, and half an hour where it grows with its square."""
    assert html_of((piece * 1_000_000)[:1_000_000])


def test_what_is_nested_too_deeply_is_shown_as_text():
    assert html_of(">" * 60 + "<i>") == f"<pre>{'&gt;' * 60}&lt;i&gt;</pre>"
