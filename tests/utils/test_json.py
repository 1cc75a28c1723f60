"""What the parser refuses, and where it says that it is."""

import pytest

from utils.json import InvalidJSON, dumps, loads_strictly


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


def test_a_body_of_the_deepest_allowed_nesting_is_read():
    value = loads_strictly(nested(32))

    for _ in range(31):
        (value,) = value
    assert value == []


@pytest.mark.parametrize("depth", [33, 1_000, 200_000])
def test_deeper_nesting_is_refused_at_any_depth(depth):
    with pytest.raises(InvalidJSON):
        loads_strictly(nested(depth))


@pytest.mark.parametrize(
    "body",
    [b"{", b"nope", b'{"a": NaN}', b'{"a": Infinity}', b'"\\ud800"', b'"\xff"', b'{"a": 1} x', b"{'a': 1}"],
    ids=["cut", "word", "nan", "infinity", "lone surrogate", "not utf-8", "trailing text", "single quotes"],
)
def test_what_is_not_json_is_refused(body):
    with pytest.raises(InvalidJSON):
        loads_strictly(body)


def test_a_null_character_is_refused_where_it_stands():
    with pytest.raises(InvalidJSON) as refusal:
        loads_strictly(b'{"a": [1, {"b": "x\\u0000y"}]}')

    assert [error["pointer"] for error in refusal.value.errors] == ["/a/1/b"]


def test_a_null_character_in_a_key_is_refused():
    with pytest.raises(InvalidJSON):
        loads_strictly(b'{"a\\u0000": 1}')


def test_an_escaped_backslash_before_u0000_is_no_null_character():
    assert loads_strictly(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"a": 1, "a": 1}}]', b'{"a": 1, "\\u0061": 2}'])
def test_a_key_that_appears_twice_is_refused(body):
    with pytest.raises(InvalidJSON, match="twice"):
        loads_strictly(body)


def test_text_survives_a_round_trip():
    data = {"text": 'é ☃ 𝄞 \n\t"', "list": [1, 2.5, None, True]}

    assert loads_strictly(dumps(data)) == data
