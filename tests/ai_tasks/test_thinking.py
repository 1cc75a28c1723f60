"""An answer told apart from thinking aloud, however it is cut into pieces."""

import pytest

from ai_tasks.providers.openai_compatible.seam import joined
from ai_tasks.providers.openai_compatible.thinking import ThinkingFilter

CASES = [
    ("plain", "A loop repeats.", "A loop repeats."),
    ("think", "<think>\nhm\n</think>\n\nA loop.", "A loop."),
    ("thinking", "<thinking>hm</thinking>A loop.", "A loop."),
    ("upper", "<THINK>hm</THINK>A loop.", "A loop."),
    ("empty think", "<think>\n\n</think>\n\nA loop.", "A loop."),
    ("lone nl", "I should say it.\n</think>\n\nA loop.", "A loop."),
    ("lone inline", "2+2=4.</think>The answer.", "The answer."),
    ("lone spaced", "Let me see. </think> Loops repeat.", "Loops repeat."),
    ("lone spaced2", "hmm </think> Loops repeat.", "Loops repeat."),
    ("mention close", "Close the block with </think> when done.", "Close the block with </think> when done."),
    ("mention close2", "End it with </think>.", "End it with </think>."),
    ("mention code", "Use `<think>` and `</think>` here.", "Use `<think>` and `</think>` here."),
    ("mention prose", "Some models write <think> before they answer.", "Some models write <think> before they answer."),
    ("mention both", "Use <think> and </think> to wrap it.", "Use <think> and </think> to wrap it."),
    ("fence", "Text:\n\n```xml\n<think>\nx\n</think>\n```\nEnd.", "Text:\n\n```xml\n<think>\nx\n</think>\n```\nEnd."),
    ("mid", "One.\n\n<think>\nhm\n</think>\n\nTwo.", "One.\n\n\n\nTwo."),
    ("mid inline", "Here you go: <think>secret</think> Loops.", "Here you go:  Loops."),
    ("unclosed", "<think>I wonder", ""),
    ("nested", "<think>a<think>b</think>c</think>Answer", "Answer"),
    ("thinks of tag", "<think>the `</think>` tag ends it</think>Answer", "Answer"),
    ("code in think", "<think>```python\nbad\n```\n</think>\n```python\ngood\n```", "```python\ngood\n```"),
    (
        "harmony",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>A loop.<|return|>",
        "A loop.",
    ),
    (
        "harmony no return",
        "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>A loop.",
        "A loop.",
    ),
    (
        "harmony commentary",
        "<|channel|>commentary<|constrain|>json<|message|>{}<|call|><|start|>assistant<|channel|>final<|message|>A",
        "A",
    ),
    ("harmony lone", "We need.<|end|><|start|>assistant<|channel|>final<|message|>A loop.", "A loop."),
    ("harmony only analysis", "<|channel|>analysis<|message|>hm hm", ""),
    ("harmony no start", "<|channel|>analysis<|message|>hm<|end|>A loop.", "A loop."),
    (
        "harmony stripped start",
        "<|channel|>analysis<|message|>hm<|end|>assistant<|channel|>final<|message|>A loop.",
        "A loop.",
    ),
    ("unmarked", "analysisWe need to.assistantfinalA loop.", "A loop."),
    ("unmarked after a tag", "hm</think>analysisWe need to.assistantfinalA loop.", "A loop."),
    ("unmarked word", "analysisWe is odd", "analysisWe is odd"),
    ("analysis word", "analysis is fun", "analysis is fun"),
    ("magistral", "[THINK]hm[/THINK]A loop.", "A loop."),
    ("kimi", "◁think▷hm◁/think▷A loop.", "A loop."),
    ("less", "if a < b and c > d: <b>x</b> <t", "if a < b and c > d: <b>x</b> <t"),
    ("channel mention", "The token <|channel|> starts a header.", "The token <|channel|> starts a header."),
    ("end mention", "The token <|end|> ends it.", "The token <|end|> ends it."),
    ("channel fence", "```\n<|channel|>final<|message|>\n```", "```\n<|channel|>final<|message|>\n```"),
    ("prose line", "\n\nThe tags:\n<think> opens it.\n", "The tags:\n<think> opens it."),
    ("two thinks", "<think>a</think>\n<think>b</think>\nA", "A"),
    ("attr", '<think duration="3">a</think>A', "A"),
    ("space", "< think >a</ think >A", "A"),
    ("list mention", "- `</think>` closes\n- <think> opens", "- `</think>` closes\n- <think> opens"),
    ("unclosed mid", "One.\n\n<think> is a tag.", "One.\n\n<think> is a tag."),
]
PIECES = [1, 2, 3, 5, 7, 12, 10**6]


def shown(text: str, size: int) -> tuple[str, int]:
    """What is visible at the end if the text comes in pieces of that size, and how often it began anew."""
    thinking, visible, restarts = ThinkingFilter(), "", 0
    pieces = [(text[start : start + size], False) for start in range(0, len(text), size)]
    for piece, final in [*pieces, ("", True)]:
        more = thinking.feed(piece, final=final)
        if more.restart:
            visible, restarts = "", restarts + 1
        visible += more.text
    return visible.strip(), restarts


@pytest.mark.parametrize("size", PIECES)
@pytest.mark.parametrize(("text", "answer"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_only_the_answer_is_shown(text, answer, size):
    assert shown(text, size)[0] == answer


def test_ordinary_text_is_shown_as_it_comes():
    thinking = ThinkingFilter()

    assert [thinking.feed(piece).text for piece in ["A loop ", "repeats <b>", " if a < b", ", th"]] == [
        "A loop ", "repeats <b>", " if a < b", ", th",
    ]  # fmt: skip


def test_text_begins_anew_only_if_some_was_shown():
    assert shown("They want loops.\n</think>\nA loop.", 5) == ("A loop.", 1)
    assert shown("They want loops.\n</think>\nA loop.", 1000) == ("A loop.", 0)
    assert shown("<think>They want loops.</think>A loop.", 5) == ("A loop.", 0)


@pytest.mark.parametrize(
    "text",
    [
        "<" * 800_000,
        "</think>x" * 80_000,
        "`" * 800_000,
        "<|channel|>" * 80_000,
        "<think " * 120_000,
        "\n<think>\nx" * 80_000,
        "<think>" + "</thin" * 120_000,
        "x <think>" + " " * 800_000,
        "<|start|>" + "a" * 800_000,
        "<|end|>" + " " * 800_000,
        "analysis" * 120_000,
        "\n" * 800_000,
    ],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.parametrize("size", [20, 10**6])
def test_hostile_text_takes_time_in_proportion_to_its_length(text, size):
    shown(text, size)


@pytest.mark.parametrize(
    ("text", "rest", "whole"),
    [
        ("A loop repeats its ", "body.", "A loop repeats its body."),
        ("A loop repeats its body, and", "its body, and ends.", "A loop repeats its body, and ends."),
        ("A loop repeats", "A loop repeats", "A loop repeats"),
        ("A loop repeats", "A loop repeats its body.", "A loop repeats its body."),
        ("aa", "aab", "aaaab"),  # too short to be a repetition
        ("A loop", "", "A loop"),
        ("", "A loop", "A loop"),
        ("x" * 5000, "x" * 3000 + "y", "x" * 6000 + "y"),
    ],
)
def test_a_continuation_is_joined_without_what_it_repeats(text, rest, whole):
    assert joined(text, rest) == (whole, whole[len(text) :])
