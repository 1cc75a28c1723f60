"""Writing AI answers to topics."""

from collections.abc import Sequence
from hashlib import sha256
from typing import NamedTuple

from django.db import transaction

from notes.blocks.stored import Block, BlockChanges, blocks_for_edit, decode, encode, new_blocks
from notes.models import Note, NoteVersion, Topic
from notes.services.budgets import charge_notes
from notes.services.editing import begin_edit
from notes.services.indexing import words_of_edit
from notes.services.links import write_links
from notes.sizes import text_size


class TopicTexts(NamedTuple):
    """A topic's content, read under its note's lock. ``stored`` is ``Topic.blocks``."""

    topic_id: int
    note_id: int
    title: str
    explanation: str
    stored: str | None
    code: str
    code_language: str


def text_hash(*texts: str) -> str:
    """SHA-256 of the texts in order, 64 hexadecimal digits. Texts contain no NUL, so it serves as the separator."""
    return sha256("\0".join(texts).encode()).hexdigest()


def apply_ai_answer(
    *,
    user_id: int,
    topic_id: int,
    expected_hash: str,
    explanation: str | None = None,
    code: str | None = None,
    code_language: str | None = None,
) -> bool:
    """Write an AI answer to the topic if the text that it replaces is unchanged; return whether it was written.

    ``expected_hash`` is ``text_hash(explanation)`` or ``text_hash(code, code_language)`` at submission, depending on
    the field to replace. False if that text has changed, or if the topic is deleted, in the trash or another user's.
    The note's previous state is kept as a version. Runs in the caller's transaction and its ``changing_pages_of``.
    Raises ``OverBudget`` for an answer that does not fit, and then leaves the note as it is.
    """
    topic = lock_topic(user_id=user_id, topic_id=topic_id)
    if topic is None:
        return False
    old = (topic.explanation,) if explanation is not None else (topic.code, topic.code_language)
    if expected_hash != text_hash(*old):
        return False
    with transaction.atomic():  # a savepoint: the caller records an answer that does not fit
        if explanation is not None:
            blocks, changes = blocks_for_edit(
                topic_id, before=topic.explanation, stored=topic.stored, after=explanation
            )
            _write_explanation(user_id, topic, explanation, blocks, changes)
        else:
            write_code(user_id=user_id, topic=topic, code=code or "", code_language=code_language)
    return True


def lock_topic(*, user_id: int, topic_id: int) -> TopicTexts | None:
    """Lock the topic's note until the transaction ends, and read the topic: three queries.

    None if it is deleted, in the trash or another user's.
    """
    note_id = Topic.objects.owned_by(user_id).filter(pk=topic_id).values_list("chapter__note_id", flat=True).first()
    if note_id is None:
        return None
    mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
    if mine.select_for_update(no_key=True).values_list("pk", flat=True).first() is None:
        return None
    topics = Topic.objects.filter(pk=topic_id, chapter__note_id=note_id)
    found = topics.values_list("title", "explanation", "blocks", "code", "code_language").first()
    return None if found is None else TopicTexts(topic_id, note_id, *found)


def blocks_of(topic: TopicTexts) -> list[Block]:
    """The blocks of a locked topic. If it has none yet, they are made; the note's version stays the same."""
    blocks = decode(topic.stored, topic.explanation)
    if blocks is None:
        blocks = new_blocks(topic.explanation)
        Topic.objects.filter(pk=topic.topic_id).update(blocks=encode(blocks))
    return blocks


def write_blocks(*, user_id: int, topic: TopicTexts, blocks: Sequence[Block]) -> None:
    """Write these blocks as a locked topic's explanation, and keep the note's previous state as a version (``ai``).

    Runs in the caller's transaction and its ``changing_pages_of``. Raises ``OverBudget``.
    """
    changes = BlockChanges()
    changes.add(topic.topic_id, decode(topic.stored, topic.explanation) or [], blocks)
    _write_explanation(user_id, topic, "".join(block.text for block in blocks), encode(blocks), changes)


def write_code(*, user_id: int, topic: TopicTexts, code: str, code_language: str | None) -> None:
    """The same for a locked topic's code; without a ``code_language``, the topic's language stays."""
    begin_edit(user_id=user_id, note_id=topic.note_id, reason=NoteVersion.Reason.AI)
    written = {"code": code} if code_language is None else {"code": code, "code_language": code_language}
    _update(user_id, topic, written)
    charge_notes(user_id=user_id, growth={topic.note_id: text_size(code) - text_size(topic.code)})


def _write_explanation(user_id: int, topic: TopicTexts, explanation: str, blocks: str, changes: BlockChanges) -> None:
    begin_edit(user_id=user_id, note_id=topic.note_id, reason=NoteVersion.Reason.AI)
    _update(user_id, topic, {"explanation": explanation}, blocks=blocks)
    write_links(user_id=user_id, texts={topic.topic_id: explanation}, before={topic.topic_id: topic.explanation})
    changes.notify()
    grown = text_size(explanation) - text_size(topic.explanation)
    charge_notes(user_id=user_id, growth={topic.note_id: grown})


def _update(user_id: int, topic: TopicTexts, written: dict[str, str], **more: str) -> None:
    texts = {"title": topic.title, "explanation": topic.explanation, "code": topic.code, **written}
    words = words_of_edit(user_id, note_id=topic.note_id, **texts)
    Topic.objects.filter(pk=topic.topic_id).update(**written, **more, words=words)
