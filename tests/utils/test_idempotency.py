"""One Idempotency-Key, one effect."""

from datetime import timedelta
from pathlib import Path

import pytest
import yaml
from django.conf import settings
from django.utils import timezone

from ai_tasks.models import AITask
from notes.models import Chapter, Note, Topic
from tests.ai_tasks.conftest import in_threads
from tests.conftest import client_of
from tests.factories import ChapterFactory
from utils.http import idempotency
from utils.models import IdempotencyRecord

NOTES = "/api/notes/"


def post(client, key="key", title="Loops"):
    return client.post(NOTES, {"title": title}, format="json", headers={"Idempotency-Key": key})


def test_every_creating_post_outside_auth_takes_a_key():
    document = yaml.safe_load(Path(settings.BASE_DIR, "docs/openapi.yaml").read_text())
    creating = {
        path: [parameter["name"] for parameter in operations["post"].get("parameters", [])]
        for path, operations in document["paths"].items()
        if "post" in operations and {"201", "202"} & set(operations["post"]["responses"])
    }
    del (
        creating["/api/auth/register/"],
        creating["/api/ai/tasks/{id}/cancel/"],
        creating["/api/notes/imports/{id}/cancel/"],
        creating["/api/study/exams/{id}/calendar-link/"],
    )  # registering may not, the others create nothing that may not be doubled

    assert set(creating) == {
        "/api/ai/tasks/", "/api/ai/tasks/{id}/retry/", "/api/chapters/", "/api/notes/", "/api/study/cards/",
        "/api/study/media/", "/api/study/exams/", "/api/study/quizzes/", "/api/study/recalls/",
        "/api/notes/{note_pk}/attachments/", "/api/notes/{note_pk}/shares/", "/api/shares/{slug}/copy/",
        "/api/notes/exports/", "/api/notes/imports/", "/api/topics/",
    }  # fmt: skip
    assert all("Idempotency-Key" in parameters for parameters in creating.values())


@pytest.mark.parametrize(
    ("path", "body", "model"),
    [
        ("/api/notes/", {"title": "Loops"}, Note),
        ("/api/chapters/", {"title": "Loops", "note": "note"}, Chapter),
        ("/api/topics/", {"title": "Loops", "chapter": "chapter"}, Topic),
        ("/api/ai/tasks/", {"request_type": "summarize", "request_data": {"content": "A loop."}}, AITask),
    ],
)
def test_a_repeated_post_creates_nothing_more(alice, alice_client, path, body, model):
    chapter = ChapterFactory(note__user=alice)
    parents = {"note": chapter.note_id, "chapter": chapter.pk}
    body = {name: parents.get(value, value) if isinstance(value, str) else value for name, value in body.items()}
    before = model.objects.count()

    answers = [alice_client.post(path, body, format="json", headers={"Idempotency-Key": "key"}) for _ in range(3)]

    assert model.objects.count() == before + 1
    assert len({(answer.status_code, answer.content, answer["Location"]) for answer in answers}) == 1
    assert ["Idempotent-Replayed" in answer for answer in answers] == [False, True, True]


def test_a_key_belongs_to_one_route(alice, alice_client):
    chapter = ChapterFactory(note__user=alice)
    post(alice_client)

    body = {"title": "Loops", "note": chapter.note_id}
    response = alice_client.post("/api/chapters/", body, format="json", headers={"Idempotency-Key": "key"})

    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response


def test_a_repeated_request_gets_the_stored_answer(alice_client):
    first = post(alice_client)

    again = post(alice_client)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again["Idempotent-Replayed"] == "true"
    assert (again["Location"], again["ETag"]) == (first["Location"], first["ETag"])
    assert "Idempotent-Replayed" not in first
    assert Note.objects.count() == 1


def test_the_order_of_the_bodys_keys_makes_no_other_request(alice_client):
    headers = {"Idempotency-Key": "key", "Content-Type": "application/json"}
    bodies = ['{"title": "Loops", "tags": ["a"]}', '{"tags": ["a"], "title": "Loops"}']

    answers = [alice_client.post(NOTES, body, content_type="application/json", headers=headers) for body in bodies]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert Note.objects.count() == 1


