"""A note as one Markdown file, which ``notes.markdown.own_files`` reads back exactly.

    ---
    noteassist: 1
    id: 12
    ...
    ---

    # Title of the note

    <!-- noteassist:chapter 5 -->
    ## Title of the chapter

    <!-- noteassist:topic 7 -->
    ### Title of the topic

    The explanation, as it is.

    <!-- noteassist:code -->
    ```python
    print()
    ```

    <!-- noteassist:sources -->
    - [Title](https://example.com)

The comments mark where each part begins. A line of a text that looks like such a comment gets a backslash, so a text
may contain anything: headings, fences, front matter, another export.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

from notes.markdown import front_matter
from notes.markdown.escaping import escape_address, escape_title

FORMAT = 1
"""The version of the format. Raise it if reading must change."""
_LOOKS_LIKE_A_MARKER = re.compile(r"^(?=\\*<!-- noteassist:)", re.MULTILINE)


def note_head(note: Mapping[str, Any]) -> str:
    """The file's beginning. ``note`` has the fields of ``notes.contents.NOTE_SHOWN``."""
    values = {
        "noteassist": FORMAT,
        "id": note["id"],
        "version": note["version"],
        "created_at": timestamp(note["created_at"]),
        "updated_at": timestamp(note["updated_at"]),
        "title": note["title"],
        "status": str(note["status"]),
        "tags": list(note["tags"]),
    }
    return f"{front_matter.dump(values)}\n# {escape_title(note['title'])}\n"


def chapter_head(chapter: Mapping[str, Any]) -> str:
    return f"\n<!-- noteassist:chapter {chapter['id']} -->\n## {escape_title(chapter['title'])}\n"


def topic_text(topic: Mapping[str, Any]) -> str:
    """A topic with all its fields. ``topic`` has the fields of ``notes.contents.TOPIC_SHOWN``."""
    return "".join(_topic(topic))


def note_text(note: Mapping[str, Any]) -> str:
    """The whole file. ``note`` is a note as the API shows it."""
    return "".join(_note(note))


def timestamp(time: datetime | str) -> str:
    """A timestamp as the API shows it; a text is returned unchanged."""
    if isinstance(time, str):
        return time
    return time.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def fence_for(code: str) -> str:
    """A fence longer than any in the code."""
    return "`" * max(3, _longest_run(code, "`") + 1)


def _note(note: Mapping[str, Any]) -> Iterator[str]:
    yield note_head(note)
    for chapter in note["chapters"]:
        yield chapter_head(chapter)
        for topic in chapter["topics"]:
            yield from _topic(topic)


def _topic(topic: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n<!-- noteassist:topic {topic['id']} -->\n### {escape_title(topic['title'])}\n"
    if topic["explanation"]:
        yield f"\n{_as_text(topic['explanation'])}\n"
    if topic["code"] or topic["code_language"]:
        fence = fence_for(topic["code"])
        yield f"\n<!-- noteassist:code -->\n{fence}{topic['code_language']}\n{_as_text(topic['code'])}\n{fence}\n"
    if topic["sources"]:
        yield f"\n<!-- noteassist:sources -->\n{''.join(_source_lines(topic['sources']))}"


def _source_lines(sources: Iterable[Mapping[str, str]]) -> Iterator[str]:
    return (f"- [{escape_title(source['title'])}]({escape_address(source['url'])})\n" for source in sources)


def _as_text(text: str) -> str:
    return _LOOKS_LIKE_A_MARKER.sub(r"\\", text)


def _longest_run(text: str, character: str) -> int:
    return max((len(list(run)) for found, run in groupby(text) if found == character), default=0)
