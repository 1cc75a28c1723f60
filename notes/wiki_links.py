"""Links between notes in explanations: ``[[Note]]``, ``[[Note#Topic]]``, ``[[Note|shown text]]``."""

import re
from typing import NamedTuple

from notes.title_order import key_without_case

LINKS_MAX = 500
"""The maximum in one topic; further links are treated as text."""
NOTE_LINKS_MAX = 5_000
"""The maximum in one write of a note; further links are treated as text."""

_CODE = re.compile(
    r"^ {0,3}(```+|~~~+).*?(?:^ {0,3}\1|\Z)|(?<!`)(`++)(?:[^`\n]++|(?!\2(?!`))`++){1,20}+\2(?!`)",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"\[\[([^\[\]\n#|]{1,300})(#[^\[\]\n|]{1,300})?(?:\|[^\[\]\n]{0,300})?\]\]")


class WikiLink(NamedTuple):
    target: str
    """The link's target, without the shown text."""
    key: str
    """The beginning of the linked note's ``title_key``."""


def targets_in(text: str) -> set[str]:
    return {link.target for link in links_in(text)}


def links_in(text: str) -> list[WikiLink]:
    """The links of a text in order, without duplicates and without those in code."""
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
