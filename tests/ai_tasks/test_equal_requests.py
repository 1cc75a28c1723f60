"""Requests sent twice, over the API: which are one task, which share an answer, and what they cost."""

import uuid

import pytest
from django.utils import timezone

from ai_tasks.models import AITask
from ai_tasks.worker import Worker
from notes.models import Note, NoteVersion, Topic
from notifications.models import Notification
from tests.ai_tasks.conftest import in_threads
from tests.conftest import client_of
from tests.database_faults import barrier, in_background
from tests.factories import AITaskFactory, TopicFactory

TASKS = "/api/ai/tasks/"
EXPLAIN = {"request_type": "generate_explanation", "request_data": {"topic": "Python loops"}}


@pytest.fixture
def topic(alice):
    return TopicFactory(
        chapter__note__user=alice, title="Loops", explanation="A loop repeats.", code="x", code_language="Python"
    )


def post(client, body, **headers):
    return client.post(TASKS, body, format="json", headers=headers)


def left(client) -> int:
    return client.get("/api/ai/usage/").json()["requests_left_this_hour"]


# --- One task ---------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_identical_posts_are_one_task(alice, no_limits, patient_pool):
    client = client_of(alice)

    answers = in_threads(100, lambda _: post(client, EXPLAIN))

    assert sorted(answer.status_code for answer in answers) == [200] * 99 + [202]
    assert len({answer.json()["task_id"] for answer in answers}) == AITask.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_posts_with_one_key_are_one_task(alice, no_limits, patient_pool):
    client = client_of(alice)
    headers = {"Idempotency-Key": "key"}

    answers = in_threads(100, lambda _: post(client, EXPLAIN, **headers))

    accepted = [answer for answer in answers if answer.status_code == 202]
    busy = [answer for answer in answers if answer.status_code == 409]
    assert len(accepted) + len(busy) == 100
    assert len({answer.content for answer in accepted}) == AITask.objects.count() == 1
    assert sum("Idempotent-Replayed" not in answer for answer in accepted) == 1
    assert all(answer.json()["code"] == "request_in_flight" and answer["Retry-After"] == "1" for answer in busy)


@pytest.mark.parametrize("status", ["queued", "running", "waiting_provider"])
def test_an_equal_request_joins_a_task_that_will_be_answered(alice_client, status):
    first = post(alice_client, EXPLAIN).json()["task_id"]
    AITask.objects.update(status=status)

    again = post(alice_client, EXPLAIN)

    assert (again.status_code, again.json()["task_id"], again.json()["status"]) == (200, first, status)
    assert again["Location"] == f"{TASKS}{first}/"


@pytest.mark.parametrize("status", ["cancelling", "cancelled", "failed"])
def test_no_request_joins_a_task_that_will_not_be_answered(alice_client, status):
    first = post(alice_client, EXPLAIN).json()["task_id"]
    AITask.objects.update(status=status)

    again = post(alice_client, EXPLAIN)

    assert again.status_code == 202
    assert again.json()["task_id"] != first


@pytest.mark.parametrize("first_applies", [True, False])
def test_requests_with_and_without_apply_are_never_coalesced(alice_client, topic, first_applies):
    body = {"request_type": "improve_explanation", "request_data": {}, "topic_id": topic.pk}
    first = post(alice_client, {**body, "apply": first_applies}).json()

    other = post(alice_client, {**body, "apply": not first_applies})

    assert other.status_code == 202
    assert other.json()["task_id"] != first["task_id"]
    assert (first["apply"], other.json()["apply"]) == (first_applies, not first_applies)
    assert AITask.objects.count() == 2


