"""An answer is right if it says the same, however it is written, and wrong if it says anything else."""

# ruff: noqa: RUF001  # letters that look like others are what is tested

import random
import unicodedata
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from study.quizzes.answers import all_differ, same_answer, stands_in
from study.quizzes.grading import grade
from study.quizzes.languages import decimal_mark, language_of, preferred_language


def same(expected: str, given: str, decimal: str = ".", given_decimal: str | None = None) -> bool:
    return same_answer(expected, given, decimal=decimal, given_decimal=given_decimal)


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("Paris", "paris."),
        ("Paris", "  PARIS "),
        ("**Paris**", "`paris`"),
        ("Straße", "STRASSE"),
        ("résumé", "Resume"),
        ("Müller", "Muller"),
        ("Müller", "Mueller"),
        ("Göthe", "Goethe"),
        ("İstanbul", "istanbul"),
        ("ISPARTA", "ısparta"),
        ("Łódź", "lodz"),
        ("Ελλάς", "ΕΛΛΑΣ"),
        ("Пётр", "петр"),
        ("ＡＢＣ", "abc"),
        ("東京", "東京"),
        ("カ", "カ"),
        ("well\u2010known", "well-known"),
        ("don’t", "don't"),
        ("soft\u00adhyphen", "softhyphen"),
        ("C++", "c++"),
        (".NET", ".net"),
        ("H₂O", "H2O"),
        ("1,000", "1000"),
        ("1,000,000", "1 000 000"),
        ("1,00,000", "100000"),
        ("1'000", "1\u202f000"),
        ("1.50", "1.5"),
        ("2.0", "2"),
        (".5", "0.5"),
        ("½", "0.5"),
        ("½", "1/2"),
        ("5½", "5.5"),
        ("5½", "5 1/2"),
        ("1e3", "1000"),
        ("10³", "1000"),
        ("1.5×10³", "1500"),
        ("2·10^-3", "0.002"),
        ("−5", "-5"),
        ("–5", "-5"),
        ("+5", "5"),
        ("５", "5"),
        ("٣٫٥", "3.5"),
        ("5 kg", "5kg"),
        ("5 kg", "5.0 KG"),
        ("5 kg", "5 kilograms"),
        ("5 Kilogramm", "5 kg"),
        ("5 µg", "5 μg"),
        ("5 m²", "5 m2"),
        ("20 °C", "20°c"),
        ("50 %", "50 percent"),
        ("$5", "5 $"),
        ("3 年", "3年"),
        ("約3,000メートル", "約3000メートル"),
        ("about 1,000 people", "About 1000 people"),
        ("about 1.50 m", "about 1.5 m"),
        ("10–20", "10-20"),
    ],
)
def test_what_says_the_same_is_right(expected, given):
    assert same(expected, given)
    assert same(given, expected)


@pytest.mark.parametrize(
    ("expected", "given"),
    [
        ("Paris", ""),
        ("Paris", "   "),
        ("Paris", "."),
        ("", ""),
        ("Paris", "Pari"),
        ("Paris", "In Paris"),
        ("Paris", "Paris " * 1000),
        ("Hund", "Hünd" + "e"),
        ("か", "が"),
        ("й", "и"),
        ("C++", "C#"),
        ("C++", "C"),
        ("C#", "C"),
        (".NET", "NET"),
        ("Yahoo!", "Yahoo"),
        ("5!", "5"),
        ("dog bites man", "man bites dog"),
        ("5", "-5"),
        ("5", "６"),
        ("10³", "103"),
        ("x²", "x3"),
        ("1,000", "1.000"),
        ("1,000", "1"),
        ("1.5", "15"),
        ("0.5", "5"),
        ("0.05", "0.5"),
        ("5 kg", "5 g"),
        ("5 kg", "5"),
        ("5", "5 kg"),
        ("5 kg", "6 kg"),
        ("5 kg", "5000 g"),
        ("1 km", "1000 m"),
        ("5 mW", "5 MW"),
        ("5 m", "5 M"),
        ("5 m²", "5 m"),
        ("5 m²", "5 m³"),
        ("$5", "€5"),
        ("007", "7"),
        ("6/8", "3/4"),
        ("1.2.3", "123"),
        ("Python 3.10", "Python 3.1"),
        ("1e3", "1e4"),
        ("1e999", "1e998"),
        ("10-20", "10 20"),
    ],
)
def test_what_says_something_else_is_wrong(expected, given):
    assert not same(expected, given)
    assert not same(given, expected)


