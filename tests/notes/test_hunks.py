"""Hunks between two texts: all of them make the new one, none the old one, and some the same text in any order."""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from notes.blocks.carrying_out import carry_out
from notes.blocks.hunks import Hunk, Layout, compare
from notes.blocks.splitting import split
from notes.blocks.stored import Block, decode, edited_blocks, encode, new_blocks
from tests.notes.test_blocks_text import HOSTILE

PIECES = [
    *[
        "Loops repeat.",
        "Loops repeat.",
        "A loop repeats a block of code.",
        "A loop repeats a block of code until it ends.",
    ],
    *["It ends at some point, or never.", "# Loops", "## Loops", "Title\n===", "---", "- a\n- b", "- a", "- b\n- c"],
    *["1. one", "2. two", "* star", "> quoted", "> more", "```py\nx = 1\n\ny = 2\n```", "```\nnever closed"],
    *[
        "~~~\nz\n~~~",
        "    indented",
        "    indented\n\n    more",
        "a | b\n--|--\n1 | 2",
        "$$\nx = 1\n$$",
        "$$ never closed",
    ],
    *["<div>\nhtml\n</div>", "<!-- a", "b -->", "[a]: https://example.com", "line one  \nline two", "tail  ", "\ttab"],
    *["x", "x", "y", "é 🎉"],
]
BETWEEN = ["\n\n", "\n", "\n\n\n", "\r\n\r\n", "\r\n", " \n\t\n", "  \n", "\r"]


def joined(lead: str, parts: list[tuple[str, str]], end: str) -> str:
    """Blocks with what stands between them, and another end than that."""
    pieces = [text for part in parts for text in part]
    return lead + "".join(pieces[:-1]) + end if pieces else lead


texts = st.builds(
    joined,
    st.sampled_from(["", "", "", "\n", " \n\n", "\r\n"]),
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(BETWEEN[:1] * 4 + BETWEEN)), max_size=7),
    st.sampled_from(["", "", "\n", "\n\n", "  ", "\r\n"]),
)
OFTEN = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


def text_of(blocks: list[Block]) -> str:
    return "".join(block.text for block in blocks)


def batches(numbers: list[int], cuts: random.Random) -> list[list[int]]:
    numbers = cuts.sample(numbers, len(numbers))
    parts: list[list[int]] = []
    for number in numbers:
        if parts and cuts.random() < 0.5:
            parts[-1].append(number)
        else:
            parts.append([number])
    return parts


def stored(hunks: list[Hunk], layout: Layout) -> tuple[list[Hunk], Layout]:
    """As the table gives them back."""
    sides = layout.as_json()
    return [Hunk(**hunk.as_json()) for hunk in hunks], Layout(**sides)


def after(old: list[Block], hunks: list[Hunk], layout: Layout, parts: list[list[int]]) -> str:
    hunks, layout = stored(hunks, layout)
    blocks = old
    for numbers in parts:
        blocks = carry_out(blocks, hunks, layout, numbers)
        text = text_of(blocks)
        kept = decode(encode(blocks), text)
        assert kept == blocks
    return text_of(blocks)


@given(texts, texts)
@OFTEN
def test_all_hunks_make_the_new_text_byte_for_byte(before, new):
    old = new_blocks(before)
    hunks, layout = compare(old, new)

    assert after(old, hunks, layout, [[hunk.n for hunk in hunks]]) == new
    assert (hunks == []) == (before == new)
    assert [hunk.n for hunk in hunks] == list(range(1, len(hunks) + 1))


@given(texts, texts, st.randoms(use_true_random=False))
@example(" \n\n<!-- a\n\nx", "# L\n\n<!-- a\nb -->\n\n<!-- a\nx", random.Random(0))
@example(" \n\n<!-- a\n\nx", "# L\n\n<!-- a\nb -->\n\n<!-- a\nx", random.Random(3))
@OFTEN
def test_some_hunks_make_the_same_text_in_any_order_and_batches(before, new, chance):
    old = new_blocks(before)
    hunks, layout = compare(old, new)
    some = [hunk.n for hunk in hunks if chance.random() < 0.7]

    at_once = after(old, hunks, layout, [some])

    assert after(old, hunks, layout, [[number] for number in reversed(some)]) == at_once
    for _ in range(3):
        assert after(old, hunks, layout, batches(some, chance)) == at_once


@given(texts, texts, st.randoms(use_true_random=False))
@OFTEN
def test_all_hunks_make_the_new_text_in_any_order_and_batches(before, new, chance):
    old = new_blocks(before)
    hunks, layout = compare(old, new)

    assert after(old, hunks, layout, batches([hunk.n for hunk in hunks], chance)) == new


@given(texts)
@OFTEN
def test_no_hunks_make_the_old_text_byte_for_byte(before):
    old = new_blocks(before)

    assert compare(old, before) == ([], Layout([], []))
    assert text_of(old) == before


