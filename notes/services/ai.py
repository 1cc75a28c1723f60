"""How an answer of AI gets into a topic."""

from hashlib import sha256

from notes.models import Note, NoteVersion, Topic
from notes.services.editing import begin_edit


def text_hash(*texts: str) -> str:
    """A digest of texts in their order: 64 hexadecimal digits. Texts hold no NUL, so it parts them."""
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
    """Write an answer into the topic, if what it replaces is still what AI was given; whether it was written.

    ``expected_hash`` is ``text_hash(explanation)`` or ``text_hash(code, code_language)`` of then, by the field to be
    replaced. False where that text has changed, or the topic is gone, in the trash or another user's. What the note was
    before is kept as a version. Runs in the caller's transaction and its ``changing_pages_of``.
    """
    note_id = Topic.objects.owned_by(user_id).filter(pk=topic_id).values_list("chapter__note_id", flat=True).first()
    if note_id is None:
        return False
    mine = Note.objects.owned_by(user_id).live().filter(pk=note_id)
    if mine.select_for_update(no_key=True).values_list("pk", flat=True).first() is None:
        return False
    topics = Topic.objects.filter(pk=topic_id, chapter__note_id=note_id)
    current = topics.values_list("explanation", "code", "code_language").first()
    if current is None:
        return False
    old_explanation, *old_code = current
    if expected_hash != (text_hash(old_explanation) if explanation is not None else text_hash(*old_code)):
        return False
    begin_edit(user_id=user_id, note_id=note_id, reason=NoteVersion.Reason.AI)
    answer = {"explanation": explanation, "code": code, "code_language": code_language}
    topics.update(**{name: text for name, text in answer.items() if text is not None})
    return True
