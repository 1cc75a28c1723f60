"""Every question has one right answer, and no question gives another's away."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.quizzes.answers import all_differ, same_answer, stands_in
from study.quizzes.making import KINDS
from tests.study.quizzing import HEART, cards, made

# --- Choices ----------------------------------------------------------------------------------------------------------

CAPITALS = [("Capital of France?", "Paris"), ("Capital of Spain?", "Madrid"), ("Capital of Italy?", "Rome")]


def choices(asked, prompt: str, text: str = "") -> list[str]:
    for seed in range(10):
        for question, solution in made(text, asked, ["choice"], seed=seed):
            if question["prompt"] == prompt:
                assert question["choices"][solution["expected"]] in [card.back for card in asked]
                return sorted(question["choices"])
    return []


def test_distractors_are_answers_to_the_other_questions():
    assert choices(cards(*CAPITALS), "Capital of France?") == ["Madrid", "Paris", "Rome"]


@pytest.mark.parametrize(
    "other",
    [
        ("Capital of Portugal?", "PARIS."),  # the same
        ("capital of france", "Lutetia"),  # another true answer
        ("Capital of Portugal?", "Paris on the Seine"),  # says it and more
        ("Which is the capital of France now?", "Lyon"),  # asks for the same and more
    ],
)
def test_what_may_be_right_is_no_distractor(other):
    assert choices(cards(*CAPITALS, other), "Capital of France?") == ["Madrid", "Paris", "Rome"]


def test_what_the_passage_says_itself_is_no_distractor():
    said = ["heart** has rooms like the liver", "liver** has lobes", "lung** breathes air", "skin** is outside"]
    text = "\n\n".join(f"The **{one}." for one in said)
    for seed in range(20):
        for question, _ in made(text, kinds=["choice"], seed=seed):
            if "has rooms" in question["prompt"]:
                assert "liver" not in question["choices"]


def test_numbers_stand_beside_numbers_of_their_unit():
    text = "\n\n".join(f"The {name} weighs {n} kg now." for n, name in enumerate(["moon", "sun", "star", "rock"], 5))
    text += "\n\nThe road measures 9 km now.\n\nThe **heart** beats."
    found = made(text, kinds=["choice"])

    assert len(found) == 4
    for question, _ in found:
        assert all(choice.endswith(" kg") for choice in question["choices"])


def test_too_few_distractors_make_no_choice():
    assert made(asked=cards(*CAPITALS[:2]), kinds=["choice"]) == []


def test_a_word_that_was_taken_out_for_want_of_a_better_is_typed_only():
    text = "\n\n".join(
        f"Water {verb} along quiet valleys in spring {n}x." for n, verb in enumerate(["flows", "trickles"])
    )

    assert made(text, kinds=["choice"]) == []
    assert made(text, kinds=["gap"]) != []


# --- Orders and matches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "is_asked"),
    [
        ("1. mix\n2. bake\n3. eat\n", True),
        ("3) mix\n4) bake\n5) eat\n", True),
        ("1. mix\n1. bake\n1. eat\n", True),
        ("- mix\n- bake\n- eat\n", False),
        ("1. mix\n2. bake\n", False),
        ("1. mix\n2. bake\n3. Mix.\n", False),
        ("1. mix\n3. bake\n2. eat\n", False),
        ("1. mix\n   - well\n2. bake\n3. eat\n", False),
        ("1. Step 1: mix\n2. Step 2: bake\n3. Step 3: eat\n", False),
        ("1. mix\n2. bake\n3. " + "x" * 201 + "\n", False),
    ],
)
def test_numbered_lists_of_different_items_are_put_in_order(text, is_asked):
    found = made(text, kinds=["order"])

    assert len(found) == is_asked
    for question, solution in found:
        texts = {item["id"]: item["text"] for item in question["items"]}
        assert [texts[item] for item in solution["expected"]] == ["mix", "bake", "eat"]


def test_a_long_list_is_asked_in_part_and_what_leads_to_it_gives_nothing_away():
    items = [f"part {letter}" for letter in "abcdefghijkl"]
    text = "How to:\n\n" + "\n".join(f"{n}. {item}" for n, item in enumerate(items, 1))
    [(question, solution)] = made(text, kinds=["order"])
    texts = {item["id"]: item["text"] for item in question["items"]}
    right = [texts[item] for item in solution["expected"]]

    assert question["prompt"] == "How to:\n\nPut these in order."
    assert len(right) == 8
    assert items[items.index(right[0]) :][:8] == right
    [(question, _)] = made(text.replace("How to:", "From part a to part l:"), kinds=["order"])
    assert question["prompt"] == "Put these in order."


def test_every_left_side_has_one_partner():
    asked = cards(*CAPITALS, ("Capital of Gaul?", "paris"), ("Capital of France?", "Lutetia"), ("Rome", "a city"))
    for seed in range(20):
        for question, solution in made(asked=asked, kinds=["match"], seed=seed):
            lefts, rights = (question["pairs"][side] for side in ("left", "right"))
            assert all_differ([item["text"] for item in [*lefts, *rights]], decimal=".")
            assert sorted(solution["expected"].values()) == [item["id"] for item in rights]
            backs = {card.front: card.back for card in asked}
            texts = {item["id"]: item["text"] for item in rights}
            for item in lefts:
                assert backs[item["text"]] == texts[solution["expected"][item["id"]]]
                assert item["text"] != "Capital of France?"


def test_what_is_shown_in_order_is_drawn_by_lot():
    """So that the right one is nowhere more often."""
    places = [0, 0, 0]
    orders = set()
    for seed in range(300):
        [(question, solution)] = made(asked=cards(*CAPITALS), kinds=["choice"], count=1, seed=seed)
        places[solution["expected"]] += 1
        assert question["kind"] == "choice"
        [(_, solution)] = made("1. mix\n2. bake\n3. eat\n", kinds=["order"], seed=seed)
        orders.add(tuple(solution["expected"]))

    assert min(places) > 60
    assert len(orders) == 6


# --- As a whole -------------------------------------------------------------------------------------------------------


def test_a_card_and_its_passage_are_not_both_asked():
    text = "The **heart** has four chambers."
    asked = cards(("What has four chambers?", "the heart"), block=text)

    assert len(made(text, asked, kinds=["gap"])) == 1


def test_no_question_shows_the_answer_to_another():
    asked = cards(("Capital of France?", "Paris"), ("cloze", "Paris is the capital of {{c1::France}}.", ""))
    for seed in range(20):
        assert len(made(asked=asked, kinds=["gap"], seed=seed)) == 1


def test_kinds_take_turns():
    text = "\n\n".join(f"The **{name}** has {n} kg of it." for n, name in enumerate(["moon", "sun", "star", "rock"], 5))
    found = made(text, kinds=["gap", "choice"], count=4)

    assert [question["kind"] for question, _ in found] == ["gap", "choice", "gap", "choice"]


FOUR_TERMS = """- **Atrium**: an upper room of the organ
- **Ventricle**: a lower room that pumps hard
- **Valve**: a door for blood in one direction
- **Aorta**: the widest vessel of all

