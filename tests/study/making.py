"""Making cards in tests: the API takes a request, a worker answers it, a model on loopback says what it is told to."""

import json
import uuid
from typing import Any

from ai_tasks.worker import Worker
from notes import services as notes
from notes.blocks.stored import Block
from study.models import Card

TASKS = "/api/ai/tasks/"
TEXT = "# Stacks\n\nA stack is a list with one end.\n\nA queue is a list with two ends.\n"


def submitted(client: Any, topic_id: int | None, **data: Any) -> Any:
    body = {"request_type": "make_cards", "request_data": data, "topic_id": topic_id}
    return client.post(TASKS, body, format="json")


def make_cards(client: Any, topic_id: int, **data: Any) -> dict[str, Any]:
    """The finished task, as the API shows it."""
    response = submitted(client, topic_id, **data)
    assert response.status_code == 202, response.content
    Worker().execute(uuid.UUID(response.json()["task_id"]))
    return client.get(response["Location"]).json()


def answer_of(*cards: dict[str, Any]) -> str:
    """What a model writes."""
    return json.dumps({"cards": [{"kind": "basic", "back": "", **card} for card in cards]})


def topic_with(user: Any, text: str) -> int:
    """A topic of a new note, with this text."""
    chapters = [{"title": "c", "topics": [{"title": "Stacks", "explanation": text}]}]
    note = notes.create_note(user_id=user.pk, data={"title": "Heart", "chapters": chapters})
    return note["chapters"][0]["topics"][0]["id"]


def blocks_of(user: Any, topic_id: int) -> list[Block]:
    return notes.get_blocks(user_id=user.pk, topic_id=topic_id).blocks


def edit(user: Any, topic_id: int, text: str) -> None:
    notes.update_topic(user_id=user.pk, topic_id=topic_id, changes={"explanation": text})


def rows() -> list[tuple[str, str | None, bool]]:
    """The front, the block and whether it is proposed of each card, in the order in which they were made."""
    return list(Card.objects.order_by("created_at").values_list("front", "block_id", "proposed"))
