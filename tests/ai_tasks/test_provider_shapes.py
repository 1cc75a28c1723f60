"""``provider_shapes.yaml``: what servers really send, from the API through a real worker to the topic, and back."""

import gzip
import json
import uuid
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import redis
import yaml
from django.conf import settings
from django.utils import timezone
from rest_framework.test import APIClient

from ai_tasks.ledger.applying import ApplyOutcome
from ai_tasks.models import AITask, ProviderState
from ai_tasks.progress import events_key
from ai_tasks.providers.openai_compatible import parameters
from ai_tasks.worker import Worker
from notes.models import NoteVersion, Topic
from notifications.models import Notification
from tests.conftest import client_of
from tests.factories import TopicFactory
from tests.openai_behaviours import BEHAVIOURS, MODEL, envelope
from tests.openai_server import Handler, OpenAIServer
from tests.processes import wait_until
from tests.streams.conftest import read_all

pytestmark = pytest.mark.django_db(transaction=True)

SHAPES: dict[str, list[dict[str, Any]]] = yaml.safe_load(
    Path(__file__).with_name("provider_shapes.yaml").read_text(encoding="utf-8")
)
TASKS = "/api/ai/tasks/"
TEXT, CODE = "What the student wrote, which is long and dear to them.", "theirs()\n"
REQUESTS = {
    "generate_explanation": {"level": "beginner"},
    "generate_code": {"language": "Python"},
}


# --- Sending a shape --------------------------------------------------------------------------------------------------


def send_shape(handler: Handler, shape: dict[str, Any]) -> None:
    if "reply" in shape:
        send_reply(handler, **shape["reply"])
    elif "document" in shape:
        document = shape["document"].get("json") or envelope("chat.completion", MODEL, choices=[shape["document"]])
        headers = {"Content-Type": shape.get("type", "application/json")}
        send_reply(handler, 200, text=json.dumps(document), headers=headers)
    else:
        send_stream(handler, shape)


