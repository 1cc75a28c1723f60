"""All writes to notes. Each function is one transaction; functions of ``ai`` join their caller's transaction."""

from notes.services.ai import (
    TopicTexts,
    apply_ai_answer,
    blocks_of,
    lock_topic,
    text_hash,
    write_blocks,
    write_code,
)
from notes.services.attachments import (
    StoredFile,
    TooManyAttachments,
    add_attachment,
    delete_attachment,
    open_attachment,
    record_attachment,
    record_card_attachments,
    stored_file,
)
from notes.services.blocks import BLOCKS_MAX, TopicBlocks, get_blocks
from notes.services.budgets import AccountFull, NoteTooLarge, OverBudget, require_room
from notes.services.bulk import BULK_MAX, change_notes
from notes.services.chapters import create_chapter, delete_chapter, move_chapter, update_chapter
from notes.services.editing import MovedMeanwhile, NoteChanged, NoteState, on_notes_changed
from notes.services.notes import NoteData, create_note, delete_note, import_notes, restore_note, update_note
from notes.services.orphans import purge_orphans, register_texts
from notes.services.positions import CHAPTERS_MAX, TOPICS_MAX, OrderOutOfRange, TooManyChildren
from notes.services.shares import (
    TooManyShares,
    WrongSharePassword,
    copy_share,
    count_view,
    create_share,
    delete_share,
    drain_views,
    may_see,
)
from notes.services.topics import create_topic, delete_topic, move_topic, update_topic
from notes.services.trash import TrashChanged, empty_trash, purge_trash
from notes.services.versions import restore_version

__all__ = [
    "BLOCKS_MAX",
    "BULK_MAX",
    "CHAPTERS_MAX",
    "TOPICS_MAX",
    "AccountFull",
    "MovedMeanwhile",
    "NoteChanged",
    "NoteData",
    "NoteState",
    "NoteTooLarge",
    "OrderOutOfRange",
    "OverBudget",
    "StoredFile",
    "TooManyAttachments",
    "TooManyChildren",
    "TooManyShares",
    "TopicBlocks",
    "TopicTexts",
    "TrashChanged",
    "WrongSharePassword",
    "add_attachment",
    "apply_ai_answer",
    "blocks_of",
    "change_notes",
    "copy_share",
    "count_view",
    "create_chapter",
    "create_note",
    "create_share",
    "create_topic",
    "delete_attachment",
    "delete_chapter",
    "delete_note",
    "delete_share",
    "delete_topic",
    "drain_views",
    "empty_trash",
    "get_blocks",
    "import_notes",
    "lock_topic",
    "may_see",
    "move_chapter",
    "move_topic",
    "on_notes_changed",
    "open_attachment",
    "purge_orphans",
    "purge_trash",
    "record_attachment",
    "record_card_attachments",
    "register_texts",
    "require_room",
    "restore_note",
    "restore_version",
    "stored_file",
    "text_hash",
    "update_chapter",
    "update_note",
    "update_topic",
    "write_blocks",
    "write_code",
]
