"""Cards that are made without a model, of the passages' own words."""

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from notes.blocks.splitting import Kind
from notes.blocks.stored import new_blocks
from notes.blocks.words import words_of
from study.making.passages import CardPassage
from study.making.reading import can_be_asked, opened
from study.making.rules import made_by_rules

KINDS = ("basic", "cloze", "reversed")


def made(text: str, *kinds: str, count: int = 50) -> list[tuple[str, str, str]]:
    passages, heading, before = [], "", None
    for block in new_blocks(text):
        if block.kind is Kind.HEADING:
            heading = block.text.strip("# \n")
        else:
            passages.append(CardPassage(block, before, heading, frozenset(kinds or KINDS)))
        before = block
    return [(card.kind, card.front, card.back) for card in made_by_rules(passages, count=count)]


@pytest.mark.parametrize(
    ("sentence", "card"),
    [
        ("A stack is a list with one end.", ("basic", "What is a stack?", "A stack is a list with one end.")),
        ("Stacks are lists with one end.", ("basic", "What are Stacks?", "Stacks are lists with one end.")),
        ("The heap means free memory here.", ("basic", "What does the heap mean?", "The heap means free memory here.")),
        ("LIFO: last in, first out.", ("reversed", "LIFO", "last in, first out.")),
        ("**LIFO** – last in, first out.", ("reversed", "LIFO", "last in, first out.")),  # noqa: RUF001
    ],
)
def test_a_definition_is_asked_for(sentence, card):
    assert card in made(sentence + "\n")


@pytest.mark.parametrize(
    "text",
    [
        "It is a list with one end.",
        "This is what one does with it.",
        "If it rains, the ground is wet.",
        "Take care of the stack.",
        "A stack is it.",
        "What is a stack?",
        "https://example.com/a: b",
        "",
    ],
)
def test_what_defines_nothing_makes_no_card(text):
    assert made(text) == []


def test_a_pair_is_asked_one_way_where_only_that_is_wanted():
    assert made("LIFO: last in, first out.\n", "basic") == [
        ("basic", "What is meant by “LIFO”?", "last in, first out.")
    ]
    assert made("A stack is a list with one end.\n", "reversed") == [("reversed", "stack", "a list with one end.")]
    assert made("A stack is a list with one end.\n", "cloze") == []


def test_bold_terms_are_left_out_one_by_one():
    assert made("A call puts a **frame** on the __call stack__ and runs.\n", "cloze") == [
        ("cloze", "A call puts a {{c1::frame}} on the {{c2::call stack}} and runs.", "")
    ]
    assert made("**All of it** is bold.\n", "cloze") == []  # nothing is left to recall it by
    assert made("C++ writes **std::stack** for {{this}} kind of list.\n", "cloze") == []  # would be read as a deletion


def test_a_list_is_asked_for_by_what_announces_it():
    text = "# Stacks\n\nA stack does three things:\n\n- push\n- pop\n- peek\n"

    assert made(text) == [("basic", "A stack does three things", "- push\n- pop\n- peek")]
    assert made(text.replace("A stack does three things:\n\n", "")) == [("basic", "Stacks", "- push\n- pop\n- peek")]
    assert made("- push\n- pop\n- peek\n") == []
    assert made("# Stacks\n\n" + "".join(f"- item {n}\n" for n in range(8))) == []  # nobody recalls so many


def test_each_item_may_define_a_term():
    assert made("- **push**: puts one on top\n- **pop**: takes it off\n", "reversed") == [
        ("reversed", "push", "puts one on top"),
        ("reversed", "pop", "takes it off"),
    ]


def test_code_is_asked_for_by_its_heading():
    assert made("## Push and pop\n\n```python\nstack.append(1)\n```\n") == [
        ("basic", "Push and pop", "```python\nstack.append(1)\n```")
    ]


def test_cards_come_in_order_each_once_and_no_more_than_asked_for():
    text = "A stack is a list with one end.\n\nA queue is a list with two ends.\n\nA stack is a list with one end.\n"

    assert [front for _, front, _ in made(text)] == ["What is a stack?", "What is a queue?"]
    assert [front for _, front, _ in made(text, count=1)] == ["What is a stack?"]
    assert made(text) == made(text)


def test_a_kind_that_a_passage_has_already_is_not_made_of_it():
    (block,) = new_blocks("A stack is a **list** with one end.\n")

    cards = made_by_rules([CardPassage(block, None, "", frozenset({"cloze"}))], count=9)

    assert [card.kind for card in cards] == ["cloze"]


@pytest.mark.parametrize("text", ["**a" * 20_000, "a is " * 20_000, "a: " * 30_000, "- " * 40_000, "__" * 40_000])
def test_hostile_texts_make_no_card_worth_having_and_end(text):
    assert len(made(text)) <= 50


LINES = st.sampled_from(
    [
        "A stack is a list with one end.",
        "The **heap** means free memory.",
        "LIFO: last in, first out.",
        "- push: on top",
        "- pop - takes it off",
        "1. first",
        "# Stacks",
        "Three steps follow:",
        "```python",
        "x = {1: 2}",
        "```",
        "",
        "> A queue is fair.",
        "| a | b |",
        "$$",
        "It **is** that.",
        "{{c1::x}} is **bold** and taken.",
    ]
)
ASKING = set(words_of("What is are does mean denote refer to meant by"))


@seed(17)
@settings(max_examples=300, deadline=None)
@given(lines=st.lists(LINES | st.text(max_size=40), max_size=12))
def test_whatever_the_text_no_card_says_what_its_passage_does_not(lines):
    text = "\n".join(lines)
    words = set(words_of(text))

    for kind, front, back in made(text):
        assert can_be_asked(kind, front, back)
        assert set(words_of(back)) <= words
        assert set(words_of(opened(front))) <= words | ASKING
