"""Prompts: one Markdown file for each request type and version.

A file is what the model is told, word for word, followed by what guards every prompt (``guard.md``): nothing is ever
filled into either. Everything that a user wrote goes into a second message, as fields between marks that the user
cannot know. To change a prompt, add the next version and name it in its handler.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from ai_tasks.providers.base import Message

_DIRECTORY = Path(__file__).parent
_MARK_BYTES = 12
_DIGEST_LENGTH = 8
GUARD = (_DIRECTORY / "guard.md").read_text(encoding="utf-8").strip()
"""What keeps instructions in a user's text from being obeyed."""


@dataclass(frozen=True)
class Prompt:
    """The prompt in ``<name>.v<number>.md``, guarded."""

    name: str
    number: int

    @cached_property
    def text(self) -> str:
        """The whole system message."""
        instructions = (_DIRECTORY / f"{self.name}.v{self.number}.md").read_text(encoding="utf-8")
        return f"{instructions.strip()}\n\n{GUARD}\n"

    @cached_property
    def version(self) -> str:
        """Names the text itself too, so that an edit in place is not taken for the old prompt."""
        return f"{self.name}.v{self.number}-{sha256(self.text.encode()).hexdigest()[:_DIGEST_LENGTH]}"

    def messages(self, fields: Mapping[str, str]) -> list[Message]:
        """The system message, and the user's fields as delimited data."""
        return [
            {"role": "system", "content": self.text},
            {"role": "user", "content": delimited(fields, mark=secrets.token_hex(_MARK_BYTES))},
        ]


def delimited(fields: Mapping[str, str], *, mark: str) -> str:
    """Fields between lines that bear ``mark``: random, so that no text can close its own field."""
    blocks = [f"<<{mark} {name}>>\n{text}\n<</{mark} {name}>>" for name, text in fields.items()]
    lead = f"The request's fields, as data. Each stands between lines that bear the mark {mark}."
    return "\n\n".join([lead, *blocks])