def send_reply(
    handler: Handler,
    status: int,
    text: str = "",
    json: Any = None,
    headers: dict[str, str] | None = None,
    packed: str = "",
    blank_lines: int = 0,
) -> None:
    body = b"\n" * blank_lines + (text.encode() if json is None else dumped(json))
    if packed:
        body = {"gzip": gzip.compress, "deflate": zlib.compress}[packed](body)
        headers = {**(headers or {}), "Content-Encoding": packed}
    handler.send_response(status)
    for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
        date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        handler.send_header(name, date if value == "IN_90_SECONDS" else value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode()


def send_stream(handler: Handler, shape: dict[str, Any]) -> None:
    handler.send_response(200)
    content_type = shape.get("type", "text/event-stream")
    if content_type:
        handler.send_header("Content-Type", content_type)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for event in shape["stream"]:
        match event:
            case str():
                handler.send_delta(MODEL, content=event)
            case {"repeat": text, "times": times}:
                handler.send_delta(MODEL, content=text * times)
            case {"delta": delta}:
                handler.send_delta(MODEL, **delta)
            case {"finish": reason}:
                handler.send_delta(MODEL, reason)
            case {"chunk": chunk}:
                handler.send_event(chunk)
            case {"raw": text}:
                handler.send_bytes(text.encode())
            case {"bytes": [before, cut, after]}:
                handler.send_bytes(before.encode()[:-cut])
                handler.send_bytes(before.encode()[-cut:] + after.encode())
            case {"until": "told"}:
                wait_until(handler.server.is_told)
            case {"hang": True}:
                handler.wait_until_left()
                return
            case {"break": True}:
                handler.close_connection = True
                return
            case _:
                raise AssertionError(event)
    if shape.get("done", True):
        handler.send_bytes(b"data: [DONE]\n\n")
    handler.wfile.write(b"0\r\n\r\n")


@pytest.fixture
def shaped_server(openai_server, monkeypatch) -> Iterator[OpenAIServer]:
    """A server whose n-th request gets the n-th of the shapes that it was given."""

    def shaped(handler: Handler, _body: dict[str, Any]) -> None:
        send_shape(handler, handler.server.shapes.pop(0))

    monkeypatch.setitem(BEHAVIOURS, "shaped", shaped)
    openai_server.state.default = "shaped"
    return openai_server


# --- What must come of it ---------------------------------------------------------------------------------------------


def expanded(text: str | dict[str, Any] | None) -> str | None:
    return (text["repeat"] * text["times"] + text["then"]).strip() if isinstance(text, dict) else text


def told_text(client: APIClient, task_id: str) -> tuple[str, int, dict[str, Any]]:
    """The text that a watcher has at the end, how often it began anew, and the last event's task."""
    text, restarts = "", 0
    *events, last = read_all(client.get(f"{TASKS}{task_id}/events/"))
    for event in events:
        if event.event == "task.restarted":
            text, restarts = "", restarts + 1
        elif event.event == "task.delta":
            assert event.data["offset"] == len(text)
            text += event.data["text"]
    assert last.event == f"task.{last.data['status']}"
    return text.strip(), restarts, last.data


def is_told(task_id: str) -> bool:
    """Whether watchers were told some of the answer's text."""
    with redis.Redis.from_url(settings.REDIS_URL) as client:
        return any(fields[b"event"] == b"task.delta" for _, fields in client.xrange(events_key(uuid.UUID(task_id))))


def submit(client: APIClient, shape: dict[str, Any], topic: Topic) -> tuple[int, dict[str, Any]]:
    ask = shape.get("ask", "generate_explanation")
    body = {"request_type": ask, "topic_id": topic.pk, "apply": True, "request_data": REQUESTS[ask]}
    response = client.post(TASKS, body, format="json")
    return response.status_code, response.json()


def check(client: APIClient, server: OpenAIServer, shape: dict[str, Any]) -> None:
    topic = TopicFactory(chapter__note__user=client.user, explanation=TEXT, code=CODE, code_language="Python")
    expect = {"status": "succeeded", "calls": 1, **shape["expect"]}
    parameters.forget()
    ProviderState.objects.all().delete()  # no outage of the shape before
    server.state.requests.clear()
    server.shapes = [shape, *shape.get("then", [])]

    status, accepted = submit(client, shape, topic)
    assert status == 202
    assert accepted["applicable"] is False
    server.is_told = lambda: is_told(accepted["task_id"])
    asked_at = timezone.now()
    Worker().execute(uuid.UUID(accepted["task_id"]))

    task = client.get(f"{TASKS}{accepted['task_id']}/").json()
    assert (task["status"], (task["error"] or {}).get("code")) == (expect["status"], expect.get("error"))
    requests = server.state.requests
    assert len(requests) == expect["calls"]
    assert all(name not in requests[-1]["body"] for name in expect.get("without", []))
    assert "Vendor" not in json.dumps(task)
    if "detail" in expect:
        assert task["error"]["detail"] == task["message"] == expect["detail"]
    if "tokens" in expect:
        counted = dict(zip(("input_tokens", "output_tokens"), expect["tokens"], strict=True))
        assert task["usage"] == {**counted, "estimated": False, "cost": None}
    if expect["status"] == "waiting_provider":
        check_it_waits(client, task, topic, asked_at, expect.get("wait", 0))
    else:
        check_it_ended(client, shape, task, topic, expect)


def check_it_waits(client: APIClient, task: dict, topic: Topic, asked_at: datetime, seconds: float) -> None:
    assert task["result"] is None
    assert AITask.objects.get(pk=task["id"]).next_attempt_at >= asked_at + timedelta(seconds=seconds)
    assert topic_now(topic) == (TEXT, CODE)
    assert client.post(f"{TASKS}{task['id']}/cancel/").status_code == 202


def check_it_ended(client: APIClient, shape: dict[str, Any], task: dict, topic: Topic, expect: dict[str, Any]) -> None:
    is_whole = expect["status"] == "succeeded"
    content, code = expanded(expect.get("content")), expect.get("code")
    if content is None:
        assert task["result"] is None
    else:
        result = dict(task["result"])
        notice = result.pop("notice")
        language = "Python" if code else None
        assert result == {"content": content, "code": code, "code_language": language, "sources": []}
        assert (notice is None) == is_whole
    text, restarts, told = told_text(client, task["id"])
    assert told == task
    assert text == expect.get("told", content or "")
    if "restarts" in expect:  # else it depends on when the text was told
        assert restarts == expect["restarts"]

    assert task["applicable"] is is_whole
    assert (task["applied_at"] is not None) is is_whole
    assert (task["message"] == ApplyOutcome.APPLIED) is is_whole
    changed = {"explanation": content} if code is None else {"code": code}
    wanted = {"explanation": TEXT, "code": CODE, **(changed if is_whole else {})}
    assert topic_now(topic) == (wanted["explanation"], wanted["code"])
    assert NoteVersion.objects.filter(note=topic.chapter.note).count() == int(is_whole)
    assert Notification.objects.get(action_id=task["id"]).type == ("success" if is_whole else "error")

    # The topic as it was, the same is asked for again: only what is whole is given once more.
    Topic.objects.filter(pk=topic.pk).update(explanation=TEXT, code=CODE)
    status, again = submit(client, shape, topic)
    assert (status, again["cached"], again["id"] == task["id"]) == (200 if is_whole else 202, is_whole, False)
    if not is_whole:
        assert client.post(f"{TASKS}{again['id']}/cancel/").status_code == 202
        retried = client.post(f"{TASKS}{task['id']}/retry/")
        assert (retried.status_code, retried.json()["retry_of"]) == (202, task["id"])


def topic_now(topic: Topic) -> tuple[str, str]:
    return Topic.objects.values_list("explanation", "code").get(pk=topic.pk)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("group", SHAPES)
def test_what_servers_send_ends_as_the_table_says(group, alice, shaped_server, no_limits, subtests):
    client = client_of(alice)
    client.user = alice
    for shape in SHAPES[group]:
        with subtests.test(shape=shape["name"]):
            check(client, shaped_server, shape)


def test_the_table_is_large_and_names_no_shape_twice():
    names = [(group, shape["name"]) for group, shapes in SHAPES.items() for shape in shapes]

    assert len(names) >= 60
    assert len(set(names)) == len(names)
    assert all(isinstance(name, str) for _, name in names)