@pytest.mark.parametrize(
    ("request_type", "data", "change"),
    [
        ("summarize", {}, {"explanation": "A loop ends."}),
        ("improve_explanation", {}, {"explanation": "A loop ends."}),
        ("generate_explanation", {}, {"title": "Other loops"}),
        ("generate_explanation", {}, {"explanation": "A loop ends."}),
        ("generate_code", {"language": "C"}, {"code": "y"}),
        ("generate_code", {"language": "C"}, {"code_language": "C"}),
    ],
)
def test_a_changed_text_never_joins_a_request_about_the_old_one(alice_client, topic, request_type, data, change):
    body = {"request_type": request_type, "request_data": data, "topic_id": topic.pk}
    if request_type != "summarize":
        body["apply"] = True
    first = post(alice_client, body).json()["task_id"]
    assert post(alice_client, body).json()["task_id"] == first
    Topic.objects.filter(pk=topic.pk).update(**change)

    again = post(alice_client, body)

    assert again.status_code == 202
    assert again.json()["task_id"] != first


@pytest.mark.parametrize(
    "other",
    [
        {"request_data": {"topic": "Python loops", "level": "advanced"}},
        {"request_data": {"topic": "Python loops", "context": "CS 101"}},
        {"request_type": "generate_code", "request_data": {"topic": "Python loops", "language": "C"}},
        {"topic_id": "own"},
    ],
)
def test_requests_that_differ_in_anything_are_tasks_of_their_own(alice_client, topic, other):
    other = {**other, "topic_id": topic.pk} if "topic_id" in other else other
    post(alice_client, EXPLAIN)

    assert post(alice_client, {**EXPLAIN, **other}).status_code == 202


@pytest.mark.parametrize("setting", ["AI_MODEL", "AI_BASE_URL"])
def test_another_model_is_another_request(alice_client, settings, setting):
    settings.AI_BASE_URL = "http://127.0.0.1:9/v1"
    post(alice_client, EXPLAIN)
    setattr(settings, setting, "other" if setting == "AI_MODEL" else "")

    assert post(alice_client, EXPLAIN).status_code == 202


def test_defaults_spelt_out_are_the_same_request(alice_client):
    first = post(alice_client, EXPLAIN).json()["task_id"]

    again = post(alice_client, {**EXPLAIN, "request_data": {"level": "beginner", "topic": " Python loops "}})

    assert (again.status_code, again.json()["task_id"]) == (200, first)


def test_a_request_with_a_key_is_never_coalesced(alice_client):
    ids = [post(alice_client, EXPLAIN, **{"Idempotency-Key": key}).json()["task_id"] for key in ("a", "b")]
    unkeyed = post(alice_client, EXPLAIN)

    assert len({*ids, unkeyed.json()["task_id"]}) == 3
    assert unkeyed.status_code == 202


@pytest.mark.django_db(transaction=True)
def test_a_request_whose_twin_is_in_flight_is_told_to_come_back(alice, no_limits):
    first, second = client_of(alice), client_of(alice)
    key = {"Idempotency-Key": "key"}

    with (
        barrier("BEFORE INSERT", "ai_tasks_aitask") as held,
        in_background(lambda: post(first, EXPLAIN, **key)) as twin,
    ):
        held.wait_for_one()
        meanwhile = post(second, EXPLAIN, **key)
        assert not AITask.objects.exists()
        held.open()

    assert (meanwhile.status_code, meanwhile.json()["code"]) == (409, "request_in_flight")
    assert meanwhile["Retry-After"] == "1"
    again = post(second, EXPLAIN, **key)
    assert (again.status_code, again.json()["task_id"]) == (202, twin.result().json()["task_id"])


# --- One answer -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_an_equal_request_within_the_hour_gets_the_answer_at_once(alice, offline):
    client = client_of(alice)
    first = post(client, EXPLAIN).json()["task_id"]
    Worker().execute(uuid.UUID(first))

    again = post(client, EXPLAIN)

    body = again.json()
    assert (again.status_code, body["status"], body["progress"], body["cached"]) == (200, "succeeded", 100, True)
    assert body["task_id"] != first
    assert body["created_at"] == body["started_at"] == body["finished_at"]
    assert body["result"] == client.get(f"{TASKS}{first}/").json()["result"]
    assert body["usage"] == {"input_tokens": 0, "output_tokens": 0, "estimated": False, "cost": None}
    assert left(client) == 19
    assert Notification.objects.count() == 1


