"""Links between notes, as they stand in explanations: ``[[Note]]``, ``[[Note#Topic]]``, ``[[Note|shown text]]``."""

import re
from typing import NamedTuple

from notes.title_order import key_without_case

LINKS_MAX = 500
"""Of one topic; more are text."""
NOTE_LINKS_MAX = 5_000
"""Of one note, in one write; more are text."""

_CODE = re.compile(
    r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1|\Z)|(?<!`)(`++)(?:[^`\n]++|(?!\2(?!`))`++){1,20}+\2(?!`)",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"\[\[([^\[\]\n#|]{1,300})(#[^\[\]\n|]{1,300})?(?:\|[^\[\]\n]{0,300})?\]\]")


class WikiLink(NamedTuple):
    target: str
    """As it is written, without what is shown instead."""
    key: str
    """What the linked note's ``title_key`` begins with."""


def targets_in(text: str) -> set[str]:
    return {link.target for link in links_in(text)}


def links_in(text: str) -> list[WikiLink]:
    """The links of a text, each once, in their order. What stands in code is none."""
    if "[[" not in text:
        return []
    found: dict[str, WikiLink] = {}
    for link in _LINK.finditer(_CODE.sub(" ", text) if "`" in text or "~~~" in text else text):
        title = link[1].strip()
        target = f"{title}{(link[2] or '').rstrip()}"
        if title and target not in found:
            found[target] = WikiLink(target, key_without_case(title))
            if len(found) == LINKS_MAX:
                break
    return list(found.values())
