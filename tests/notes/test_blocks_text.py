"""Blocks of a text: where it is cut, which block is which after an edit, and what an edit changes.

Texts that would take a quadratic algorithm many minutes have the suite's time-out, and take a second or two.
"""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notes.blocks.matching import match
from notes.blocks.splitting import Piece, split
from notes.blocks.stored import Block, BlockChanges, decode, edited_blocks, encode, new_blocks
from notes.blocks.words import is_cosmetic, words_of


def hostile(times: int) -> dict[str, str]:
    """Texts by name, each of about ``times`` 100 kB."""
    n = 1000 * times
    return {
        "images": "![" * 50 * n,
        "quotes": ">" * 100 * n,
        "quoted lines": "> a\n" * 25 * n,
        "paragraphs": "a\n\n" * 33 * n,
        "items": "- a\n" * 25 * n,
        "items in items": "- " * 50 * n,
        "formulas never closed": "$$a\n\n" * 20 * n,
        "other formulas never closed": "\\[\n\n" * 25 * n,
        "comments never closed": "<!--\n\n" * 16 * n,
        "fences never closed": "~~~a\n\n" * 16 * n,
        "tables": "|a|\n|-|\n\n" * 11 * n,
        "one table": "|" * 50 * n + "\n" + "-|" * 25 * n,
        "underlines": "a\n" + "=" * 99 * n + "b",
        "line ends": "\r" * 100 * n,
        "blank lines in an item": "- a\n" + "\n" * 99 * n + "b",
        "tabs": "- a\n" + ("\t" * n + "\n") * 99,
        "marks of items": "- " * 50 * n,
        "items and lazy lines": "- - - -\nb\n\n" * 9 * n,
        "marks on a letter": "a" + "\u0300\u0323" * 25 * n,
        "ligatures": "\ufdfa" * 33 * n,
    }


HOSTILE = hostile(1)


