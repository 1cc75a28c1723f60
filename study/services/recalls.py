"""Compares what students write from memory with their topics."""

from django.db import transaction
from django.utils import timezone

from notes.models import Topic
from notes.services import get_blocks
from study.models import Recall
from study.quizzes.recall import as_json, compare
from utils.http.errors import NotFound

RECALLS_KEPT = 100
"""Per student; a new recall deletes the oldest beyond that."""


def create_recall(*, user_id: int, topic_id: int, text: str) -> Recall:
    """Compare a text with a topic's blocks, and save the result.

    Raises ``NotFound`` with a pointer for another user's topic.
    """
    try:
        blocks = get_blocks(user_id=user_id, topic_id=topic_id).blocks
    except Topic.DoesNotExist as error:
        missing = {"pointer": "/topic_id", "code": "not_found", "detail": "There is no such topic."}
        raise NotFound(errors=[missing]) from error  # type: ignore[list-item]
    compared = compare([(block.id, block.kind, block.text) for block in blocks], text)
    recall = Recall(
        user_id=user_id,
        topic_id=topic_id,
        text=text,
        score=compared.score,
        blocks=as_json(compared.blocks),
        created_at=timezone.now(),
    )
    if not compared.blocks:
        recall.notice = "This topic has no text to recall."
    elif not compared.is_whole:
        recall.notice = "This topic is very long: only its beginning was compared."
    with transaction.atomic():
        Recall.objects.bulk_create([recall])
        Recall.objects.drop_oldest(user_id, kept=RECALLS_KEPT)
    return recall
