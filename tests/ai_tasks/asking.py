"""Asking notes in tests: the API takes a question, a worker answers it, a model on loopback says what it is told to."""

import json
import uuid
from collections.abc import Iterable
from typing import Any

from ai_tasks.worker import Worker
from notes import services
from notes.models import Topic
from tests.factories import ChapterFactory, NoteFactory, TopicFactory

TASKS = "/api/ai/tasks/"
LIGHT = "The light reactions take place in the thylakoid membranes.\n\nThey split water and release oxygen.\n"


def body_of(question: str, **scope: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"question": question}
    return {"request_type": "ask", "request_data": {**data, "scope": scope} if scope else data}


def ask(client: Any, question: str, **scope: Any) -> dict[str, Any]:
    """The finished task, as the API shows it."""
    response = client.post(TASKS, body_of(question, **scope), format="json")
    assert response.status_code == 202, response.content
    Worker().execute(uuid.UUID(response.json()["task_id"]))
    return client.get(response["Location"]).json()


def answer_of(*sentences: tuple[str, list[tuple[str, str]]]) -> str:
    """What a model writes: sentences, each with its quotes as pairs of a block's id and words."""
    return json.dumps(
        {
            "sentences": [
                {"text": text, "quotes": [{"block_id": block_id, "text": quote} for block_id, quote in quotes]}
                for text, quotes in sentences
            ]
        }
    )


def blocks_of(topic: Topic, user: Any) -> list[Any]:
    return services.get_blocks(user_id=user.pk, topic_id=topic.pk).blocks


def topic_of(
    user: Any, title: str, text: str, *, note: str = "Photosynthesis", tags: Iterable[str] = (), **fields: Any
) -> Topic:
    chapter = ChapterFactory(title="Chapter", note=NoteFactory(user=user, title=note, tags=list(tags)))
    return TopicFactory(chapter=chapter, title=title, explanation=text, **fields)


def verdicts(task: dict[str, Any]) -> list[str]:
    return [sentence["verdict"] for sentence in task["result"]["sentences"]]
