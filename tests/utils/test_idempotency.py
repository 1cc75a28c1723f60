"""One Idempotency-Key, one effect."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from notes.models import Note
from tests.conftest import client_of
from utils import idempotency
from utils.models import IdempotencyRecord

NOTES = "/api/notes/"


def post(client, key="key", title="Loops"):
    return client.post(NOTES, {"title": title}, format="json", headers={"Idempotency-Key": key})


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


def test_a_key_is_not_looked_at_before_authentication(alice_client, client):
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
def test_a_hundred_parallel_requests_with_one_key_have_one_effect(alice, no_limits):
    client = client_of(alice)

    def send(_):
        try:
            return post(client)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(send, range(100)))

    created = [answer for answer in answers if answer.status_code == 201]
    busy = [answer for answer in answers if answer.status_code == 409]
    assert len(created) + len(busy) == 100
    assert len({answer.content for answer in created}) == 1
    assert all(answer.json()["code"] == "request_in_flight" and answer["Retry-After"] == "1" for answer in busy)
    assert Note.objects.count() == 1
