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


NOT_SHOWN = ("spaces", "blank lines", "ends of lines", "opening tags")
"""White space, and thinking that never ends."""
KEEPS_ITS_FENCE = ("backticks", "tildes", "fences", "fences of two kinds", "closing tags in fences")
"""What might close a fence of its own."""
CODE = {"fences of two kinds": 333_332, "closing tags in fences": 529_413}
"""Characters in its blocks of code."""
every_kind = pytest.mark.parametrize("kind", HOSTILE)


def hostile(kind: str) -> str:
    unit = HOSTILE[kind]
    return (unit * (MEGABYTE // len(unit) + 1))[:MEGABYTE]


@every_kind
def test_a_megabyte_is_freed_of_thinking_within_the_time_out(kind):
    text = hostile(kind)
    streamed, whole = ThinkingFilter(), ThinkingFilter()

    shown = [streamed.feed(text[start : start + PIECE], final=False).text for start in range(0, len(text), PIECE)]
    shown.append(streamed.feed("", final=True).text)

    expected = "" if kind in NOT_SHOWN else text
    assert "".join(shown) == expected
    assert whole.feed(text, final=True).text == expected


@every_kind
def test_a_megabyte_is_parsed_within_the_time_out(kind):
    text = hostile(kind)
    fenced = f"```markdown\n{text}\n```"

    assert unfenced(fenced) == (fenced if kind in KEEPS_ITS_FENCE else text.strip())
    assert sum(len(block.code) for block in code_blocks(text)) == CODE.get(kind, 0)
    assert joined(text, text[:5000])[0].startswith(text)


@every_kind
def test_a_failures_words_are_judged_within_the_time_out(kind):
    """A report has 2,000 characters at most; a hundred times as many are judged here."""
    report = Report(status=400, text=hostile(kind)[:200_000])

    assert failure_of(report).code == ("provider_context_too_long" if kind == "words" else "provider_rejected")
    assert refused_parameter(report, ["stream_options", "temperature"]) is None
    assert wait_in_words(report.text) is None