def kinds(text: str) -> list[tuple[str, str]]:
    return [(piece.kind.value, piece.text) for piece in split(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n \n", [("paragraph", "\n \n")]),
        ("\n\na\n\n\nb", [("paragraph", "\n\na\n\n\n"), ("paragraph", "b")]),
        ("# A\ntext\nmore\n## B ##\n", [("heading", "# A\n"), ("paragraph", "text\nmore\n"), ("heading", "## B ##\n")]),
        ("#no\n", [("paragraph", "#no\n")]),
        ("A\n===\nB\n---\nC", [("heading", "A\n===\n"), ("heading", "B\n---\n"), ("paragraph", "C")]),
        ("a\n\n---\n\nb", [("paragraph", "a\n\n"), ("paragraph", "---\n\n"), ("paragraph", "b")]),
        ("a\n```py\n\n# x\n```\nb", [("paragraph", "a\n"), ("code", "```py\n\n# x\n```\n"), ("paragraph", "b")]),
        ("~~~~\n```\n~~~\n~~~~~ \nb", [("code", "~~~~\n```\n~~~\n~~~~~ \n"), ("paragraph", "b")]),
        ("```\nnever closed\n\n# x", [("code", "```\nnever closed\n\n# x")]),
        ("```a`b\nc", [("paragraph", "```a`b\nc")]),
        ("    x\n\n    y\nz", [("code", "    x\n\n    y\n"), ("paragraph", "z")]),
        ("a\n    b", [("paragraph", "a\n    b")]),
        ("> a\nlazy\n\n> b\n# c", [("quote", "> a\nlazy\n\n"), ("quote", "> b\n"), ("heading", "# c")]),
        ("> # a\nb", [("quote", "> # a\n"), ("paragraph", "b")]),
        ("- a\n- b\n\n  c\n\n- d\n\ne", [("list", "- a\n- b\n\n  c\n\n- d\n\n"), ("paragraph", "e")]),
        ("- a\n* b\n1. c\n2) d", [("list", "- a\n"), ("list", "* b\n"), ("list", "1. c\n"), ("list", "2) d")]),
        ("- a\nlazy\n---\nb", [("list", "- a\nlazy\n"), ("paragraph", "---\n"), ("paragraph", "b")]),
        ("1. a\n\n   ```\n   x\n   ```\n2. b", [("list", "1. a\n\n   ```\n   x\n   ```\n2. b")]),
        ("1. a\n   ```\n   x\n   ```\nb", [("list", "1. a\n   ```\n   x\n   ```\n"), ("paragraph", "b")]),
        ("- # a\nb", [("list", "- # a\n"), ("paragraph", "b")]),
        ("-\nb", [("list", "-\n"), ("paragraph", "b")]),
        ("> - # a\nb", [("quote", "> - # a\n"), ("paragraph", "b")]),
        ("- - a\nlazy", [("list", "- - a\nlazy")]),
        ("-\ta\n\n   b", [("list", "-\ta\n\n"), ("paragraph", "   b")]),
        ("-\ta\n\n    b", [("list", "-\ta\n\n    b")]),
        ("- a\n<b>lazy</b>\n</b>\n<div>", [("list", "- a\n<b>lazy</b>\n</b>\n"), ("html", "<div>")]),
        ("born in\n1984. So", [("paragraph", "born in\n1984. So")]),
        ("a | b\n--|:-:\n1 | 2\n\nc", [("table", "a | b\n--|:-:\n1 | 2\n\n"), ("paragraph", "c")]),
        ("a | b\n--|--|--\n", [("paragraph", "a | b\n--|--|--\n")]),
        ("$$\nx\n\ny\n$$\nb", [("math", "$$\nx\n\ny\n$$\n"), ("paragraph", "b")]),
        ("a\n$$ x = y $$\n\\[z\\]\n", [("paragraph", "a\n"), ("math", "$$ x = y $$\n"), ("math", "\\[z\\]\n")]),
        ("$$ never closed\n\nb", [("paragraph", "$$ never closed\n\n"), ("paragraph", "b")]),
        ("<div>\n*a*\n\nb", [("html", "<div>\n*a*\n\n"), ("paragraph", "b")]),
        ("<!-- a\n\nb --> c\nd", [("html", "<!-- a\n\nb --> c\n"), ("paragraph", "d")]),
        ("<pre>\n\n# x\n</pre>\nb", [("html", "<pre>\n\n# x\n</pre>\n"), ("paragraph", "b")]),
        ("<my-tag a='1'>\nb\n\nc", [("html", "<my-tag a='1'>\nb\n\n"), ("paragraph", "c")]),
        ("<https://a.b>\n", [("paragraph", "<https://a.b>\n")]),
        ("a\r\n\r\nb\rc\n", [("paragraph", "a\r\n\r\n"), ("paragraph", "b\rc\n")]),
        ("a\u2028b\x0cc\n\nd", [("paragraph", "a\u2028b\x0cc\n\n"), ("paragraph", "d")]),
    ],
)
def test_a_text_is_cut_where_markdown_has_its_blocks(text, expected):
    assert kinds(text) == expected


