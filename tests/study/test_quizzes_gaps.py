"""Gaps ask for what a passage or a card says exactly."""

import pytest

from tests.study.quizzing import cards, gaps


@pytest.mark.parametrize(
    ("text", "prompt", "answer"),
    [
        ("The **heart** has four chambers.", "The ____ has four chambers.", "heart"),
        ("Use `list` for a row of things.", "Use ____ for a row of things.", "list"),
        ("The moon weighs 7,5 kg in this story.", "The moon weighs ____ in this story.", "7,5 kg"),
        ("The river flows through Lyon and on.", "The river flows through ____ and on.", "Lyon"),
        ("Das Herz liegt in der Brust.", "Das ____ liegt in der Brust.", "Herz"),
        ("**Photosynthesis**: plants turn light into sugar", "____: plants turn light into sugar", "Photosynthesis"),
        ("- Osmosis: water moves through a membrane", "____: water moves through a membrane", "Osmosis"),
        ("> The **heart** has four chambers.", "The ____ has four chambers.", "heart"),
        ("細胞は**ミトコンドリア**を含む。", "細胞は____を含む。", "ミトコンドリア"),
        ("東京は日本の首都です。", "____は日本の首都です。", "東京"),
        ("北京是中国的首都。", "____是中国的首都。", "北京"),
        ("人体有206块骨头。", "人体有____块骨头。", "206"),
        ("작가는 「토지」를 오래 썼다.", "작가는 ____를 오래 썼다.", "토지"),
        ("Сердце имеет **четыре** камеры.", "Сердце имеет ____ камеры.", "четыре"),
        ("القلب له **أربع** غرف كبيرة.", "القلب له ____ غرف كبيرة.", "أربع"),
        ("หัวใจมี **สี่** ห้อง", "หัวใจมี ____ ห้อง", "สี่"),
    ],
)
def test_what_is_taken_out_of_a_passage_in_any_language(text, prompt, answer):
    assert gaps(text) == {prompt: answer}


@pytest.mark.parametrize(
    "text",
    [
        "The **heart** is the heart of the body.",  # it stands there still
        "The **heart** has four chambers. It is so.\n\nThe **liver** has four chambers.",  # two are right
        "Is the **heart** in the chest of a man?",
        "See [the **heart**](https://example.com) in the chest.",
        "The area is $\\pi r^2$ of the **circle** here.",
        "# The **heart** has four chambers",
        "```\nthe **heart** has four chambers\n```",
        "| the **heart** | four |\n|---|---|\n| the liver | two |",
        "",
        "---",
        "**heart**",
        "x" * 9_000,
    ],
)
def test_what_could_have_two_answers_or_none_is_not_asked(text):
    assert "heart" not in gaps(text).values()


@pytest.mark.parametrize(
    "text",
    [
        "Python 3.10 it is, or so we say.",
        "Section 1.2.3 says so, or so we say.",
        "Room 007 it is, or so we say.",
        "It is 10-20 of them, or so we say.",
        "It is 1.000 Xy Zz Qq.",  # in a language that nobody knows
    ],
)
def test_what_is_no_number_or_one_of_two_is_not_taken_out(text):
    assert not [answer for answer in gaps(text).values() if any(letter.isdigit() for letter in answer)]


def test_a_card_is_asked_by_its_front():
    assert gaps(asked=cards(("Capital of France?", "Paris"))) == {"Capital of France?\n\n____": "Paris"}


def test_a_reversed_card_is_asked_from_one_side_in_a_quiz():
    asked = cards(("reversed", "der Hund", "the dog"))

    assert len(gaps(asked=asked)) == 1
    assert {tuple(gaps(asked=asked, seed=seed).values()) for seed in range(20)} == {("the dog",), ("der Hund",)}


@pytest.mark.parametrize(
    ("front", "answers"),
    [
        ("{{c1::Paris::a city}} lies on the river.", {"____ (a city) lies on the river.": "Paris"}),
        ("{{c1::Paris}} and {{c1::Lyon}} lie on rivers.", {}),  # two gaps
        ("{{c1::Paris}} is Paris.", {}),
        ("{{c1::}} is nothing.", {}),
        ("no deletion", {}),
    ],
)
def test_a_cloze_card_has_one_gap(front, answers):
    assert gaps(asked=cards(("cloze", front, ""))) == answers


@pytest.mark.parametrize(
    "asked",
    [
        cards(("Name a planet", "Mars"), ("name a **planet**", "Venus")),
        cards(("Which?", "red, green, blue")),
        cards(("Which?", "red or green")),
        cards(("Which?", "first\nsecond")),
        cards(("Where is Paris?", "Paris")),
        cards(("What?", "x" * 61)),
        cards(("What?", "one two three four five six seven")),
        cards(("What?", "...")),
    ],
)
def test_a_card_that_one_cannot_answer_exactly_is_not_typed(asked):
    assert gaps(asked=asked) == {}


def test_two_cards_that_say_the_same_are_one():
    assert gaps(asked=cards(("Capital of France?", "Paris"), ("capital of france?", "PARIS"))) == {
        "Capital of France?\n\n____": "Paris"
    }
