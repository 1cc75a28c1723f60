"""Reading an answer takes time in proportion to its length, whatever it holds.

No time is measured. A megabyte is read in a second or two where the time grows with the length, and in hours where it
grows with its square; the suite's time-out lies in between.
"""

import pytest

from ai_tasks.handlers.fences import code_blocks, unfenced
from ai_tasks.providers.openai_compatible.failures import failure_of
from ai_tasks.providers.openai_compatible.parameters import refused_parameter
from ai_tasks.providers.openai_compatible.reports import Report
from ai_tasks.providers.openai_compatible.retry_after import wait_in_words
from ai_tasks.providers.openai_compatible.seam import joined
from ai_tasks.providers.openai_compatible.thinking import ThinkingFilter

MEGABYTE = 1_000_000
PIECE = 12
"""Characters of one event of a stream."""
HOSTILE = {
    "backticks": "`", "tildes": "~", "fences": "```\n", "fences of two kinds": "```\n~~~\n", "spaces": " ",
    "blank lines": "\n", "opening brackets": "<", "half a tag": "<thin", "opening tags": "<think>",
    "closing tags in code": "`</think>`", "closing tags in fences": "```\n</think>\n```\n", "channels": "<|channel|>",
    "halves of a channel": "<|", "bars": "|", "tags in quotation marks": '"<think>"', "ends of lines": "\r\n",
    "digits": "1", "words": "exceed token ",
}  # fmt: skip


def hostile(unit: str) -> str:
    return (unit * (MEGABYTE // len(unit) + 1))[:MEGABYTE]


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_megabyte_is_freed_of_thinking_within_the_time_out(unit):
    text = hostile(unit)
    streamed, whole = ThinkingFilter(), ThinkingFilter()

    for start in range(0, len(text), PIECE):
        streamed.feed(text[start : start + PIECE], final=False)
    streamed.feed("", final=True)
    shown = whole.feed(text, final=True).text

    assert len(shown) <= len(text)


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_megabyte_is_parsed_within_the_time_out(unit):
    text = hostile(unit)

    assert len(unfenced(f"```markdown\n{text}\n```")) <= len(text) + 20
    assert sum(len(block.code) for block in code_blocks(text)) <= len(text) + 2
    assert joined(text, text[:5000])[0].startswith(text)


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_failures_words_are_judged_within_the_time_out(unit):
    """A report has 2,000 characters at most; a hundred times as many are judged here."""
    report = Report(status=400, text=hostile(unit)[:200_000])

    assert failure_of(report).code
    assert refused_parameter(report, ["stream_options", "temperature"]) is None
    assert wait_in_words(report.text) is None or wait_in_words(report.text) >= 0