def test_the_same_key_with_another_body_is_refused(alice_client):
    post(alice_client)

    response = post(alice_client, title="Other")

    assert (response.status_code, response.json()["code"]) == (422, "idempotency_key_reused")
    assert Note.objects.count() == 1


def test_a_key_is_its_users_own(alice_client, charlie_client):
    post(alice_client)

    response = post(charlie_client)

    assert response.status_code == 201
    assert "Idempotent-Replayed" not in response
    assert Note.objects.count() == 2


def test_a_refused_request_leaves_its_key_free(alice_client):
    assert post(alice_client, title="").status_code == 400

    assert post(alice_client).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel"])
def test_a_malformed_key_is_refused(alice_client, key):
    response = post(alice_client, key=key)

    assert (response.status_code, response.json()["code"]) == (400, "invalid_idempotency_key")


def test_a_key_is_not_read_before_authentication(alice_client, client):
    post(alice_client)

    assert post(client).status_code == 401


def test_after_a_day_a_key_is_free_again(alice_client):
    post(alice_client)
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))

    assert "Idempotent-Replayed" not in post(alice_client)
    assert Note.objects.count() == 2


def test_expired_records_are_purged(alice_client):
    post(alice_client, "old")
    IdempotencyRecord.objects.update(created_at=timezone.now() - timedelta(hours=25))
    post(alice_client, "new")

    assert idempotency.purge_expired() == 1
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["new"]


@pytest.mark.django_db(transaction=True)
def test_a_hundred_parallel_requests_with_one_key_have_one_effect(alice, no_limits, patient_pool):
    client = client_of(alice)

    answers = in_threads(100, lambda _: post(client))

    created = [answer for answer in answers if answer.status_code == 201]
    busy = [answer for answer in answers if answer.status_code == 409]
    assert len(created) + len(busy) == 100
    assert len({answer.content for answer in created}) == 1
    assert all(answer.json()["code"] == "request_in_flight" and answer["Retry-After"] == "1" for answer in busy)
    assert Note.objects.count() == 1


def stored_bytes(user) -> list[int]:
    """Of each record of the user, the oldest first."""
    return [len(record.body) for record in IdempotencyRecord.objects.filter(user=user).order_by("created_at", "id")]


def test_a_users_stored_answers_stay_within_their_bytes_and_the_oldest_give_way(
    alice, alice_client, charlie_client, charlie, monkeypatch
):
    answers = [post(alice_client, key=f"key {number}") for number in range(4)]
    post(charlie_client)
    answers.append(post(alice_client, key="key 4"))
    kept = [len(answer.content) for answer in answers[3:]]
    monkeypatch.setattr(idempotency, "BYTES_PER_USER", sum(kept) + kept[0] + 50)

    newest = post(alice_client, key="key 5")

    assert stored_bytes(alice) == [0, 0, 0, *kept, len(newest.content)]
    assert stored_bytes(charlie) != [0]
    assert post(alice_client, key="key 5").content == newest.content
    assert post(alice_client, key="key 3").content == answers[3].content


def test_a_request_whose_answer_gave_way_is_not_carried_out_again(alice, alice_client, monkeypatch):
    first = post(alice_client)
    monkeypatch.setattr(idempotency, "BYTES_PER_USER", len(first.content))
    post(alice_client, key="another")

    again = post(alice_client)

    assert (again.status_code, again.json()["code"]) == (409, "answer_not_kept")
    assert (again["Location"], again["ETag"]) == (first["Location"], first["ETag"])
    assert alice_client.get(again["Location"]).json() == first.json()
    assert Note.objects.filter(user=alice).count() == 2
    assert post(alice_client, title="Other").json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("count", [1, 10, 100])
def test_a_key_costs_the_same_statements_for_any_number_of_keys(
    alice, alice_client, count, warm, django_assert_num_queries
):
    post(alice_client, key="the first, at which the user's total is counted")
    IdempotencyRecord.objects.bulk_create(
        IdempotencyRecord(user=alice, route=NOTES, key=f"{number}", body_hash=b"", status=201, body=b"x")
        for number in range(count)
    )
    warm(alice_client)

    # A savepoint's two, lock and look-up; the note's six; the record, looked for and made in savepoints; old answers.
    with django_assert_num_queries(15):
        assert post(alice_client).status_code == 201
