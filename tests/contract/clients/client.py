"""openapi-python-client. The package beside this file is ``note_assist_ai_client``."""

import json
import sys
from typing import TypeVar

from note_assist_ai_client import AuthenticatedClient, Client
from note_assist_ai_client.api.ai import create_task, get_task, stream_task
from note_assist_ai_client.api.auth import refresh_tokens, register
from note_assist_ai_client.api.notes import create_note, get_note, update_note
from note_assist_ai_client.api.notifications import list_pending_notifications
from note_assist_ai_client.api.topics import update_topic
from note_assist_ai_client.models import (
    AcceptedTask,
    ChapterInNote,
    GenerateCodeData,
    GenerateCodeRequest,
    NewChapterRequest,
    Note,
    NoteCreateRequest,
    NoteStatusEnum,
    PatchedNoteWriteRequest,
    PatchedTopicWriteRequest,
    Pending,
    Problem,
    RefreshRequest,
    RegistrationRequest,
    SignedIn,
    Task,
    TaskStatusEnum,
    TokenPair,
    Topic,
    TopicWriteRequest,
)

T = TypeVar("T")


def got(kind: type[T], answer: object) -> T:
    assert isinstance(answer, kind), answer
    return answer


def main(base_url: str) -> None:
    nobody = Client(base_url=base_url)
    account = RegistrationRequest(email="python@example.com", name="Ada", password="correct-horse-battery")
    signed_in = got(SignedIn, register.sync(client=nobody, body=account))
    pair = got(TokenPair, refresh_tokens.sync(client=nobody, body=RefreshRequest(refresh=signed_in.refresh)))
    client = AuthenticatedClient(base_url=base_url, token=pair.access)

    new_topic = TopicWriteRequest(
        title="For", explanation="A loop repeats.", code="for n in x: pass", code_language="Python"
    )
    new_note = NoteCreateRequest(
        title="Loops",
        status=NoteStatusEnum.PUBLISHED,
        tags=["python"],
        chapters=[NewChapterRequest(title="Basics", topics=[new_topic])],
    )
    note = got(Note, create_note.sync(client=client, body=new_note, idempotency_key="note-1"))
    chapter: ChapterInNote = note.chapters[0]
    topic = chapter.topics[0]

    rename = PatchedTopicWriteRequest(title="For loops")
    renamed = got(Topic, update_topic.sync(topic.id, client=client, body=rename))
    assert renamed.title == "For loops"
    for name in ("explanation", "code", "code_language"):
        assert getattr(renamed, name) == getattr(new_topic, name)
    note_rename = PatchedNoteWriteRequest(title="All loops")
    renamed_note = got(Note, update_note.sync(note.id, client=client, body=note_rename))
    assert (renamed_note.title, renamed_note.status, renamed_note.tags) == (
        "All loops",
        NoteStatusEnum.PUBLISHED,
        ["python"],
    )

    question = GenerateCodeRequest(
        request_type="generate_code", request_data=GenerateCodeData(language="Python"), topic_id=topic.id
    )
    task = got(AcceptedTask, create_task.sync(client=client, body=question))
    # The generated function would wait for the whole stream: its request is sent, and the answer read as it comes.
    ends = []
    with client.get_httpx_client().stream(**stream_task._get_kwargs(task.id)) as response:
        for line in response.iter_lines():
            if line.startswith("data: ") and "finished_at" in line:
                ends.append(Task.from_dict(json.loads(line.removeprefix("data: "))))
    assert [end.status for end in ends] == [TaskStatusEnum.SUCCEEDED]
    assert got(Task, get_task.sync(task.id, client=client)).status == TaskStatusEnum.SUCCEEDED

    pending = got(Pending, list_pending_notifications.sync(client=client))
    assert [entry.action_id for entry in pending.results] == [str(task.id)]
    assert got(Problem, get_note.sync(note.id + 1000, client=client)).code == "not_found"
    print("python: ok")


main(sys.argv[1])
