"""What a student sees of an answer later: whether what it quotes still stands, at every way to the answer."""

import json
import zipfile
from decimal import Decimal
from io import BytesIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ai_tasks import reads
from ai_tasks.models import AITask
from ai_tasks.serializers import TaskSerializer
from NoteAssist_AI.ai_settings import Price
from notes import services
from notes.models import Topic
from tests.ai_tasks.asking import TASKS, answer_of, ask, blocks_of, body_of
from tests.conftest import client_of
from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, TopicFactory
from utils.http.json import dumps

ONE, TWO = "The first paragraph says one thing.", "The second paragraph says another."
QUESTION = "What does the first paragraph say?"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def topic(alice) -> Topic:
    note = services.create_note(
        user_id=alice.pk,
        data={
            "title": "Paragraphs",
            "chapters": [{"title": "C", "topics": [{"title": "T", "explanation": f"{ONE}\n\n{TWO}\n"}]}],
        },
    )
    return Topic.objects.get(pk=note["chapters"][0]["topics"][0]["id"])


@pytest.fixture
def task(alice, alice_client, topic, openai_server) -> dict:
    """An answer that quotes both paragraphs."""
    first, second = blocks_of(topic, alice)
    openai_server.state.answer = answer_of(("Both.", [(first.id, ONE), (second.id, TWO)]))
    return ask(alice_client, QUESTION)


def states(client, task) -> list[str]:
    shown = client.get(f"{TASKS}{task['id']}/").json()
    return [quote["state"] for sentence in shown["result"]["sentences"] for quote in sentence["quotes"]]


def write(alice, topic, text):
    services.update_topic(user_id=alice.pk, topic_id=topic.pk, changes={"explanation": text})


def test_an_edit_of_a_quoted_block_shows_with_its_etag(alice, alice_client, topic, task):
    path = f"{TASKS}{task['id']}/"
    before = alice_client.get(path)
    assert states(alice_client, task) == ["current", "current"]
    assert alice_client.get(path, headers={"If-None-Match": before["ETag"]}).status_code == 304

    write(alice, topic, f"{ONE}\n\n{TWO} Perhaps.\n")

    after = alice_client.get(path, headers={"If-None-Match": before["ETag"]})
    assert after.status_code == 200
    assert states(alice_client, task) == ["current", "changed"]
    write(alice, topic, f"A new paragraph.\n\n{ONE}\n\n{TWO}\n")
    assert states(alice_client, task) == ["current", "current"]  # the text of a block decides, not its place
    write(alice, topic, f"{TWO}\n")
    assert states(alice_client, task) == ["gone", "current"]


def test_what_is_in_the_trash_is_gone_until_it_is_back(alice, alice_client, topic, task):
    note_id = topic.chapter.note_id

    services.delete_note(user_id=alice.pk, note_id=note_id)
    in_trash = states(alice_client, task)
    services.restore_note(user_id=alice.pk, note_id=note_id)
    back = states(alice_client, task)
    services.delete_topic(user_id=alice.pk, topic_id=topic.pk)

    assert (in_trash, back, states(alice_client, task)) == (["gone"] * 2, ["current"] * 2, ["gone"] * 2)


def test_a_topic_that_moved_is_named_where_it_is(alice, alice_client, topic, task):
    chapter = ChapterFactory(note=NoteFactory(user=alice))

    services.move_topic(user_id=alice.pk, topic_id=topic.pk, order=0, chapter_id=chapter.pk)

    (sentence,) = alice_client.get(f"{TASKS}{task['id']}/").json()["result"]["sentences"]
    assert {quote["note_id"] for quote in sentence["quotes"]} == {chapter.note_id}
    assert states(alice_client, task) == ["current", "current"]


