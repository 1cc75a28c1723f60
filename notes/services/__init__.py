"""Every write to notes: keyword-only verbs, each one transaction (``apply_ai_answer`` joins its caller's)."""

from notes.services.ai import apply_ai_answer, text_hash
from notes.services.chapters import create_chapter, delete_chapter, move_chapter, update_chapter
from notes.services.editing import MovedMeanwhile, NoteChanged, NoteState
from notes.services.notes import NoteData, create_note, delete_note, import_notes, restore_note, update_note
from notes.services.positions import CHAPTERS_MAX, TOPICS_MAX, OrderOutOfRange, TooManyChildren
from notes.services.topics import create_topic, delete_topic, move_topic, update_topic
from notes.services.versions import restore_version

__all__ = [
    "CHAPTERS_MAX",
    "TOPICS_MAX",
    "MovedMeanwhile",
    "NoteChanged",
    "NoteData",
    "NoteState",
    "OrderOutOfRange",
    "TooManyChildren",
    "apply_ai_answer",
    "create_chapter",
    "create_note",
    "create_topic",
    "delete_chapter",
    "delete_note",
    "delete_topic",
    "import_notes",
    "move_chapter",
    "move_topic",
    "restore_note",
    "restore_version",
    "text_hash",
    "update_chapter",
    "update_note",
    "update_topic",
]