def edit_it(client, topic):
    return client.patch(f"/api/topics/{topic.pk}/", {"explanation": "A loop ends."}, format="json")


def add_another(client, topic):
    body = {"title": "Python loops", "explanation": "They repeat.", "chapter": topic.chapter_id}
    return client.post("/api/topics/", body, format="json")


def trash_it(client, topic):
    return client.delete(f"/api/notes/{topic.chapter.note_id}/")


def restore_it(client, topic):
    trash_it(client, topic)
    return client.post(f"/api/notes/{topic.chapter.note_id}/restore/")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", [edit_it, add_another, trash_it, restore_it])
@pytest.mark.parametrize(
    "body",
    [EXPLAIN, {"request_type": "generate_code", "request_data": {"topic": "Python loops", "language": "Python"}}],
)
def test_an_answer_that_quotes_the_users_notes_is_given_until_they_change(alice, topic, offline, body, change):
    client = client_of(alice)
    Worker().execute(uuid.UUID(post(client, body).json()["task_id"]))
    assert post(client, body).json()["cached"] is True
    change(client, topic)

    again = post(client, body)

    assert (again.status_code, again.json()["cached"]) == (202, False)


@pytest.mark.django_db(transaction=True)
def test_who_is_told_that_the_notes_say_nothing_is_told_what_they_say_later(alice, offline):
    client = client_of(alice)
    body = {"request_type": "generate_explanation", "request_data": {"topic": "Closures"}}
    first = uuid.UUID(post(client, body).json()["task_id"])
    Worker().execute(first)
    assert AITask.objects.get(pk=first).applicable is False
    chapters = [{"title": "Functions", "topics": [{"title": "Closures", "explanation": "A closure keeps a scope."}]}]
    client.post("/api/notes/", {"title": "Python", "chapters": chapters}, format="json")

    second = uuid.UUID(post(client, body).json()["task_id"])
    Worker().execute(second)

    assert "A closure keeps a scope." in AITask.objects.get(pk=second).result["content"]


@pytest.mark.django_db(transaction=True)
def test_an_answer_to_notes_that_changed_before_it_was_made_is_never_reused(alice, topic, offline):
    client = client_of(alice)
    first = uuid.UUID(post(client, EXPLAIN).json()["task_id"])
    edit_it(client, topic)
    Worker().execute(first)

    assert post(client, EXPLAIN).status_code == 202


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("with_model", [True, False])
def test_what_does_not_rest_on_the_notes_is_given_whatever_becomes_of_them(
    alice, topic, openai_server, settings, with_model
):
    client = client_of(alice)
    body = EXPLAIN if with_model else {"request_type": "summarize", "request_data": {"content": "A loop repeats."}}
    if not with_model:
        settings.AI_BASE_URL, settings.AI_API_KEY = "", ""
    Worker().execute(uuid.UUID(post(client, body).json()["task_id"]))
    edit_it(client, topic)

    assert post(client, body).json()["cached"] is True


@pytest.mark.django_db(transaction=True)
def test_a_cached_answer_is_applied_all_the_same(alice, topic, openai_server):
    client = client_of(alice)
    body = {**EXPLAIN, "topic_id": topic.pk, "apply": True}
    Worker().execute(uuid.UUID(post(client, body).json()["task_id"]))
    answer = Topic.objects.get(pk=topic.pk).explanation
    Topic.objects.filter(pk=topic.pk).update(explanation="Mine again.")

    again = post(client, body).json()

    assert (again["cached"], again["applied_at"] is not None) == (True, True)
    assert Topic.objects.get(pk=topic.pk).explanation == answer
    assert len(openai_server.state.requests) == 1
    assert list(NoteVersion.objects.order_by("version").values_list("reason", flat=True)) == ["ai", "ai"]
    assert Note.objects.get(pk=topic.chapter.note_id).version == 3


