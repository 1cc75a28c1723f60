"""Front matter that a note has no field for: kept at the end of its text, and reported."""

from collections.abc import Iterable

from notes.markdown import outline
from notes.markdown.trees import ChapterTree, NoteTree, TopicTree

_NAMES_SHOWN = 200
"""In characters."""


def keep(note: NoteTree, source: str, *, unknown: Iterable[str] = (), unusable: Iterable[str] = ()) -> None:
    """Keep YAML in the last topic of a note.

    ``unknown``: its keys that no note has. ``unusable``: keys whose values are none that a note can have.
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
