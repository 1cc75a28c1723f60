"""Making a proposal of an answer.

It is compared with the text that was asked about, not with the one that the topic has when the answer comes: else to
accept it would undo what was edited meanwhile. So a task that proposes keeps that text, with its blocks and its note's
version, from its submission on.
"""

from typing import Any, Literal

from ai_tasks.models import AITask, Proposal
from notes.blocks.hunks import Hunk, Layout, compare, is_same_text
from notes.blocks.stored import Block, decode, edited_blocks
from notes.models import Topic
from notes.services import TopicTexts, blocks_of, lock_topic


def base_of(topic: Topic, field: Literal["explanation", "code"], *, version: int) -> dict[str, Any]:
    """What ``AITask.base`` keeps of a topic."""
    if field == "code":
        return {"version": version, "code": topic.code, "code_language": topic.code_language}
    return {"version": version, "explanation": topic.explanation, "blocks": topic.blocks}


def make_proposal(task: AITask, answer: dict[str, Any], *, field: str) -> Proposal | None:
    """Record what a task's answer would change, in the transaction that finishes the task.

    It takes the place of the field's open proposal. None if the topic is deleted, in the trash or another user's.
    """
    topic = None if task.topic_id is None else lock_topic(user_id=task.user_id, topic_id=task.topic_id)
    if topic is None:
        return None
    assert task.base is not None  # every task that proposes has one
    language = ""
    if field == Proposal.Field.CODE:
        language = answer["code_language"]
        hunks, layout = _compare_code(task.base, answer["code"], language)
    else:
        hunks, layout = _compare_text(task.base, answer["content"], topic)
    Proposal.objects.filter(topic_id=topic.topic_id, field=field, status=Proposal.Status.OPEN).update(
        status=Proposal.Status.SUPERSEDED
    )
    return Proposal.objects.create(
        task_id=task.pk,
        user_id=task.user_id,
        topic_id=topic.topic_id,
        field=field,
        base_version=task.base["version"],
        base_hash=task.source_hash,
        code_language=language,
        status=Proposal.Status.OPEN if hunks else Proposal.Status.RESOLVED,
        hunks=[hunk.as_json() for hunk in hunks],
        layout=layout.as_json(),
    )


def _compare_text(base: dict[str, Any], answer: str, topic: TopicTexts) -> tuple[list[Hunk], Layout]:
    text = base["explanation"]
    if answer == text.strip():  # what was asked about: AI gets a topic's text, and answers, without surrounding space
        return [], Layout([], [])
    blocks = decode(base["blocks"], text)
    return compare(_known_blocks(blocks_of(topic), text) if blocks is None else blocks, answer)


def _compare_code(base: dict[str, Any], code: str, language: str) -> tuple[list[Hunk], Layout]:
    if base["code_language"] == language and is_same_text(base["code"], code):
        return [], Layout([], [])
    return [Hunk(1, "replace", None, None, base["code"], code)], Layout([], [])


def _known_blocks(blocks: list[Block], base: str) -> list[Block]:
    """The blocks of the text that was asked about, whose topic had none then, by those that it has now."""
    return blocks if "".join(block.text for block in blocks) == base else edited_blocks(blocks, base)