@pytest.mark.django_db(transaction=True)
def test_a_cached_answer_does_not_extend_the_life_of_the_cache_entry(alice, offline):
    client = client_of(alice)
    Worker().execute(uuid.UUID(post(client, EXPLAIN).json()["task_id"]))
    assert post(client, EXPLAIN).json()["cached"] is True
    AITask.objects.filter(cached=False).update(finished_at=timezone.now() - timezone.timedelta(minutes=61))

    assert post(client, EXPLAIN).status_code == 202


def test_an_answer_of_another_user_is_never_given(alice, charlie, alice_client):
    mine = AITask.objects.get(pk=post(alice_client, EXPLAIN).json()["task_id"])
    AITask.objects.all().delete()
    AITaskFactory(  # even if two users' requests had one hash
        user=charlie, status="succeeded", request_hash=mine.request_hash, finished_at=timezone.now()
    )

    assert post(alice_client, EXPLAIN).status_code == 202


# --- What counts ------------------------------------------------------------------------------------------------------


def test_only_new_tasks_count_against_the_hour(alice_client):
    headers = {"Idempotency-Key": "key"}
    assert left(alice_client) == 20
    post(alice_client, EXPLAIN)
    assert left(alice_client) == 19

    post(alice_client, EXPLAIN)  # joins
    assert left(alice_client) == 19
    post(alice_client, EXPLAIN, **headers)  # its own
    assert left(alice_client) == 18
    assert post(alice_client, EXPLAIN, **headers)["Idempotent-Replayed"] == "true"
    assert left(alice_client) == 18


def test_at_the_limit_what_costs_nothing_is_still_served(alice, alice_client):
    headers = {"Idempotency-Key": "key"}
    keyed = post(alice_client, EXPLAIN, **headers)
    joined = post(alice_client, EXPLAIN)
    AITaskFactory.create_batch(18, user=alice)
    assert left(alice_client) == 0

    assert post(alice_client, {**EXPLAIN, "request_data": {"topic": "New"}}).status_code == 429
    assert post(alice_client, EXPLAIN, **headers).content == keyed.content
    assert post(alice_client, EXPLAIN).json()["task_id"] == joined.json()["task_id"]
    assert alice_client.get("/api/ai/usage/").json()["next_request_at"] is not None


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"request_type": "sing", "request_data": {}}, 400),
        ({"request_type": "summarize", "request_data": {}}, 400),
        ({"request_type": "generate_code", "request_data": {"topic": "x", "language": "<C>"}}, 400),
        ({**EXPLAIN, "unknown": 1}, 400),
        ({**EXPLAIN, "apply": True}, 400),
        ({**EXPLAIN, "topic_id": 2**62}, 404),
    ],
)
def test_a_refused_request_leaves_no_row_and_spends_nothing(alice_client, body, status):
    for headers in ({}, {"Idempotency-Key": "key"}):
        assert post(alice_client, body, **headers).status_code == status

    assert not AITask.objects.exists()
    assert left(alice_client) == 20
    assert post(alice_client, EXPLAIN, **{"Idempotency-Key": "key"}).status_code == 202


def test_a_retry_is_repeated_by_its_key(alice, alice_client):
    task = AITaskFactory(user=alice, status="failed", error_code="provider_busy", error_detail="Busy.")
    headers = {"Idempotency-Key": "key"}

    first, again = (alice_client.post(f"{TASKS}{task.pk}/retry/", headers=headers) for _ in range(2))

    assert (first.status_code, again["Idempotent-Replayed"]) == (202, "true")
    assert again.content == first.content
    assert AITask.objects.filter(retry_of=task).count() == 1