@pytest.mark.parametrize(
    ("text", "german", "english"),
    [
        ("1.000", 1000, 1),
        ("1,000", 1, 1000),
        ("1.5", 1.5, 1.5),
        ("1,5", 1.5, 1.5),
        ("1.000.000", 1_000_000, 1_000_000),
        ("1,000,000", 1_000_000, 1_000_000),
        ("1.000,5", 1000.5, 1000.5),
        ("1,000.5", 1000.5, 1000.5),
        ("0,500", 0.5, 0.5),
        ("0.500", 0.5, 0.5),
        ("12,345", 12.345, 12345),
        ("1234.567", 1234.567, 1234.567),
        ("1 000,5", 1000.5, 1000.5),
    ],
)
def test_the_language_decides_only_what_can_be_read_in_two_ways(text, german, english):
    assert same(str(german), text, decimal=".", given_decimal=",")
    assert same(str(english), text, decimal=".", given_decimal=".")
    if german != english:
        assert not same(str(english), text, decimal=".", given_decimal=",")


# --- Whatever is asked ------------------------------------------------------------------------------------------------

WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyzäöüéñçßø", min_size=1, max_size=8), min_size=1, max_size=4)


@given(words=WORDS, seed=st.integers(0, 2**32))
def test_a_right_text_with_tolerated_changes_is_right(words, seed):
    rng = random.Random(seed)
    given = rng.choice([" ", "  ", "\u00a0", "\t"]).join(
        rng.choice([str.upper, str.title, str, lambda word: word.replace("ß", "ss"), _without_accents])(word)
        for word in words
    )
    given = rng.choice(["", " ", "**"]).join(["", given, ""]) + rng.choice(["", ".", " ", " ."])
    assert same(" ".join(words), given)


def _without_accents(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))


NUMBERS = st.decimals(min_value=-(10**9), max_value=10**9, allow_nan=False, allow_infinity=False, places=3)
UNITS = st.sampled_from(["", "kg", "g", "km", "%", "°C", "mW", "MW", "€", "m^2"])


def written(number, unit: str, mark: str, rng: random.Random) -> str:
    """A number as one may write it where ``mark`` is the decimal mark."""
    digits = f"{abs(number):,f}"
    whole, _, decimals = digits.partition(".")
    group = rng.choice(["", "." if mark == "," else ",", " ", "\u202f", "'"])
    decimals = decimals.rstrip("0")
    if decimals or rng.random() < 0.3:
        decimals += "0" * rng.randint(0 if decimals else 1, 2)
    whole = whole.replace(",", group)
    text = f"{whole}{mark}{decimals}" if decimals else whole
    if rng.random() < 0.3:
        text = "".join(chr(ord(letter) + 0xFEE0) if letter.isdigit() else letter for letter in text)
    sign = rng.choice("-−–") if number < 0 else ""
    return f"{sign}{text}{rng.choice(['', ' ', chr(0xA0)])}{unit}"


@given(number=NUMBERS, unit=UNITS, seed=st.integers(0, 2**32), marks=st.tuples(*[st.sampled_from(".,")] * 2))
def test_a_right_number_in_any_spelling_is_right(number, unit, seed, marks):
    rng = random.Random(seed)
    expected, given = (written(number, unit, mark, rng) for mark in marks)

    assert same(expected, given, *marks)


