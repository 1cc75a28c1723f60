"""Separates a model's answer from its reasoning while both stream in.

Models reason between tags (``<think>…</think>`` and variants), before a lone closing tag (their prompt contained the
opening one), or in channels (``<|channel|>analysis<|message|>…<|end|>``, where only ``final`` is the answer). Tags that
an answer merely mentions, in code or in a sentence, are kept.

Text is shown as it arrives; only a possible start of a tag waits. A lone closing tag retracts what was shown before it.
The time is linear in the length of any text: patterns are bounded, and only the few waiting characters are read twice.
"""

import re
from dataclasses import dataclass

from ai_tasks.providers.openai_compatible.tags import (
    CHANNEL_HEADER,
    CHANNEL_TOKEN,
    FENCE,
    MAX_HELD,
    THINKING_CLOSES,
    UNMARKED_FINAL,
    begins_a_channel_header,
    next_token,
    start_of_a_possible_tag,
)

_AHEAD = re.compile(r"([ \t]{0,100})(.)?", re.DOTALL)
_QUOTES = "`\"'“(«"
_ENDS_A_SENTENCE = ".!?:;…。"


@dataclass(frozen=True, slots=True)
class Shown:
    """Text that became visible. ``restart``: discard everything shown before."""

    text: str
    restart: bool = False


