"""Divides any Markdown text into chapters and topics. No text is lost.

Headings of the highest level in use begin chapters, and headings of the next level in use begin topics; deeper ones
stay in the topic's text. Text before the first heading goes to a chapter and a topic named after the note. Text between
a chapter's heading and its first topic goes to a topic named after the chapter.
"""

from dataclasses import dataclass

import pyromark

from notes.markdown.escaping import unescape
from notes.markdown.trees import ChapterTree, NoteTree, TopicTree

OPTIONS = (
    pyromark.Options.ENABLE_TABLES
    | pyromark.Options.ENABLE_FOOTNOTES
    | pyromark.Options.ENABLE_STRIKETHROUGH
    | pyromark.Options.ENABLE_TASKLISTS
    | pyromark.Options.ENABLE_MATH
)
UNTITLED = "Untitled"


@dataclass(slots=True)
class Section:
    """A heading and the text below it, up to the next heading of any level."""

    level: int
    title: str
    source: str
    """The heading's lines in the file."""
    body: str


@dataclass(slots=True)
class Document:
    """A file's parts in order."""

    preamble: str
    sections: list[Section]

    def take_title(self) -> str | None:
        """The text of the first ``#`` heading; None without one. The heading is removed if no text comes before it."""
        first = next((section for section in self.sections if section.level == 1 and section.title), None)
        if first is None:
            return None
        if first is self.sections[0]:
            self.sections.pop(0)
            self.preamble = join(self.preamble, first.body)
        return first.title


def parse(text: str) -> Document:
    """Split a text at its headings, except those in quotes and lists."""
    content = text.encode()
    depth = 0
    headings: list[tuple[int, int, int]] = []
    for event, span in pyromark.events_with_range(text, options=OPTIONS):
        match event:
            case {"Start": start}:
                if depth == 0 and isinstance(start, dict) and "Heading" in start:
                    headings.append((int(start["Heading"]["level"][1]), span["start"], span["end"]))
                depth += 1
            case {"End": _}:
                depth -= 1
    starts = [start for _, start, _ in headings]
    ends = [*starts[1:], len(content)][: len(starts)]
    preamble = content[: starts[0] if starts else None].decode()
    sections = []
    for (level, start, end), next_start in zip(headings, ends, strict=True):
        source = content[start:end].decode()
        sections.append(Section(level, _title(source), source, content[end:next_start].decode()))
    return Document(preamble, sections)


def build(document: Document, note: NoteTree) -> None:
    """Add the document's chapters and topics to the note, whose title is set already."""
    levels = sorted({section.level for section in document.sections})
    chapter_level = levels[0] if levels else 0
    topic_level = levels[1] if len(levels) > 1 else 0
    if document.preamble.strip():
        note.chapters.append(ChapterTree(note.title, [_topic(note.title, document.preamble)]))
    for section in document.sections:
        if section.level == chapter_level:
            chapter = ChapterTree(section.title or UNTITLED)
            note.chapters.append(chapter)
            if section.body.strip():
                chapter.topics.append(_topic(chapter.title, section.body))
            continue
        if not note.chapters:
            note.chapters.append(ChapterTree(note.title))
        topics = note.chapters[-1].topics
        if section.level == topic_level:
            topics.append(_topic(section.title or UNTITLED, section.body))
        else:
            if not topics:
                topics.append(TopicTree(note.chapters[-1].title))
            topics[-1].explanation = join(topics[-1].explanation, join(section.source, section.body))


def join(first: str, second: str) -> str:
    """Two texts with a blank line between them."""
    first, second = first.rstrip(), second.strip("\n").rstrip()
    return f"{first}\n\n{second}" if first and second else first or second


def _topic(title: str, body: str) -> TopicTree:
    return TopicTree(title, explanation=body.strip("\n").rstrip())


def _title(source: str) -> str:
    """The text of a heading in either of Markdown's two forms, on one line."""
    lines = source.strip().split("\n")
    if lines[0].startswith("#"):
        text = lines[0].lstrip("#").strip()
        without = text.rstrip("#")
        if without != text and (not without or without[-1] in " \t"):
            text = without
    else:
        text = " ".join(lines[:-1])
    return " ".join(unescape(text).split())
