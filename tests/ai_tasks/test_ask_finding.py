"""A quote is found where it stands, whatever does not show; nothing else is."""

import unicodedata

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from ai_tasks.asking.finding import QUOTE_MIN, SPAN_MAX, Haystack, Quote, Span
from notes.blocks.splitting import Kind


def found(text: str, quote: str, kind: Kind = Kind.PARAGRAPH) -> str | None:
    """The part of the text in which the quote is found."""
    span = Haystack(text, kind=kind).find(Quote(quote))
    return None if span is None else text[span.start : span.end]


@pytest.mark.parametrize(
    ("text", "quote", "shown"),
    [
        ("The cell divides twice.", "cell divides twice", "cell divides twice"),
        ("The cell divides twice.", "CELL Divides TWICE", "cell divides twice"),
        ("The cell\n  divides\ttwice.\n\n", " cell divides twice.\n", "cell\n  divides\ttwice."),
        ("The cell\u00a0divides\u2003twice.", "cell divides twice", "cell\u00a0divides\u2003twice"),
        ("The cell divides twice.", "cell\u00a0\u00a0divides\r\ntwice", "cell divides twice"),
        ("\u00a0 The cell divides", "the cell divides", "The cell divides"),
        ("Une re\u0301action e\u0301lectrique", "réaction électrique", "re\u0301action e\u0301lectrique"),
        ("Une réaction électrique", "re\u0301action e\u0301lectrique", "réaction électrique"),
        ("Die Straße ist lang", "die STRASSE ist", "Die Straße ist"),
        ("ΟΔΥΣΣΕΥΣ και Πηνελόπη", "οδυσσευς και", "ΟΔΥΣΣΕΥΣ και"),
        ("한국어 낱말의 모음과 자음", unicodedata.normalize("NFD", "한국어 낱말의 모음과"), None),
        (
            "한국어 낱말의 모음과 자음",
            unicodedata.normalize("NFD", "한국어 낱말의 모음과 자"),
            "한국어 낱말의 모음과 자",
        ),
        ("Å is a unit of length", "\u212b is a unit of", "Å is a unit of"),
        ("\U0001d4b3 is a set of points 😀 and lines", "a set of points 😀", "a set of points 😀"),
        ("twelve chars", "twelve chars", "twelve chars"),
    ],
)
def test_what_nobody_sees_does_not_count_in_prose(text, quote, shown):
    assert found(text, quote) == shown


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("The cell divides twice.", "The cell divides thrice."),
        ("The cell divides twice.", "The cell … twice."),
        ("The cell divides twice. It rests.", "The cell divides It rests."),
        ("The cell, it divides twice.", "The cell it divides"),
        ("The cell does not divide.", "The cell does divide."),
        ("The **cell** divides twice.", "The cell divides twice."),
        ("eleven char", "eleven char"),
        ("a           b", "a           b"),  # padded
        ("|---|---|---|---|---|", "|---|---|---|---|"),
        ("die groß\u00e9n Berge", "groß\u00e9n Ber ge"),
        ("Spaß am Leben haben", "s am Leben haben"),  # begins within a letter
        ("der Weg zum Spaß", "der Weg zum Spas"),
        ("the vector x\u0303 is long", "the vector x"),  # ends before its mark
        ("", "The cell divides"),
    ],
)
def test_what_does_not_stand_there_is_not_found(text, quote):
    assert found(text, quote) is None


@pytest.mark.parametrize("kind", [Kind.CODE, Kind.MATH, Kind.HTML])
def test_case_and_white_space_count_in_code_formulas_and_html(kind):
    text = "def Loop(items):\r\n    return  Items\r\n"

    assert found(text, "def Loop(items):", kind) == "def Loop(items):"
    assert found(text, "def Loop(items):\n    return  Items", kind) == "def Loop(items):\r\n    return  Items"
    for changed in ("def loop(items):", "def Loop(items):\n  return", "    return Items", "def\u00a0Loop(items):"):
        assert found(text, changed, kind) is None
        assert found(text, changed, Kind.PARAGRAPH) is not None


@pytest.mark.parametrize("kind", [Kind.HEADING, Kind.PARAGRAPH, Kind.LIST, Kind.QUOTE, Kind.TABLE])
def test_all_else_is_prose(kind):
    assert found("A  Long Text.", "a long text.", kind) == "A  Long Text."


def test_the_first_place_is_the_one_that_is_told():
    text = "x the same words, and THE SAME words"

    assert Haystack(text, kind=Kind.PARAGRAPH).find(Quote("the same words")) == Span(2, 16)


def test_a_span_that_is_far_longer_than_its_quote_is_none():
    quote = "the cell divides"

    assert found("the cell" + " " * (SPAN_MAX - 15) + "divides", quote) is not None
    assert found("the cell" + " " * (SPAN_MAX - 14) + "divides", quote) is None


LETTERS = st.sampled_from(
    [*"ab ßİΣςǰŉΐ\u0301\u0303\u0327\u0344\u00a0\n\r\t\u2003éÅ\u212b\u1e9b\u0323가\u1100\u1161\u11a8\u0b47\u0b3e😀"]
)
TEXTS = st.lists(LETTERS, max_size=60).map("".join)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(TEXTS, st.integers(0, 40), st.integers(QUOTE_MIN, 30), st.sampled_from(["NFC", "NFD"]))
@example("  ab ab ab ab ab ab ab", 0, 30, "NFC")
def test_any_part_of_a_text_is_found_in_it_and_reads_the_same(text, start, length, form):
    part = f"x{text[start : start + length]}"
    quote = Quote(unicodedata.normalize(form, part))
    assume(quote.folded is not None)
    text = f"{text[:start]} {part} {text[start + length :]}"

    span = Haystack(text, kind=Kind.PARAGRAPH).find(quote)

    assert span is not None
    assert Quote(text[span.start : span.end]).folded == quote.folded


@settings(max_examples=300, deadline=None)
@given(TEXTS, TEXTS, st.sampled_from(list(Kind)))
def test_what_is_found_reads_as_the_quote(text, quote, kind):
    shown = found(text, quote, kind)

    if shown is not None and kind in (Kind.CODE, Kind.MATH, Kind.HTML):
        assert Quote(shown).exact == Quote(quote).exact
    elif shown is not None:
        assert Quote(shown).folded == Quote(quote).folded


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("a" * 400_000, "a" * 160_000 + "b"),
        ("a" * 400_000, "a" * 48 + "b" + "a" * 50),
        ("ß" * 200_000, "s" * 100_001),
        ("s" * 400_000, "ß" * 120_000 + "x"),
        ("e" + "\u0301" * 399_999, "e" + "\u0301" * 200_000),
        (" " * 400_000, "a" + " " * 200_000 + "bcdefghijklmnop"),
        ("a " * 200_000, "a " * 100_000 + "c"),
        ("\u1100\u1161" * 200_000, "\uac00" * 80_000 + "x"),
        ("\r\n" * 200_000, "\n" * 80_000 + "abcdefghijkl"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.PARAGRAPH, Kind.CODE])
def test_a_hostile_text_takes_no_longer_than_its_length_explains(text, quote, kind):
    haystack = Haystack(text, kind=kind)

    assert [haystack.find(Quote(quote)) for _ in range(20)] == [None] * 20