class ThinkingFilter:
    """Takes a model's text piece by piece and returns the parts that belong to the answer."""

    def __init__(self) -> None:
        self._waiting = ""
        self._read = self._read_text
        self._out: list[str] = []
        self._restart = False
        self._has_shown = False
        """Whether any text was shown; leading white space is dropped before that."""
        self._was_told = False
        """Whether the caller received any text since the last restart."""
        self._closes = THINKING_CLOSES
        self._held: list[str] | None = None
        """Reasoning that becomes text again if it never ends: in the middle of an answer, a tag may be a mention."""
        self._mentions = 0
        """The number of mentioned opening tags; as many closing ones are mentions too."""
        self._uses_channels = False
        self._in_final = False
        self._final_has_text = False
        self._begin_line()

    def _begin_line(self) -> None:
        self._line = ""
        self._line_before_is_blank = True
        self._inline_code = 0
        self._fence = ""
        self._last = ""
        self._ends_in_space = True

    def feed(self, text: str, *, final: bool = False) -> Shown:
        """Read the next piece; ``final`` marks the last one."""
        text = self._waiting + text
        at = 0
        while at < len(text):
            then = self._read(text, at, final)
            if then is None:
                break
            at = then
        self._waiting = text[at:]
        if final and self._held is not None:
            self._show("".join([*self._held, self._waiting]))
        shown = Shown("".join(self._out), self._restart)
        self._was_told = bool(shown.text) or (self._was_told and not self._restart)
        self._out, self._restart = [], False
        return shown

    # --- Text of the answer ---

    def _read_text(self, text: str, at: int, final: bool) -> int | None:
        """Read one token, or the text before it. Return where to continue; None to wait for more text."""
        match = next_token(text, at)
        start = match.start() if match else len(text)
        if not match and not final:
            start = start_of_a_possible_tag(text, at, at_the_beginning=not self._has_shown)
        if start > at:
            self._show(text[at:start])
            return start
        if not match:
            return None
        token, end = match[0], match.end()
        if token == "\n":
            self._end_line()
        elif match["ticks"]:
            if end == len(text) and not final and len(token) < MAX_HELD:
                return None  # the run may continue
            self._show(token)
            self._see_ticks(len(token))
        elif match["unmarked"]:
            if self._has_shown:
                self._show(token)
            else:
                self._begin_thinking(UNMARKED_FINAL, mention=token)
        elif self._fence or self._inline_code:
            self._show(token)
        elif match["channel"]:
            return self._read_channel_token(text, at, match, final)
        else:
            return self._read_tag(text, match, final)
        return end

    def _show(self, text: str) -> None:
        if not self._has_shown:
            text = text.lstrip()
            if not text:
                return
        self._has_shown = True
        self._out.append(text)
        self._last = text[-1] if not text[-1].isspace() else (text.rstrip()[-1:] or self._last)
        self._ends_in_space = text[-1].isspace()
        if len(self._line) < MAX_HELD:
            self._line += text[:MAX_HELD]

    def _end_line(self) -> None:
        match = FENCE.match(self._line)
        if self._fence:
            if match and match["fence"].startswith(self._fence) and not match["info"].strip():
                self._fence = ""
        elif match and "`" not in match["info"]:
            self._fence = match["fence"]
        is_blank = not self._line.strip()
        self._show("\n")
        self._line, self._line_before_is_blank, self._inline_code = "", is_blank, 0

    def _see_ticks(self, count: int) -> None:
        if not self._inline_code:
            self._inline_code = count
        elif self._inline_code == count:
            self._inline_code = 0

    def _take_back(self) -> None:
        """Retract everything so far: it was reasoning."""
        self._restart = self._restart or self._was_told
        self._out = []
        self._has_shown = False
        self._mentions = 0
        self._begin_line()

    # --- Tags ---

    def _read_tag(self, text: str, match: re.Match[str], final: bool) -> int | None:
        ahead = _AHEAD.match(text, match.end())
        space, character = (ahead[1], ahead[2] or "") if ahead else ("", "")
        if not character and not final and len(space) < MAX_HELD:
            return None  # the next character decides
        if match["closes"]:
            if self._is_thinkings_end(space, character):
                self._take_back()
            else:
                self._mentions = max(0, self._mentions - 1)
                self._show(match[0])
        elif not self._has_shown:
            self._begin_thinking(THINKING_CLOSES)
        elif self._is_thinkings_beginning(space, character):
            self._begin_thinking(THINKING_CLOSES, mention=match[0] if character not in ("\n", "") else None)
        else:
            self._mentions += 1
            self._show(match[0])
        return match.end()

    def _is_thinkings_beginning(self, space: str, character: str) -> bool:
        """Whether an opening tag inside an answer starts reasoning: at the start of a line, or after a sentence and
        before a word."""
        if not self._line.strip():
            is_indented_code = len(self._line.expandtabs(4)) >= 4
            return not is_indented_code and (self._line_before_is_blank or character in ("\n", ""))
        return self._last in _ENDS_A_SENTENCE and (character == "\n" or (not space and character.isalnum()))

    def _is_thinkings_end(self, space: str, character: str) -> bool:
        """Whether a lone closing tag ends reasoning. One inside a sentence is a mention: ``close it with </think> at
        last``."""
        if self._mentions:
            return False
        if not self._has_shown or not self._line.strip():
            return True
        if not self._ends_in_space:
            return self._last not in _QUOTES
        if character == "\n":
            return True
        return character != "" and (
            self._last in _ENDS_A_SENTENCE or not (character.islower() or character in ",.;:!?)'\"”»")
        )

    def _begin_thinking(self, closes: re.Pattern[str], *, mention: str | None = None) -> None:
        """``mention``: the tag to show as text if the reasoning never ends."""
        self._read, self._closes = self._read_thinking, closes
        self._held = None if mention is None else [mention]

    def _read_thinking(self, text: str, at: int, final: bool) -> int | None:
        match = self._closes.search(text, at)
        if match is None:
            return self._skip(text, at, len(text) if final else max(at, len(text) - MAX_HELD))
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if before and before in "`\"'":
            if not after and not final:
                return self._skip(text, at, match.start() - 1)
            if after == before:  # the reasoning mentions the tag
                return self._skip(text, at, match.end())
        self._read, self._held = self._read_text, None
        self._line, self._line_before_is_blank = "", True
        return match.end()

    def _skip(self, text: str, at: int, end: int) -> int | None:
        if end <= at:
            return None
        if self._held is not None:
            self._held.append(text[at:end])
        return end

    # --- Channels ---

    def _read_channel_token(self, text: str, at: int, match: re.Match[str], final: bool) -> int | None:
        if match["channel"] in ("end", "return", "call"):
            return self._read_message_end(text, match, final)
        header = CHANNEL_HEADER.match(text, at)
        if header is None and not final and begins_a_channel_header(text, at):
            return None
        is_at_its_place = self._uses_channels or not self._line.strip() or match["channel"] == "start"
        if header is None or not is_at_its_place:
            self._show(match[0])
            return match.end()
        self._uses_channels = True
        if not self._final_has_text:
            self._take_back()  # text outside any channel
        name = (header["name"] or "final").split()
        self._in_final = not name or name[0].lower() == "final"
        if not self._in_final:
            self._read = self._read_other_channel
        return header.end()

    def _read_message_end(self, text: str, match: re.Match[str], final: bool) -> int | None:
        if self._uses_channels:
            self._final_has_text = self._final_has_text or (self._in_final and self._has_shown)
            self._in_final = False
            return match.end()
        rest = text[match.end() : match.end() + MAX_HELD]
        if not rest.strip() and not final and len(rest) < MAX_HELD:
            return None
        if rest.strip() and not CHANNEL_HEADER.match(text, match.end()):
            if not final and begins_a_channel_header(text, match.end()):
                return None
            self._show(match[0])
        else:
            self._uses_channels = bool(rest.strip())
        return match.end()

    def _read_other_channel(self, text: str, at: int, final: bool) -> int | None:
        match = CHANNEL_TOKEN.search(text, at)
        if match is None:
            return self._skip(text, at, len(text) if final else max(at, len(text) - MAX_HELD))
        if match[1] in ("message", "constrain"):
            return match.end()
        self._read = self._read_text
        return match.end() if match[1] in ("end", "return", "call") else match.start()
