"""AI tasks over the API."""

import uuid

import pytest
from django.utils import timezone

from ai_tasks.models import AITask
from tests.ai_tasks.conftest import refusing_pushes
from tests.conftest import client_of
from tests.database_faults import refusing
from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, TopicFactory

TASKS = "/api/ai/tasks/"
EXPLAIN = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}


@pytest.fixture
def topic(alice):
    return TopicFactory(
        chapter=ChapterFactory(note=NoteFactory(user=alice)), title="Loops", explanation="A loop repeats. It ends."
    )


def test_a_request_is_accepted_with_location_and_retry_after(alice_client):
    response = alice_client.post(TASKS, EXPLAIN, format="json")

    assert response.status_code == 202
    body = response.json()
    assert response["Location"] == body["links"]["self"] == f"/api/ai/tasks/{body['task_id']}/"
    assert response["Retry-After"] == "1"
    assert (body["id"], body["status"], body["progress"]) == (body["task_id"], "queued", 0)
    assert set(body) == {
        "task_id", "id", "request_type", "status", "progress", "message", "timestamp", "request_data", "topic_id",
        "apply", "applicable", "error", "provider", "model", "usage", "cached", "retry_of", "attempt", "applied_at",
        "created_at", "started_at", "finished_at", "links", "result",
    }  # fmt: skip


def test_the_same_request_again_is_the_same_task(alice_client):
    first = alice_client.post(TASKS, EXPLAIN, format="json").json()

    again = alice_client.post(TASKS, EXPLAIN, format="json")

    assert (again.status_code, again.json()["task_id"]) == (200, first["task_id"])


def test_an_idempotency_key_repeats_the_answer_and_costs_nothing(alice_client):
    headers = {"Idempotency-Key": "abc"}
    first = alice_client.post(TASKS, EXPLAIN, format="json", headers=headers)

    again = alice_client.post(TASKS, EXPLAIN, format="json", headers=headers)

    assert (again.status_code, again.content) == (202, first.content)
    assert (again["Idempotent-Replayed"], again["Location"]) == ("true", first["Location"])
    assert AITask.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/request_type", "required"),
        ({"request_type": "sing", "request_data": {}}, "/request_type", "unknown_request_type"),
        ({"request_type": "summarize", "request_data": []}, "/request_data", "not_a_dict"),
        ({"request_type": "summarize", "request_data": {}}, "/request_data/content", "required"),
        ({"request_type": "summarize", "request_data": {"content": ""}}, "/request_data/content", "blank"),
        ({"request_type": "summarize", "request_data": {"content": "x", "y": 1}}, "/request_data/y", "unknown_field"),
        (
            {"request_type": "summarize", "request_data": {"content": "x", "length": "epic"}},
            "/request_data/length",
            "invalid_choice",
        ),
        (
            {"request_type": "generate_code", "request_data": {"topic": "x", "language": "a;b"}},
            "/request_data/language",
            "invalid",
        ),
        (
            {"request_type": "generate_explanation", "request_data": {"topic": "x" * 301}},
            "/request_data/topic",
            "max_length",
        ),
        ({**EXPLAIN, "apply": True}, "/apply", "invalid"),
        ({**EXPLAIN, "topic_id": "x"}, "/topic_id", "invalid"),
        ({**EXPLAIN, "topic_id": "424242"}, "/topic_id", "invalid"),
        ({**EXPLAIN, "apply": "no"}, "/apply", "invalid"),
        ({**EXPLAIN, "apply": 0}, "/apply", "invalid"),
        ({**EXPLAIN, "user": 1}, "/user", "unknown_field"),
    ],
)
def test_a_bad_request_is_refused_where_it_is_wrong_and_leaves_no_row(alice_client, body, pointer, code):
    response = alice_client.post(TASKS, body, format="json")

    assert response.status_code == 400
    assert (pointer, code) in [(error["pointer"], error["code"]) for error in response.json()["errors"]]
    assert not AITask.objects.exists()


def test_a_summary_cannot_be_applied(alice_client, topic):
    body = {"request_type": "summarize", "request_data": {}, "topic_id": topic.pk, "apply": True}

    response = alice_client.post(TASKS, body, format="json")

    assert (response.status_code, response.json()["errors"][0]["pointer"]) == (400, "/apply")


def test_a_topic_fills_what_the_request_leaves_out(alice_client, topic):
    response = alice_client.post(
        TASKS, {"request_type": "summarize", "request_data": {}, "topic_id": topic.pk}, format="json"
    )

    assert response.status_code == 202
    assert response.json()["request_data"]["content"] == "A loop repeats. It ends."


def test_another_users_topic_is_not_found(charlie_client, topic):
    response = charlie_client.post(TASKS, {**EXPLAIN, "topic_id": topic.pk}, format="json")

    assert response.status_code == 404
    assert not AITask.objects.exists()


def test_the_21st_request_of_an_hour_is_refused_and_leaves_no_row(alice, alice_client):
    AITaskFactory.create_batch(20, user=alice)

    response = alice_client.post(TASKS, EXPLAIN, format="json")

    assert (response.status_code, response.json()["code"]) == (429, "ai_limit_reached")
    assert 3300 < int(response["Retry-After"]) <= 3601
    assert AITask.objects.count() == 20


