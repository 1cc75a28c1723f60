"""The fields of notes, chapters and topics, each listed once.

Reads, serializers, snapshots, restored versions and exports use these lists. So a field that is added to a model and to
its list here appears in all of them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

NOTE_WRITTEN = ("title", "status", "tags")
"""The fields that users write and snapshots keep."""
NOTE_SHOWN = ("id", *NOTE_WRITTEN, "version", "created_at", "updated_at")

CHAPTER_WRITTEN = ("title",)
CHAPTER_SHOWN = ("id", "title", "order")

TOPIC_WRITTEN = ("title", "explanation", "code", "code_language", "sources")
TOPIC_SHOWN = ("id", "title", "order", *TOPIC_WRITTEN[1:])

TOPIC_KEPT = (*TOPIC_WRITTEN, "blocks")
"""The fields that snapshots keep: what users write, and the blocks' ids."""


def written_fields(row: Any, names: Sequence[str]) -> dict[str, Any]:
    """The row's values of these fields."""
    return {name: getattr(row, name) for name in names}


def shown_of_snapshot(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """A snapshot as the API shows it: the fields that users write, with the ids of chapters and topics."""
    return {
        **fields_of_snapshot(snapshot, NOTE_WRITTEN),
        "chapters": [
            {
                "id": chapter["id"],
                **fields_of_snapshot(chapter, CHAPTER_WRITTEN),
                "topics": [
                    {"id": topic["id"], **fields_of_snapshot(topic, TOPIC_WRITTEN)} for topic in chapter["topics"]
                ],
            }
            for chapter in snapshot["chapters"]
        ],
    }


def fields_of_snapshot(snapshot: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The snapshot's values of these fields; a field that an older snapshot lacks gets the model's default."""
    return {name: snapshot[name] for name in names if name in snapshot}