It beats 70 times a minute. An adult's weighs 300 g.
"""
FIVE_CAPITALS = cards(*CAPITALS, ("Capital of Greece?", "Athens"), ("Capital of Norway?", "Oslo"))


@pytest.mark.parametrize(
    ("text", "asked", "expected"),
    [
        (HEART, [], ["choice", "gap", "order", "match"]),
        (FOUR_TERMS, [], ["choice", "gap", "match"]),
        ("", FIVE_CAPITALS, ["choice", "gap", "match"]),
        ("1. mix\n2. bake\n3. eat\n", FIVE_CAPITALS[:3], ["choice", "gap", "order"]),
        ("The **heart** has four chambers.", [], ["gap"]),
    ],
)
def test_a_kind_is_asked_if_others_can_leave_it_what_it_needs_whatever_the_seed(text, asked, expected):
    for seed in range(300):
        kinds = [question["kind"] for question, _ in made(text, asked, count=4, seed=seed)]
        assert list(dict.fromkeys(kinds)) == expected
        assert [question["kind"] for question, _ in made(text, asked, count=2, seed=seed)] == kinds[:2]


def test_kinds_are_asked_in_the_order_named_also_where_a_later_one_chose_first():
    for seed in range(50):
        found = made(FOUR_TERMS, kinds=["gap", "match", "choice"], count=3, seed=seed)
        assert [question["kind"] for question, _ in found] == ["gap", "match", "choice"]


LINES = st.sampled_from(
    [
        "The **{}** has four chambers.",
        "It weighs {} kg or so.",
        "- **{}**: a thing that lives",
        "1. {} comes first\n2. then {}\n3. and last the end",
        "{}は日本の首都です。",
        "{}",
        "# {}",
        "\n",
        "> {} said it",
        "| {} | b |",
        "```\n{}\n```",
        "Water {} along quiet valleys.",
    ]
)
SIDES = st.sampled_from(
    ["Paris", "paris", "1.000", "½", "C++", "a, b", "東京", "____", "**x**", "{{c1::a}}", "-5", "é", ""]
)


@given(
    lines=st.lists(st.tuples(LINES, st.text(max_size=12) | SIDES), max_size=15),
    sides=st.lists(
        st.tuples(st.sampled_from(["basic", "reversed", "cloze"]), SIDES | st.text(max_size=20), SIDES), max_size=8
    ),
    seed=st.integers(0, 2**62),
    kinds=st.permutations(KINDS),
)
def test_whatever_the_material_every_question_has_one_right_answer(lines, sides, seed, kinds):
    text = "\n\n".join(line.replace("{}", word) for line, word in lines)
    asked = cards(*sides)
    found = made(text, asked, kinds, seed=seed)

    assert found == made(text, asked, kinds, seed=seed)
    orjson.dumps(found)
    for question, solution in found:
        match question["kind"]:
            case "choice":
                assert 3 <= len(question["choices"]) <= 4
                assert all_differ(question["choices"], decimal=".")
                answer = question["choices"][solution["expected"]]
                assert not stands_in(answer, question["prompt"])
            case "gap":
                answer = solution["expected"]
                assert question["prompt"].count("____") >= 1
                assert same_answer(answer, answer, decimal=solution["decimal"])
                assert not stands_in(answer, question["prompt"].replace("____", " "))
            case "order":
                assert sorted(solution["expected"]) == sorted(item["id"] for item in question["items"])
                assert all_differ([item["text"] for item in question["items"]], decimal=".")
            case "match":
                for side in ("left", "right"):
                    assert all_differ([item["text"] for item in question["pairs"][side]], decimal=".")
    assert len({question["id"] for question, _ in found}) == len(found)
