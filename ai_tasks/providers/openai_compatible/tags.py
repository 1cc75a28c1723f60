"""Bounded patterns for the tags around a model's reasoning, complete or truncated."""

import re

MAX_HELD = 120
"""How many characters may wait for the rest of a tag; longer than any tag."""

_NAMES = (
    "think", "thinking", "thought", "thoughts", "reasoning", "reason", "scratchpad", "inner_monologue",
    "antml:thinking", "seed:think",
)  # fmt: skip
_CHANNEL_NAMES = ("start", "channel", "constrain", "message", "end", "return", "call")
_ATTRIBUTES = r"(?:\s[^<>\n]{0,60})?"
_NAMED = rf"\s{{0,2}}(?:{'|'.join(_NAMES)}){_ATTRIBUTES}\s{{0,2}}>"

_OPENS = "|".join([rf"<{_NAMED}", r"\[THINK\]", "◁think▷", r"<\|begin_of_thought\|>"])
_CLOSES = "|".join([rf"<\s{{0,2}}/{_NAMED}", r"\[/THINK\]", "◁/think▷", r"<\|end_of_thought\|>"])

THINKING_CLOSES = re.compile(_CLOSES, re.IGNORECASE)
_UNMARKED_ANALYSIS = "analysis(?=[A-Z])"
UNMARKED_FINAL = re.compile("assistantfinal")
"""The end of the reasoning if a server dropped the channel marks: ``analysisWe need to …assistantfinalA loop …``."""
CHANNEL_TOKEN = re.compile(rf"<\|({'|'.join(_CHANNEL_NAMES)})\|>")
CHANNEL_HEADER = re.compile(
    r"(?=<\|(?:start|channel)\|>)(?:<\|start\|>[^<\n]{0,80})?(?:<\|channel\|>(?P<name>[^<\n]{0,80}))?"
    r"(?:<\|constrain\|>[^<\n]{0,80})?<\|message\|>"
)
FENCE = re.compile(r"[ \t]*(?P<fence>`{3,}+|~{3,}+)(?P<info>[^\r]*)")

_TOKEN = re.compile(
    rf"\n|(?P<ticks>`+)|(?P<opens>(?i:{_OPENS}))|(?P<closes>(?i:{_CLOSES}))"
    rf"|<\|(?P<channel>{'|'.join(_CHANNEL_NAMES)})\|>|(?<!\w)(?P<unmarked>{_UNMARKED_ANALYSIS})"
)


def _cut_short(word: str) -> str:
    """A pattern that matches every prefix of a word, from the empty one to the whole word."""
    pattern = ""
    for character in reversed(word):
        pattern = f"(?:{re.escape(character)}{pattern})?"
    return pattern


_POSSIBLE_TAG = re.compile(
    "|".join(
        [
            rf"<\s{{0,2}}/?\s{{0,2}}(?:{'|'.join(map(_cut_short, _NAMES))})",
            rf"<\s{{0,2}}/?\s{{0,2}}(?:{'|'.join(_NAMES)}){_ATTRIBUTES}\s{{0,2}}",
            rf"<\|?(?:{'|'.join(map(_cut_short, [*_CHANNEL_NAMES, 'begin_of_thought', 'end_of_thought']))})\|?",
            r"\[/?" + _cut_short("THINK"),
            "◁/?" + _cut_short("think"),
        ]
    ),
    re.IGNORECASE,
)
_TAG_BEGINS = re.compile(r"[<\[◁]")
_POSSIBLE_HEADER = re.compile(
    r"(?:<\|start\|>[^<\n]{0,80})?(?:<\|channel\|>[^<\n]{0,80})?(?:<\|constrain\|>[^<\n]{0,80})?"
    r"(?:<(?:\|(?:[a-z]{1,9}\|?)?)?)?"
)
_MAX_HEADER = 300


def next_token(text: str, at: int) -> re.Match[str] | None:
    """The next line end, run of backticks or tag from ``at`` on."""
    return _TOKEN.search(text, at)


def start_of_a_possible_tag(text: str, at: int, *, at_the_beginning: bool) -> int:
    """Where an incomplete tag may start; the text's end if nowhere.

    There must be no complete tag from ``at`` on.
    """
    for match in reversed(list(_TAG_BEGINS.finditer(text, max(at, len(text) - MAX_HELD)))):
        if _POSSIBLE_TAG.fullmatch(text, match.start()):
            return match.start()
    word = text[max(at, len(text) - len("analysis")) :].lstrip()
    if at_the_beginning and word and text[at:].strip() == word and "analysis".startswith(word):
        return len(text) - len(word)
    return len(text)


def begins_a_channel_header(text: str, at: int) -> bool:
    """Whether the rest of the text may be the start of a channel header."""
    return len(text) - at <= _MAX_HEADER and _POSSIBLE_HEADER.fullmatch(text, at) is not None