any_time = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The machine may be busy."""

MARKDOWN = st.lists(
    st.sampled_from(
        [
            "a",
            "# h",
            "- i",
            "  ",
            "\t",
            "> q",
            "```",
            "~~~",
            "$$",
            "\\[",
            "|a|",
            "|-|",
            "<!--",
            "<div>",
            "---",
            "=",
            "1.",
        ]
    )
    | st.text(max_size=5),
    max_size=40,
).flatmap(
    lambda parts: st.lists(st.sampled_from(["\n", "\n\n", "\r\n", "\r", " "]), min_size=len(parts)).map(
        lambda ends: "".join(part + end for part, end in zip(parts, ends, strict=False))
    )
)


@any_time
@given(MARKDOWN)
def test_the_blocks_joined_are_the_text_and_each_alone_is_not_empty(text):
    pieces = split(text)

    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


@any_time
@given(MARKDOWN)
def test_what_is_stored_gives_the_same_blocks_for_this_text_and_none_for_another(text):
    blocks = new_blocks(text)

    assert decode(encode(blocks), text) == blocks
    assert decode(encode(blocks), text + "x") is None
    assert decode(None, text) is None
    assert len({block.id for block in blocks}) == len(blocks)
    assert [len(block.id) for block in blocks] == [12] * len(blocks)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_text_takes_more_than_linear_time(name):
    text = hostile(4)[name]
    blocks = new_blocks(text)
    is_cosmetic(text, text + ".", kind="paragraph")
    edited_blocks(blocks, text[::-1])

    assert "".join(block.text for block in blocks) == text


def paragraphs(count: int, words: int, vocabulary: list[str], seed: int) -> list[Piece]:
    chosen = random.Random(seed)
    text = "\n\n".join(" ".join(chosen.choice(vocabulary) for _ in range(words)) for _ in range(count))
    return split(text[:100_000])


@pytest.mark.parametrize(("count", "words"), [(2000, 15), (1000, 30), (500, 60), (1200, 12), (20, 3000)])
@pytest.mark.parametrize(
    "vocabulary", [list("abcdefghij"), [f"w{i}" for i in range(3000)], ["the"] * 9 + ["of", "and"]]
)
def test_two_texts_of_any_words_are_matched_in_bounded_time(count, words, vocabulary):
    old, new = (paragraphs(count, words, vocabulary, seed) for seed in (1, 2))
    found = match(old, new)

    kept = [at for at in found if at is not None]
    assert len(set(kept)) == len(kept)


@st.composite
def texts(draw) -> list[str]:
    """The paragraphs of a text, no two alike."""
    sizes = draw(st.lists(st.integers(4, 9), min_size=1, max_size=12))
    return [" ".join(f"mine{number}x{word}" for word in range(size)) + " and all" for number, size in enumerate(sizes)]


def as_text(parts: list[str]) -> str:
    return "\n\n".join(parts)


def ids(blocks: list[Block]) -> list[str]:
    return [block.id for block in blocks]


@any_time
@given(texts(), st.data())
def test_an_edited_block_keeps_its_id_and_gets_another_hash(parts, data):
    at = data.draw(st.integers(0, len(parts) - 1))
    before = new_blocks(as_text(parts))
    parts[at] += " and more"

    after = edited_blocks(before, as_text(parts))

    assert ids(after) == ids(before)
    assert [n for n, (a, b) in enumerate(zip(before, after, strict=True)) if a.hash != b.hash] == [at]


@any_time
@given(texts(), st.data())
def test_an_inserted_block_gets_a_new_id_and_changes_no_others(parts, data):
    at = data.draw(st.integers(0, len(parts)))
    before = new_blocks(as_text(parts))

    after = edited_blocks(before, as_text([*parts[:at], "something else altogether", *parts[at:]]))

    assert ids(after[:at] + after[at + 1 :]) == ids(before)
    assert after[at].id not in ids(before)


@any_time
@given(texts(), st.data())
def test_a_deleted_block_takes_only_its_own_id_away(parts, data):
    at = data.draw(st.integers(0, len(parts) - 1))
    before = new_blocks(as_text(parts))

    after = edited_blocks(before, as_text(parts[:at] + parts[at + 1 :]))

    assert ids(after) == ids(before[:at] + before[at + 1 :])


@any_time
@given(texts(), st.data())
def test_a_moved_block_keeps_its_id_and_so_do_those_that_it_passes(parts, data):
    start, end = (data.draw(st.integers(0, len(parts) - 1)) for _ in range(2))
    before = new_blocks(as_text(parts))
    moved, known = parts.copy(), ids(before)
    moved.insert(end, moved.pop(start))
    known.insert(end, known.pop(start))

    assert ids(edited_blocks(before, as_text(moved))) == known


@any_time
@given(texts(), st.permutations(range(12)), st.sets(st.integers(0, 11)))
def test_blocks_keep_their_ids_in_any_new_order(parts, order, deleted):
    before = new_blocks(as_text(parts))
    kept = [at for at in order if at < len(parts) and at not in deleted]

    after = edited_blocks(before, as_text([parts[at] for at in kept]))

    assert ids(after) == [before[at].id for at in kept]


@any_time
@given(texts(), st.data())
def test_a_deleted_id_never_comes_back(parts, data):
    at = data.draw(st.integers(0, len(parts) - 1))
    before = new_blocks(as_text(parts))

    without = edited_blocks(before, as_text(parts[:at] + parts[at + 1 :]))
    again = edited_blocks(without, as_text(parts))

    assert before[at].id not in ids(again)


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        # cut in two: the larger part, wherever it stands
        ("a b c d e f g h", "a b c\n\nd e f g h", [None, 0]),
        ("a b c d e f g h", "a b c d e\n\nf g h", [0, None]),
        # in many: the largest, although it is less than half
        ("a b c d e f g", "a b\n\nc d\n\ne f g", [None, None, 0]),
        # joined: the first, although the second is larger
        ("a b\n\nc d e f g h i j", "a b\nc d e f g h i j", [0]),
        ("x\n\na b\n\nc d e f g h\n\ny", "x\n\na b c d e f g h\n\ny", [0, 1, 3]),
        ("a b\n\nc d e\n\nf g h i", "a b c d e f g h i", [0]),
        # equal ones: from the top
        ("s\n\ns\n\ns", "s\n\ns", [0, 1]),
        ("s\n\ns", "s\n\ns\n\ns", [0, 1, None]),
        ("s\n\nx\n\ns", "s\n\ns\n\nx", [0, 2, 1]),
        # one of two equal ones is edited
        ("s\n\ny\n\ns", "z\n\ny\n\ns", [None, 1, 2]),
        # half of the words, and less
        ("one two three four", "one two five six", [0]),
        ("one two three four", "one five six seven", [None]),
        # of another kind
        ("one two three four", "# one two three four", [None]),
        # the most similar of several
        ("a b c d e f\n\na b c x y z", "a b c x y w\n\na b c d e g", [1, 0]),
        # scripts without spaces
        ("今日は天気がいいですね", "今日は天気がとてもいいですね", [0]),
        # blocks without words
        ("a\n\n---\n\nb", "---\n\nb\n\na", [1, 2, 0]),
    ],
)
def test_which_block_is_which(before, after, kept):
    assert match(split(before), split(after)) == kept


def test_a_large_gap_is_matched_by_position():
    old = split("".join(f"old{n} word\n\n" for n in range(2500)))
    new = split("".join(f"new{n} word\n\n" for n in range(2500)))

    assert match(old, new) == list(range(2500))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("A loop repeats.", "A loop repeats!"),
        ("a loop  repeats", "A **loop**\n_repeats_,"),
        ("don't stop", "don\u2019t stop"),
        ("- one\n- two", "* one\n* two"),
        ("Title\n===", "# Title"),
        ("R\u00e9sum\u00e9", "Re\u0301sume\u0301"),
        ("\ufb01ne", "fine"),
        ("> said", "said"),
        ("a\u200bb", "ab"),
        ("`code` and ~~gone~~", "code and gone"),
    ],
)
def test_another_look_is_cosmetic_but_in_code_and_formulas(before, after):
    assert is_cosmetic(before, after, kind="paragraph")
    assert not is_cosmetic(before, after, kind="code")
    assert not is_cosmetic(before, after, kind="math")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("It is true that " + "very " * 200 + "long", "It is not true that " + "very " * 200 + "long"),
        ("in 1984", "in 1985"),
        ("1.5 litres", "15 litres"),
        ("dog bites man", "man bites dog"),
        ("a word", "a words"),
        ("no table", "notable"),
        ("a < b", "a > b"),
        ("5 + 3", "5 - 3"),
        ("\u0915\u093f", "\u0915\u0940"),  # another vowel
        ("costs $5", "costs \u20ac5"),
    ],
)
def test_a_changed_word_digit_order_or_sign_is_never_cosmetic(before, after):
    assert not is_cosmetic(before, after, kind="paragraph")


@any_time
@given(st.text(), st.text())
def test_what_is_cosmetic_is_so_both_ways_and_leaves_the_words(before, after):
    assert is_cosmetic(before, before, kind="list")
    assert is_cosmetic(before, after, kind="list") == is_cosmetic(after, before, kind="list")
    assert words_of(" ".join(["first", *words_of(before)])) == ["first", *words_of(before)]  # no mark begins the line


def test_the_hash_is_of_the_exact_text_whichever_way_its_lines_end():
    [unix], [windows], [other] = (new_blocks(text) for text in ("a\nb", "a\r\nb", "a\nb\n"))

    assert (unix.hash, len(unix.hash)) == (windows.hash, 32)
    assert unix.hash != other.hash
    assert unix.says_the_same(windows)


def test_changes_name_what_changed_came_back_and_went():
    before = new_blocks("one two three\n\nfour five six\n\nseven eight nine")
    after = edited_blocks(before, "one two three\n\nfour five 6\n\nnew")
    changes, restored = BlockChanges(), BlockChanges()

    changes.add(7, before, after)
    restored.add(7, after, before, are_new=False)

    assert (changes.topic_ids, list(changes.changed), changes.removed) == ([7], [before[1].id], [before[2].id])
    assert changes.changed[before[1].id].text == "four five 6\n\n"
    assert sorted(restored.changed) == sorted([before[1].id, before[2].id])
    assert restored.removed == [after[2].id]