@pytest.mark.parametrize("action", ["", "cancel/", "retry/"])
def test_a_strangers_task_looks_like_one_that_does_not_exist(alice, charlie_client, action):
    task = AITaskFactory(user=alice)
    send = charlie_client.post if action else charlie_client.get

    foreign, missing = (send(f"{TASKS}{pk}/{action}") for pk in (task.pk, uuid.uuid4()))

    assert foreign.status_code == missing.status_code == 404
    assert {**foreign.json(), "request_id": ""} == {**missing.json(), "request_id": ""}
    task.refresh_from_db()
    assert task.status == "queued"


@pytest.mark.parametrize("task_count", [1, 10, 100])
def test_the_list_costs_one_query_and_shows_no_answers(alice, task_count, warm, django_assert_num_queries):
    AITaskFactory.create_batch(task_count, user=alice, status="succeeded", result={"content": "x"})
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(1):
        response = client.get(f"{TASKS}?page_size=100")

    results = response.json()["results"]
    assert len(results) == task_count
    assert "result" not in results[0]


def test_the_list_is_filtered_by_status_and_topic(alice, alice_client, charlie, topic):
    wanted = AITaskFactory(user=alice, topic=topic, status="failed")
    AITaskFactory(user=alice, topic=topic)
    AITaskFactory(user=alice, status="failed")
    AITaskFactory(user=charlie, status="failed")

    results = alice_client.get(f"{TASKS}?status=failed&topic_id={topic.pk}").json()["results"]

    assert [row["id"] for row in results] == [str(wanted.pk)]
    assert alice_client.get(f"{TASKS}?status=lost").json()["errors"][0]["pointer"] == "/status"


def test_a_poll_costs_one_query_and_nothing_of_the_burst(alice, warm, django_assert_num_queries):
    task = AITaskFactory(user=alice)
    client = client_of(alice)
    warm(client)

    with django_assert_num_queries(1):
        response = client.get(f"{TASKS}{task.pk}/")

    assert response["RateLimit-Limit"] == "120"
    again = client.get(f"{TASKS}{task.pk}/", headers={"If-None-Match": response["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_cancelling_a_waiting_task_ends_it(alice, alice_client):
    task = AITaskFactory(user=alice)

    response = alice_client.post(f"{TASKS}{task.pk}/cancel/")

    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    again = alice_client.post(f"{TASKS}{task.pk}/cancel/")
    assert (again.status_code, again.json()["code"]) == (409, "task_finished")


def test_retrying_a_finished_task_makes_a_new_one(alice, alice_client):
    task = AITaskFactory(user=alice, status="failed", error_code="provider_busy", error_detail="Busy.")

    response = alice_client.post(f"{TASKS}{task.pk}/retry/")

    assert response.status_code == 202
    assert response.json()["retry_of"] == str(task.pk)
    assert response.json()["task_id"] != str(task.pk)
    unfinished = alice_client.post(f"{TASKS}{response.json()['task_id']}/retry/")
    assert (unfinished.status_code, unfinished.json()["code"]) == (409, "task_unfinished")


def test_a_failed_task_shows_its_error(alice, alice_client):
    task = AITaskFactory(user=alice, status="failed", error_code="provider_busy", error_detail="Busy.")

    assert alice_client.get(f"{TASKS}{task.pk}/").json()["error"] == {"code": "provider_busy", "detail": "Busy."}


def test_request_types_are_described_by_their_schemas(alice_client):
    types = {row["request_type"]: row for row in alice_client.get("/api/ai/request-types/").json()}

    assert set(types) == set(AITask.RequestType.values)
    assert types["summarize"]["applies_to"] is None
    assert types["generate_code"]["schema"]["required"] == ["language"]


def test_usage_counts_today_and_what_is_left(alice, alice_client, charlie):
    AITaskFactory(user=alice, input_tokens=10, output_tokens=5, usage_estimated=True)
    AITaskFactory(user=alice, input_tokens=1, output_tokens=2, billed=False)
    AITaskFactory(user=charlie, input_tokens=100)
    AITaskFactory(user=alice, input_tokens=7, created_at=timezone.now() - timezone.timedelta(days=2))

    assert alice_client.get("/api/ai/usage/").json() == {
        "tasks_today": 2,
        "input_tokens_today": 11,
        "output_tokens_today": 7,
        "estimated": True,
        "requests_left_this_hour": 19,
        "next_request_at": None,
        "features": {
            "generate_explanation": {"tasks": 2, "input_tokens": 11, "output_tokens": 7, "cost": None},
        },
        "budget": {
            "spent": {"amount": "0.000000", "currency": "USD"},
            "reserved": {"amount": "0.000000", "currency": "USD"},
            "limit": None,
        },
    }


def test_redis_dead_a_request_is_accepted_all_the_same(alice, dead_redis):
    client = client_of(alice)

    response = client.post(TASKS, EXPLAIN, format="json")

    assert response.status_code == 202
    assert client.get(response["Location"]).json()["status"] == "queued"


@pytest.mark.django_db(transaction=True)
def test_what_fails_after_the_commit_fails_no_request(alice, broker_proxy):
    """The broker does not take the message, nor PostgreSQL the mark that it is missing."""
    broker_proxy.send = refusing_pushes()
    client = client_of(alice)
    ended = AITaskFactory(user=alice, status="failed")

    with refusing("BEFORE UPDATE", "ai_tasks_aitask"):
        answers = [client.post(TASKS, EXPLAIN, format="json"), client.post(f"{TASKS}{ended.pk}/retry/")]

    assert [answer.status_code for answer in answers] == [202, 202]
    assert AITask.objects.filter(status="queued").count() == 2
