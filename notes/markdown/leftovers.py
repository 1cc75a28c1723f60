"""Keeps front matter without a field in the note at the end of its text, and reports it."""

from collections.abc import Iterable

from notes.markdown import outline
from notes.markdown.trees import ChapterTree, NoteTree, TopicTree

_NAMES_SHOWN = 200
"""The maximum length in characters."""


def keep(note: NoteTree, source: str, *, unknown: Iterable[str] = (), unusable: Iterable[str] = ()) -> None:
    """Keep YAML in the last topic of a note.

    ``unknown``: keys for which a note has no field. ``unusable``: keys with invalid values.
    """
    source = source.replace("\r\n", "\n").strip("\n")
    fence = "`" * 3
    while fence in source:
        fence += "`"
    if not note.chapters:
        note.chapters.append(ChapterTree(note.title))
    topics = note.chapters[-1].topics
    if not topics:
        topics.append(TopicTree(note.chapters[-1].title))
    topics[-1].explanation = outline.join(topics[-1].explanation, f"{fence}yaml\n{source}\n{fence}")
    if names := ", ".join(unknown):
        note.warnings.append(f"The front matter is kept in the text, as a note has no {names[:_NAMES_SHOWN]}.")
    if names := ", ".join(unusable):
        note.warnings.append(
            f"The front matter is kept in the text, as these fields are not valid in a note: {names[:_NAMES_SHOWN]}."
        )
