"""A note read from a file: plain data, not yet checked against the limits of notes."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class TopicTree:
    title: str
    explanation: str = ""
    code: str = ""
    code_language: str = ""
    sources: list[dict[str, str]] = field(default_factory=list)
    id: int | None = None


@dataclass(slots=True)
class ChapterTree:
    title: str
    topics: list[TopicTree] = field(default_factory=list)
    id: int | None = None


@dataclass(slots=True)
class NoteTree:
    title: str
    status: str = "draft"
    tags: list[str] = field(default_factory=list)
    chapters: list[ChapterTree] = field(default_factory=list)
    id: int | None = None
    """The id of the exported note, which may be another user's."""
    version: int | None = None
    created_at: str = ""
    made_at: datetime | None = None
    changed_at: datetime | None = None
    """When the note was changed, according to the file; for a note that the import creates."""
    warnings: list[str] = field(default_factory=list)

    def times(self) -> dict[str, datetime]:
        """The timestamps, as ``notes.services.create_note`` takes them with the data."""
        times = {"created_at": self.made_at, "updated_at": self.changed_at}
        return {name: time for name, time in times.items() if time is not None}

    def as_data(self) -> dict[str, Any]:
        """The data that ``notes.services.create_note`` takes."""
        return {
            "title": self.title,
            "status": self.status,
            "tags": self.tags,
            "chapters": [
                {
                    "title": chapter.title,
                    "topics": [
                        {
                            "title": topic.title,
                            "explanation": topic.explanation,
                            "code": topic.code,
                            "code_language": topic.code_language,
                            "sources": topic.sources,
                        }
                        for topic in chapter.topics
                    ],
                }
                for chapter in self.chapters
            ],
        }
