"""A model's JSON is read however it is wrapped, and nothing else is taken for it."""

import json

import pytest

from ai_tasks.handlers.structured import items_in, read_answer, response_format, text_in
from ai_tasks.providers.errors import UnusableAnswer

ANSWER = {"cards": [{"front": "Loop?", "back": "A repeat.", "mood": "good"}, {"front": "End?", "back": "Yes."}], "x": 1}
TEXT = json.dumps(ANSWER, indent=1)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        f"\n\n{TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"```JSON\n{TEXT}\n```",
        f"~~~\n{TEXT}\n~~~",
        f"Here are your cards:\n\n```json\n{TEXT}\n```\n\nEnjoy!",
        f"```json\n{TEXT}",  # a fence that is never closed
        f"```python\nprint()\n```\n```json\n{TEXT}\n```",
    ],
)
def test_json_is_read_in_a_fence_or_not_and_unknown_keys_are_ignored(text):
    cards = read_answer(text, "cards")

    assert [(text_in(card, "front"), text_in(card, "back")) for card in cards] == [
        ("Loop?", "A repeat."),
        ("End?", "Yes."),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A loop repeats.",
        TEXT[:-1],
        "[]",
        "null",
        json.dumps([ANSWER]),
        '{"sentences": []}',
        '{"cards": {}}',
        '{"cards": null}',
        '{"cards": "none"}',
        '{"cards": [1]}',
        '{"cards": [[]]}',
        '{"cards": [{"front": "\\ud800"}]}',
        '{"cards": [NaN]}',
        "```yaml\ncards: []\n```",
        '{"cards": ' + "[" * 50_000 + "]" * 50_000 + "}",
    ],
)
def test_what_is_no_such_json_is_unreadable(text):
    with pytest.raises(UnusableAnswer) as failure:
        read_answer(text, "cards")

    assert failure.value.code == "answer_unreadable"


@pytest.mark.parametrize("card", [{}, {"front": None}, {"front": 1}, {"front": ["x"]}])
def test_a_text_that_is_missing_or_none_is_unreadable(card):
    with pytest.raises(UnusableAnswer) as failure:
        text_in(card, "front")

    assert failure.value.code == "answer_unreadable"


def test_what_may_be_missing_has_a_default():
    assert text_in({"block_id": None}, "block_id", default="") == ""
    assert items_in({}, "quotes") == []


def test_null_characters_are_left_out():
    (card,) = read_answer('{"cards": [{"front": "a\\u0000b"}]}', "cards")

    assert text_in(card, "front") == "ab"


def test_the_format_that_is_asked_for_is_closed():
    item = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}

    assert response_format("cards", item) == {
        "type": "json_schema",
        "json_schema": {
            "name": "cards",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {"cards": {"type": "array", "items": item}},
                "required": ["cards"],
                "additionalProperties": False,
            },
        },
    }