def test_every_way_to_the_task_shows_the_same(alice, alice_client, topic, task):
    write(alice, topic, f"{ONE}\n\n{TWO} Perhaps.\n")
    row = AITask.objects.get(pk=task["id"])

    shown = json.loads(dumps(TaskSerializer(row).data))
    end = b"".join(alice_client.get(f"{TASKS}{task['id']}/events/").streaming_content).decode()

    assert json.loads(dumps(reads.detail(row.pk, user_id=alice.pk))) == shown
    assert json.loads(end.split("event: task.succeeded\ndata: ")[1].split("\n")[0]) == shown
    assert [quote["state"] for quote in shown["result"]["sentences"][0]["quotes"]] == ["current", "changed"]
    assert set(shown["result"]["sentences"][0]["quotes"][0]) == {
        "note_id", "topic_id", "block_id", "start", "end", "text", "state",
    }  # fmt: skip


def test_no_json_is_streamed_and_no_sentence_before_it_is_checked(alice, alice_client, topic, task):
    stream = b"".join(alice_client.get(f"{TASKS}{task['id']}/events/").streaming_content).decode()

    deltas = [json.loads(line[6:]) for line in stream.split("\n") if line.startswith("data: ") and '"text":' in line]
    texts = [delta["text"] for delta in deltas if "offset" in delta]
    assert texts == ["Both."]
    assert "task.restarted" not in stream
    assert "Writing the answer" in stream


def test_another_task_costs_what_it_did_and_an_answer_one_query_more(alice, alice_client, topic, task, warm):
    other = AITaskFactory(user=alice, status="succeeded", result={"content": "x"})
    nothing = AITaskFactory(user=alice, request_type="ask", status="queued")
    warm(alice_client)
    counts = []
    for pk in (other.pk, nothing.pk, task["id"]):
        with CaptureQueriesContext(connection) as queries:
            assert alice_client.get(f"{TASKS}{pk}/").status_code == 200
        counts.append(len(queries))

    assert counts == [1, 1, 2]


def test_the_list_shows_no_answers(alice_client, task, django_assert_num_queries, warm):
    warm(alice_client)

    with django_assert_num_queries(1):
        (row,) = alice_client.get(TASKS).json()["results"]

    assert "result" not in row
    assert row["request_type"] == "ask"


def test_a_strangers_answer_does_not_exist(charlie, task):
    assert client_of(charlie).get(f"{TASKS}{task['id']}/").status_code == 404


def test_a_quote_of_ones_own_is_compared_with_ones_own_notes_only(alice, charlie, charlie_client, task):
    """A row that names a block of another's, as no code of ours writes it, shows nothing of that block."""
    row = AITask.objects.get(pk=task["id"])
    copied = AITaskFactory(user=charlie, request_type="ask", status="succeeded", result=row.result)

    assert states(charlie_client, {"id": copied.pk}) == ["gone", "gone"]


def test_usage_and_export_have_questions_with_their_cost(alice, alice_client, topic, openai_server, settings):
    settings.AI_PRICES = {settings.AI_MODEL: Price(input=Decimal(1), output=Decimal(2))}
    openai_server.state.answer = answer_of(("x", []))
    task = ask(alice_client, QUESTION)

    usage = alice_client.get("/api/ai/usage/").json()["features"]["ask"]
    export = b"".join(alice_client.get("/api/users/me/export/").streaming_content)
    (kept,) = json.loads(zipfile.ZipFile(BytesIO(export)).read("ai_tasks.json"))

    assert usage == {"tasks": 1, **{name: task["usage"][name] for name in ("input_tokens", "output_tokens", "cost")}}
    assert float(task["usage"]["cost"]["amount"]) > 0
    assert (kept["request_data"], kept["result"]["sentences"][0]["text"]) == ({"question": QUESTION}, "x")
    assert float(kept["cost"]) == float(task["usage"]["cost"]["amount"])


def test_a_question_is_asked_again_by_retry(alice_client, task, openai_server):
    again = alice_client.post(f"{TASKS}{task['id']}/retry/")

    assert (again.status_code, again.json()["retry_of"]) == (202, task["id"])
    assert again.json()["request_data"] == body_of(QUESTION)["request_data"]


def test_a_prompt_holds_no_more_than_was_found(alice, alice_client, topic, task, openai_server):
    TopicFactory(chapter__note__user=alice, title="Other", explanation="Nothing of it.")

    ask(alice_client, "What does the second paragraph say?")

    assert "Nothing of it." not in openai_server.state.requests[-1]["body"]["messages"][1]["content"]
