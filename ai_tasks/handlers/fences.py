"""Fenced blocks in a model's Markdown."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"[ \t]{0,3}(`{3,}+|~{3,}+)[ \t]*+([^`\r]*+)\r?$")  # possessive: linear time


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """A fenced block of an answer; ``language`` is from its fence and may be empty."""

    language: str
    code: str


def unfenced(text: str) -> str:
    """Remove the fence around an answer that is a single fenced block of Markdown; return any other unchanged."""
    first, *inner = text.split("\n")
    outer = _FENCE.match(first)
    if not outer or outer[2].strip().lower() not in ("markdown", "md") or not inner:
        return text
    if not _closes(inner.pop(), outer[1]):
        return text
    fence = ""
    for line in inner:
        match = _FENCE.match(line)
        if fence:
            fence = "" if _closes(line, fence) else fence
        elif match and not match[2].strip() and match[1].startswith(outer[1]):
            return text  # the first fence ends here
        elif match:
            fence = match[1]
    return text if fence else "\n".join(inner).strip()


def _closes(line: str, fence: str) -> bool:
    match = _FENCE.match(line)
    return match is not None and match[1].startswith(fence) and not match[2].strip()


def code_blocks(text: str) -> list[CodeBlock]:
    """The non-empty fenced blocks of a Markdown text; an unclosed one extends to the end."""
    blocks: list[CodeBlock] = []
    fence, language, lines = "", "", list[str]()
    for line in [*text.split("\n"), None]:
        match = _FENCE.match(line) if line is not None else None
        if not fence and match:
            fence, language, lines = match[1], (match[2].split() or [""])[0], []
        elif fence and (line is None or (match and match[1].startswith(fence) and not match[2].strip())):
            code = "\n".join(lines).strip("\n")
            if code.strip():
                blocks.append(CodeBlock(language, code + "\n"))
            fence = ""
        elif fence and line is not None:
            lines.append(line)
    return blocks
