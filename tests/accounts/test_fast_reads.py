"""Fast reads are answered before REST framework begins; whatever is wrong with a request is still the view's to say."""

import threading

import pytest
from rest_framework.views import APIView

from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, TopicFactory
from utils import pages
from utils.caching import store_page


@pytest.fixture
def targets(alice) -> dict[str, str]:
    note = NoteFactory(user=alice, title="Loops")
    TopicFactory(chapter=ChapterFactory(note=note))
    task = AITaskFactory(user=alice, request_type="summarize", request_data={"content": "Text."})
    return {
        "list": "/api/notes/?ordering=title",
        "detail": f"/api/notes/{note.pk}/",
        "pending": "/api/notifications/pending/",
        "task": f"/api/ai/tasks/{task.pk}/",
    }


TARGETS = ["list", "detail", "pending", "task"]


def refuse_to_dispatch(self, request, *args, **kwargs):
    raise AssertionError("REST framework was asked.")


@pytest.fixture
def without_rest_framework(monkeypatch) -> None:
    monkeypatch.setattr(APIView, "dispatch", refuse_to_dispatch)


@pytest.mark.parametrize("name", TARGETS)
def test_a_good_read_is_the_same_with_and_without_rest_framework(alice_client, targets, name, monkeypatch):
    with monkeypatch.context() as early:
        early.setattr(APIView, "dispatch", refuse_to_dispatch)
        fast = alice_client.get(targets[name])
    monkeypatch.setattr(pages, "fast_read_of", lambda *_: None)
    monkeypatch.setattr("accounts.fast_reads.fast_read_of", lambda *_: None)

    careful = alice_client.get(targets[name])

    assert (fast.status_code, fast.content) == (careful.status_code, careful.content)
    for header in ("ETag", "Content-Type", "Cache-Control"):
        assert fast[header] == careful[header]


@pytest.mark.parametrize("name", TARGETS)
def test_a_client_that_has_the_answer_gets_a_304_without_rest_framework(
    alice_client, targets, name, without_rest_framework
):
    etag = alice_client.get(targets[name])["ETag"]

    again = alice_client.get(targets[name], HTTP_IF_NONE_MATCH=etag)

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize("name", TARGETS)
def test_a_fast_read_tells_where_its_reader_stands(alice_client, targets, name, without_rest_framework):
    limit = {"pending": "120", "task": "120"}.get(name, "60")

    first, second = alice_client.get(targets[name]), alice_client.get(targets[name])

    assert first["RateLimit-Limit"] == second["RateLimit-Limit"] == limit
    assert int(second["RateLimit-Remaining"]) == int(first["RateLimit-Remaining"]) - 1


@pytest.mark.parametrize("name", ["detail", "task"])
def test_a_stranger_is_told_what_is_said_of_nothing(charlie_client, targets, name):
    answer = charlie_client.get(targets[name]).json()

    assert (answer["status"], answer["code"]) == (404, "not_found")


@pytest.mark.parametrize("name", TARGETS)
def test_nobody_is_asked_who_they_are(client, targets, name):
    assert client.get(targets[name]).status_code == 401


def test_a_read_past_its_limit_is_refused_by_its_view(alice_client, targets, settings):
    rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "poll": "1/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    assert alice_client.get(targets["pending"]).status_code == 200

    refused = alice_client.get(targets["pending"])

    assert (refused.status_code, refused.json()["code"]) == (429, "throttled")


def test_a_bad_filter_is_refused_by_its_view(alice_client):
    answer = alice_client.get("/api/notes/?status=lost").json()

    assert (answer["status"], answer["errors"][0]["pointer"]) == (400, "/status")


def test_a_reader_is_given_the_page_that_another_is_making(alice_client, targets, monkeypatch):
    wait = pages.await_page

    def wait_for_the_other(key):
        threading.Timer(0.05, store_page, [key], {"etag": "theirs", "body": b"[]", "ttl": 60}).start()
        return wait(key)

    monkeypatch.setattr(pages, "await_page", wait_for_the_other)
    monkeypatch.setattr(pages, "store_page", lambda *_, **__: None)  # who makes it has not finished
    alice_client.get(targets["list"])

    answer = alice_client.get(targets["list"])

    assert (answer.content, answer["ETag"]) == (b"[]", '"theirs"')