DOCUMENTS = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))


@pytest.mark.parametrize("at", range(len(DOCUMENTS) - 1))
def test_documents_become_each_other_by_their_hunks(at):
    before, new = (DOCUMENTS[at + offset].read_text() for offset in (0, 1))
    windows, half = before.replace("\n", "\r\n"), before[: len(before) // 2]
    for change in (new, windows, before.swapcase(), f"{new}\n\n{before}", half):
        old = new_blocks(before)
        hunks, layout = compare(old, change)
        numbers = [hunk.n for hunk in hunks]
        chance = random.Random(at)

        assert after(old, hunks, layout, [numbers]) == change
        assert after(old, hunks, layout, batches(numbers, chance)) == change
        some = numbers[::3]
        assert after(old, hunks, layout, batches(some, chance)) == after(old, hunks, layout, [some])


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_take_no_longer_than_others(name):
    text = HOSTILE[name]
    for before, new in ((text, text[: len(text) // 2]), (text[: len(text) // 3], text), (text, text[::-1])):
        old = new_blocks(before)
        hunks, layout = compare(old, new)
        if hunks and not hunks[0].is_whole:
            assert text_of(carry_out(old, hunks, layout, {hunk.n for hunk in hunks})) == new


# --- Beside other edits -----------------------------------------------------------------------------------------------

TEXT = "One one.\n\nTwo two.\n\nThree three.\n\nFour four."


def changed(new: str, today: str, accepted: list[int], before: str = TEXT) -> str:
    """The text after hunks of ``before`` → ``new`` are carried out on what somebody has made of it."""
    old = new_blocks(before)
    hunks, layout = compare(old, new)
    return text_of(carry_out(edited_blocks(old, today), hunks, layout, accepted))


def test_what_others_added_stays_where_it_is():
    new = TEXT.replace("Two two.", "Two two.\n\nNew.") + "\n\nEnd."

    assert changed(new, TEXT.replace("Two two.", "Two two.\n\nMine.") + "\n\nMine, too.", [1, 2]) == (
        "One one.\n\nTwo two.\n\nNew.\n\nMine.\n\nThree three.\n\nFour four.\n\nEnd.\n\nMine, too."
    )


def test_a_block_follows_the_one_it_names_to_where_others_moved_it():
    new = TEXT.replace("One one.", "One one.\n\nNew.")

    assert changed(new, "Two two.\n\nThree three.\n\nFour four.\n\nOne one.", [1]) == (
        "Two two.\n\nThree three.\n\nFour four.\n\nOne one.\n\nNew."
    )


def test_blocks_that_come_together_are_kept_apart():
    before = "Text one.\n# Heading\nText two."

    assert changed("Text one.\n\nText two.", before, [1], before=before) == "Text one.\n\nText two."


def test_a_block_that_needs_a_blank_line_gets_one_from_a_text_that_had_none():
    before = "# Heading\nText one is here.\n# Heading\nText two is there."
    new = "Text two is there.\n# Heading\nText one is here.\n# Heading"
    old = new_blocks(before)
    hunks, layout = compare(old, new)

    for hunk in hunks:
        kept = carry_out(old, *stored(hunks, layout), [hunk.n])
        assert [piece.text for piece in split(text_of(kept))] == [block.text for block in kept], hunk


def test_what_ends_the_text_is_what_ended_it():
    before = "One one.\n\nTwo two.\n\nThree three.\n"
    new = "One one.\n\nNew.\n\nMore."
    old = new_blocks(before)
    hunks, layout = compare(old, new)
    gone = [hunk.n for hunk in hunks if hunk.op == "delete"]

    assert text_of(carry_out(old, hunks, layout, gone)) == "One one.\n"


def test_a_block_that_moved_away_is_no_place_for_others():
    before = "One one.\n\nTwo two.\n\nThree three.\n\nFour four."
    new = "One one.\n\nThree three.\n\nNew.\n\nFour four.\n\nTwo two."
    old = new_blocks(before)
    hunks, layout = compare(old, new)
    numbers = {hunk.op: hunk.n for hunk in hunks}
    assert list(numbers) == ["insert", "move"]

    moved = carry_out(old, hunks, layout, [numbers["move"]])
    today = edited_blocks(moved, "One one.\n\nFour four.\n\nTwo two.")  # somebody deleted what it was to follow

    assert text_of(carry_out(today, hunks, layout, [numbers["insert"]])) == "One one.\n\nNew.\n\nFour four.\n\nTwo two."


def test_a_text_with_windows_line_ends_gets_such_between_blocks():
    before = "One one.\r\n# Heading\r\nOther two.\r\n"

    assert changed("One one.", before, [1], before=before) == "One one.\r\n\r\nOther two.\r\n"
