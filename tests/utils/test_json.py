"""What the parser refuses, and where it says that it is."""

import json
import tracemalloc

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from utils.http.json import MAX_VALUES, InvalidJSON, TooManyValues, dumps, loads_strictly


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


def test_the_pointer_to_a_null_character_is_escaped():
    with pytest.raises(InvalidJSON) as refusal:
        loads_strictly(b'{"a/b~c": "\\u0000"}')

    assert [error["pointer"] for error in refusal.value.errors] == ["/a~1b~0c"]


def test_a_null_character_in_a_key_is_refused_where_its_object_stands():
    with pytest.raises(InvalidJSON) as refusal:
        loads_strictly(b'[{"a\\u0000": 1}]')

    assert [error["pointer"] for error in refusal.value.errors] == ["/0"]


def test_no_body_takes_much_more_memory_than_it_has():
    body = b'{"' + b"k" * 100_000 + b'": [' + b'"",' * (MAX_VALUES - 3) + b'""]}'
    tracemalloc.start()
    try:
        loads_strictly(body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 20 * len(body)


def test_the_last_of_many_keys_is_found_to_appear_twice_within_the_time_out():
    """Comparing each of so many keys with all others would take hours."""
    keys = [f"key {number}" for number in range(300_000)]
    body = "{" + ",".join(f'"{key}": 1' for key in [*keys, keys[-1]]) + "}"

    with pytest.raises(InvalidJSON, match="The key 'key 299999' appears twice in one object"):
        loads_strictly(body.encode(), max_values=len(keys) + 2)


def test_an_escaped_backslash_before_u0000_is_no_null_character():
    assert loads_strictly(b'{"a": "\\\\u0000"}') == {"a": "\\u0000"}


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'[{"b": {"a": 1, "a": 1}}]', b'{"a": 1, "\\u0061": 2}'])
def test_a_key_that_appears_twice_is_refused(body):
    with pytest.raises(InvalidJSON, match="twice"):
        loads_strictly(body)


@pytest.mark.parametrize("body", [b'{"a": 1, "b": ": a: a"}', b'{"a\\"": {"a": 1}, "b:": [{"a": 1}, {"a": "\\\\"}]}'])
def test_a_key_that_is_in_several_objects_and_colons_in_texts_are_no_duplicates(body):
    assert loads_strictly(body) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" + b"0," * 9 + b"0]",
        b"[" + b"[]," * 9 + b"[]]",
        b"[" + b'"",' * 9 + b'""]',
        b"{" + b",".join(b'"%d":0' % i for i in range(10)) + b"}",
        b"[" * 11 + b"]" * 11,
        b'{"a":' * 11,
        b'"\\" [' * 20,
    ],
    ids=["numbers", "lists", "texts", "keys", "nested lists", "nested objects", "broken"],
)
def test_the_number_of_values_is_bounded_before_they_are_made(body):
    with pytest.raises(TooManyValues):
        loads_strictly(body + b" what no parser takes", max_values=10)


@pytest.mark.parametrize(
    "text", ["a, [b], {c}: d", '"quoted", "twice"', "\\", "end with \\", '\\"', "\x7f,,,\U0001d11e"]
)
def test_what_stands_in_texts_counts_as_nothing(text):
    data = {"a": text * 100, "b": [text * 100, 1]}

    assert loads_strictly(dumps(data), max_values=5) == data


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner, max_size=5),
        max_leaves=20,
    )
)
def test_every_document_without_null_characters_is_read_as_it_is(data):
    body = dumps(data)
    if b"\\u0000" in body:
        return

    assert loads_strictly(body) == data


def test_text_survives_a_round_trip():
    data = {"text": 'é ☃ 𝄞 \n\t"', "list": [1, 2.5, None, True]}

    assert loads_strictly(dumps(data)) == data
