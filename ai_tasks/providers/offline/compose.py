"""Builds answers from the user's own notes, with references to them."""

from ai_tasks.providers.base import Source
from ai_tasks.providers.offline.extract import summary_of
from ai_tasks.providers.offline.notes_search import Found

LANGUAGE_ALIASES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "node": "javascript",
    "ts": "typescript",
    "golang": "go",
    "rs": "rust",
    "rb": "ruby",
    "sh": "bash",
    "shell": "bash",
    "c++": "cpp",
    "c#": "csharp",
    "cs": "csharp",
    "postgresql": "sql",
    "postgres": "sql",
}


def same_language(one: str, other: str) -> bool:
    """Whether two names mean one programming language: ``py`` and ``Python``."""
    first, second = (LANGUAGE_ALIASES.get(name.strip().lower(), name.strip().lower()) for name in (one, other))
    return first == second


def source_of(found: Found) -> Source:
    return {"title": f"{found.note_title}: {found.title}", "url": f"/api/topics/{found.id}/"}


def from_line(found: Found) -> str:
    return f"*From your note “{found.note_title}”, chapter “{found.chapter_title}”.*"


def excerpt_section(found: Found, *, sentences: int, with_code: bool, subject: str) -> str:
    """A section with sentences of a topic, and a line that says where they come from."""
    excerpt = summary_of(found.explanation, share=1.0, at_most=sentences, theme=subject)
    parts = [f"## {found.title}", from_line(found), *excerpt]
    if with_code and found.code:
        parts.append(code_block(found.code, found.code_language))
    return "\n\n".join(parts)


def code_block(code: str, language: str) -> str:
    """Code in a fence that is longer than any run of backticks in it."""
    longest = max((len(run) for run in _backtick_runs(code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{code.rstrip()}\n{fence}"


def _backtick_runs(text: str) -> list[str]:
    return [run for run in "".join(c if c == "`" else " " for c in text).split() if run]