@given(number=NUMBERS, unit=UNITS, seed=st.integers(0, 2**32), marks=st.tuples(*[st.sampled_from(".,")] * 2))
def test_a_changed_digit_is_never_right(number, unit, seed, marks):
    rng = random.Random(seed)
    expected, given = (written(number, unit, mark, rng) for mark in marks)
    unit_starts = len(given) - len(unit)
    at = rng.choice([at for at, letter in enumerate(given[:unit_starts]) if letter.isdecimal()])
    changed = rng.choice([digit for digit in "0123456789" if digit != str(unicodedata.decimal(given[at]))])

    assert not same(expected, given[:at] + changed + given[at + 1 :], *marks)


@given(number=NUMBERS, units=st.lists(UNITS, min_size=2, max_size=2, unique=True))
def test_another_unit_is_never_right(number, units):
    one, other = (f"{number} {unit}".strip() for unit in units)

    assert not same(one, other)


@given(expected=st.text(max_size=50), given=st.text(max_size=50))
def test_any_two_texts_are_compared_and_either_way_round(expected, given):
    assert same(expected, given) == same(given, expected)
    assert all_differ([expected, given], decimal=".") <= (not same(expected, given))


@given(text=st.text(min_size=1, max_size=50))
def test_a_text_is_the_same_as_itself_unless_it_says_nothing(text):
    assert same(text, text) == all_differ([text], decimal=".")


@pytest.mark.parametrize(
    "text",
    ["1" * 2000, "1 " * 1000, "1." * 1000, "a\u0301" * 1000, "\u0301" * 2000, "*" * 2000, "**a" * 600, "1 1/" * 500],
)
def test_hostile_answers_are_wrong(text):
    assert not same("5 kg", text)
    assert not same(text, "5 kg")


def test_the_name_of_an_answer_is_found_as_a_word():
    assert stands_in("heart", "The Heart beats")
    assert not stands_in("art", "The heart beats")
    assert stands_in("東京", "東京は首都")
    assert not stands_in("", "anything")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        (None, ""),
        ("", ""),
        ("*", ""),
        ("de", "de"),
        ("de-CH, en;q=0.5", "de"),
        (" FR_ca", "fr"),
        ("<script>", ""),
        ("deutsch", ""),
        ("d" * 10_000, ""),
    ],
)
def test_the_language_is_what_the_client_asks_for_first(header, language):
    assert preferred_language(header) == language


@pytest.mark.parametrize(
    ("text", "language", "mark"),
    [
        ("The heart is in the chest of a man", "en", "."),
        ("Das Herz ist in der Brust und schlägt", "de", ","),
        ("Le cœur est dans la poitrine des hommes", "fr", ","),
        ("Сердце и кровь в теле для жизни", "ru", ","),
        ("東京は首都", "", "."),
        ("1.000", "", "."),
    ],
)
def test_the_language_of_a_text_is_seen_by_its_small_words(text, language, mark):
    assert language_of(text) == language
    assert decimal_mark(language_of(text)) == mark


def question(kind: str, **more) -> dict:
    return {"id": str(uuid4()), "kind": kind, "prompt": "p", **more}


def test_a_match_is_right_as_a_whole_and_names_the_cards_that_were_not_known():
    solution = {"expected": {"1": "2", "2": "1", "3": "3"}, "cards": {"1": ["a", 1], "2": ["b", 2]}}

    assert grade(question("match"), solution, {"1": "2", "2": "1", "3": "3"}, language="") == (True, [])
    assert grade(question("match"), solution, {"1": "2", "2": "3", "3": "1"}, language="") == (False, [("b", 2)])
    assert grade(question("match"), solution, {}, language="") == (False, [("a", 1), ("b", 2)])


def test_a_choice_is_its_index_and_an_order_the_whole_list():
    assert grade(question("choice"), {"expected": 1, "card": ["a", 1]}, 1, language="") == (True, [])
    assert grade(question("choice"), {"expected": 1, "card": ["a", 1]}, 0, language="") == (False, [("a", 1)])
    assert grade(question("order"), {"expected": ["2", "1"]}, ["1", "2"], language="") == (False, [])
