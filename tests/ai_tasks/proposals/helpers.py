"""Proposals for tests: made as users get theirs, by a task that a worker finishes."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from django.http import HttpResponse
from rest_framework.test import APIClient

from accounts.models import User
from ai_tasks import ledger
from ai_tasks.answering import Answer
from ai_tasks.models import AITask, Proposal
from notes import services as notes
from notes.models import NoteVersion, Topic
from tests.ai_tasks.ledger_helpers import ANSWER

PROPOSALS = "/api/proposals/"
A, B, C = "A loop repeats.\n\n", "It runs a block of code again and again.\n\n", "It ends at some point."
TEXT = A + B + C
NEW = "# Loops\n\n" + A + "It runs a block of code until it ends.\n\n" + "Mind loops that never end."
"""Inserts 1, replaces B by 2, and, in this order, inserts 3 and deletes C by 4."""


def answer(content: str, **more: Any) -> Answer:
    return replace(ANSWER, result={**ANSWER.result, "content": content, **more})


def make_topic(user: User, explanation: str, **more: Any) -> Topic:
    """A topic with the blocks that every write gives it."""
    chapters = [{"title": "c", "topics": [{"title": "Loops", "explanation": explanation, **more}]}]
    note = notes.create_note(user_id=user.pk, data={"title": "n", "chapters": chapters})
    return Topic.objects.get(pk=note["chapters"][0]["topics"][0]["id"])


def ask(topic: Topic, user: User, request_type: str = "generate_explanation", **data: str) -> AITask:
    return ledger.submit(
        user_id=user.pk, request_type=request_type, request_data=data, topic_id=topic.pk, apply="propose"
    ).task


def finish(task: AITask, content: str, **more: Any) -> AITask:
    attempt = ledger.claim(task.pk)
    assert attempt is not None
    return ledger.succeed(attempt, answer(content, **more))


def propose(topic: Topic, user: User, content: str) -> Proposal:
    """A proposal to make this text of the topic's explanation."""
    task = finish(ask(topic, user), content)
    assert task.result is not None
    return Proposal.objects.get(pk=task.result["proposal_id"])


def block_ids(topic: Topic) -> list[str]:
    user_id = topic.chapter.note.user_id
    return [block.id for block in notes.get_blocks(user_id=user_id, topic_id=topic.pk).blocks]


def text_of(topic: Topic) -> str:
    return Topic.objects.values_list("explanation", flat=True).get(pk=topic.pk)


def edit(topic: Topic, explanation: str) -> None:
    user_id = topic.chapter.note.user_id
    notes.update_topic(user_id=user_id, topic_id=topic.pk, changes={"explanation": explanation})


def decide(
    client: APIClient, proposal: Proposal, *, accept: Iterable[int] = (), reject: Iterable[int] = (), **headers: str
) -> HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = {"accept": list(accept), "reject": list(reject)}
    return client.post(f"{PROPOSALS}{proposal.pk}/decide/", body, format="json", headers=named)


def hunks_of(shown: dict[str, Any]) -> dict[int, dict[str, Any]]:
    return {hunk["n"]: hunk for hunk in shown["hunks"]}


def statuses(shown: dict[str, Any]) -> list[str]:
    return [hunk["status"] for hunk in shown["hunks"]]


def versions() -> list[tuple[int, str]]:
    return list(NoteVersion.objects.order_by("version").values_list("version", "reason"))
