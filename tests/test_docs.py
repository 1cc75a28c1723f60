"""README and ``docs/`` name only what is there, and keep their form."""

import re
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

BASE = Path(settings.BASE_DIR)
DOCUMENTS = sorted([*BASE.glob("*.md"), *BASE.glob("docs/**/*.md")])
OTHERS_WORDS = {BASE / "docs/guide.md"}
"""The guide is kept as it was given; ``test_guide.py`` runs what it shows."""

DECISION_HEADINGS = ["Context", "Decision", "Alternatives considered", "What would change our mind"]
DECISION_STATUS = r"(?:accepted|superseded (?:in part )?by \[[^]]+\]\([^)]+\))"
TERMS_MAX = 25
README_LINES_MAX = 120

_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAMED = re.compile(r"`([\w.-]+(?:/[\w.-]+)*/?)`(?!, new:)")  # CONTRIBUTING shows files that are to be made


_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_LINKED_TEST = re.compile(r"\[`(test_\w+)`\]\((tests/[\w/]+\.py)\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(BASE))


@cache
def text_of(path: Path) -> str:
    """The document without its blocks of code."""
    return _CODE.sub("", path.read_text())


def anchors_of(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text_of(path), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def looks_like_a_path_of_ours(name: str) -> bool:
    """With a slash, it begins in a folder of the repository; without one, it is a file of a kind that we have."""
    top, slash, _ = name.partition("/")
    if top.startswith("."):
        return False  # as `.local`, which is made by running
    return (BASE / top).is_dir() if slash else name.endswith((".md", ".toml", ".yaml", ".conf.py", ".in"))


def test_every_test_that_a_document_names_is_there():
    named = {found for document in DOCUMENTS for found in _TEST.findall(text_of(document))}
    named |= {(file, name) for name, file in _LINKED_TEST.findall(text_of(BASE / "README.md"))}

    assert len(named) > 50
    missing = [name for file, name in named if f"\ndef {name}(" not in (BASE / file).read_text()]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_to_something(document):
    missing = []
    for link in _LINK.findall(text_of(document)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        if not target.exists() or (anchor and anchor not in anchors_of(target)):
            missing.append(link)

    assert missing == [], f"{name_of(document)} links to what is not there: correct the link, or name its heading."


@pytest.mark.parametrize("document", [it for it in DOCUMENTS if it not in OTHERS_WORDS], ids=name_of)
def test_every_path_that_is_named_is_there(document):
    names = {name for name in _NAMED.findall(text_of(document)) if looks_like_a_path_of_ours(name)}
    missing = sorted(name for name in names if not any((place / name).exists() for place in (BASE, document.parent)))

    assert missing == [], f"{name_of(document)} names files that are not there: were they moved?"


def test_the_readme_is_short():
    assert len((BASE / "README.md").read_text().splitlines()) <= README_LINES_MAX


def test_every_promise_of_the_readme_is_linked_to_a_test():
    promises = re.findall(r"^\| \d+ \| .+ \| (.+) \|$", text_of(BASE / "README.md"), flags=re.MULTILINE)

    assert len(promises) == 7
    assert [promise for promise in promises if not _LINKED_TEST.match(promise)] == []


def test_the_readme_leads_to_every_document():
    links = {(BASE / link.partition("#")[0]).resolve() for link in _LINK.findall(text_of(BASE / "README.md"))}

    assert {name_of(path) for path in BASE.glob("docs/*.md") if path not in links} == set()


def test_the_glossary_is_short_and_in_order():
    terms = re.findall(r"^\| \*\*(.+?)\*\* \| .+\. \|$", text_of(BASE / "docs/glossary.md"), flags=re.MULTILINE)
    rows = re.findall(r"^\| \*\*", text_of(BASE / "docs/glossary.md"), flags=re.MULTILINE)

    assert 0 < len(terms) == len(rows) <= TERMS_MAX, "Each row is a term and one sentence."
    assert terms == sorted(terms, key=lambda term: term.replace("ç", "c"))


def test_every_decision_has_its_headings_and_its_line_in_the_index():
    records = sorted(BASE.glob("docs/decisions/[0-9]*.md"))
    index = text_of(BASE / "docs/decisions/README.md")
    lines = re.findall(r"^\| (\d+) \| \[(.+)\]\((.+)\) \| ([\d-]+) \|$", index, flags=re.MULTILINE)

    shown = []
    for record in records:
        text = text_of(record)
        title = re.match(rf"# (\d+)\. (.+)\n\nStatus: {DECISION_STATUS} · Date: (\d{{4}}-\d\d-\d\d)\n", text)
        assert title, f"{name_of(record)} begins with its number, title, status and date."
        assert re.findall(r"^## (.+)$", text, flags=re.MULTILINE) == DECISION_HEADINGS, name_of(record)
        number, name, date = title.groups()
        assert record.name.startswith(f"{int(number):04d}-")
        shown.append((number, name, record.name, date))
    assert shown == lines
