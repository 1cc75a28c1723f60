"""Fast reads are answered before Django begins; whatever is wrong with a request is still Django's to say."""

import logging
import threading
from typing import Any

import orjson
import pytest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.db import OperationalError, connection
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory
from django.test.client import ClientHandler
from django.urls import get_urlconf
from rest_framework.test import APIClient
from rest_framework.views import APIView

from accounts.fast_reads import FastReadMiddleware
from accounts.models import User
from notes import reads
from notes.models import Note
from tests.conftest import client_of
from tests.factories import AITaskFactory, ChapterFactory, NoteFactory, SessionFactory, TopicFactory
from utils import pages
from utils.caching import store_page
from utils.logging import RequestIdFilter, current_request_id


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
        "search": "/api/search/?q=loops",
    }


TARGETS = ["list", "detail", "pending", "task", "search"]


def refuse_to_handle(self, environ):
    raise AssertionError("Django was asked.")


def refuse_to_read(*args, **kwargs):
    raise OperationalError


@pytest.fixture
def without_django(monkeypatch) -> None:
    monkeypatch.setattr(ClientHandler, "__call__", refuse_to_handle)


OF_EACH_REQUEST = {"RateLimit-Remaining", "RateLimit-Reset"}
OF_REST_FRAMEWORK = {"Allow"}


def told(answer) -> tuple[int, bytes, dict[str, str]]:
    """All that a client is told, but for what differs between any two requests, and what only REST framework tells."""
    return (
        answer.status_code,
        answer.content,
        {name: value for name, value in answer.items() if name not in OF_EACH_REQUEST | OF_REST_FRAMEWORK},
    )


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"HTTP_ORIGIN": "https://app.example.com"},
        {"HTTP_ORIGIN": "https://stranger.example.com"},
        {"HTTP_HOST": "stranger.example.com"},
        {"HTTP_HOST": "a b"},
        {"wsgi.url_scheme": "https"},
        {"HTTP_X_FORWARDED_PROTO": "https"},
        {"HTTP_AUTHORIZATION": "Bearer a.b.c"},
        {"HTTP_AUTHORIZATION": "Basic YTpi"},
        {"HTTP_IF_NONE_MATCH": "*"},
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_read_tells_what_django_alone_would_tell(alice, targets, sent, tls, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = tls, 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    session = SessionFactory(user=alice)
    django, service = client_of(alice, session, client_class=APIClient), client_of(alice, session)

    sent = {"HTTP_X_REQUEST_ID": "mine", **sent}

    for target in targets.values():
        answers = [told(client.get(target, **sent)) for client in (django, service, service)]

        assert answers[1:] == answers[:1] * 2


def test_a_kind_of_client_is_shown_to_the_middleware_once(alice_client, targets, monkeypatch):
    alice_client.get(targets["list"])
    monkeypatch.setattr(SecurityMiddleware, "process_response", refuse_to_read)

    assert alice_client.get(targets["pending"]).status_code == 200
    with pytest.raises(OperationalError):
        alice_client.get(targets["pending"], HTTP_ORIGIN="https://new.example.com")


def test_what_the_middleware_is_shown_leaves_the_thread_as_it_was(alice_client, targets):
    alice_client.get(targets["list"])

    assert get_urlconf() is None


def test_each_root_that_the_service_is_mounted_at_is_shown_to_the_middleware(alice_client, targets, monkeypatch):
    alice_client.get(targets["list"])
    monkeypatch.setattr(SecurityMiddleware, "process_response", refuse_to_read)

    with pytest.raises(OperationalError):
        alice_client.get(targets["pending"], SCRIPT_NAME="/below")


def test_paths_too_long_for_a_read_take_no_memory():
    service = FastReadMiddleware(lambda *_: [b"Django"])

    answers = [service({"REQUEST_METHOD": "GET", "PATH_INFO": "/api/" + "a" * 96}, None)]

    assert (answers, service._read_at.cache_info().currsize) == ([[b"Django"]], 0)


def test_under_debug_django_is_asked(alice_client, targets, settings, without_django):
    settings.DEBUG = True

    with pytest.raises(AssertionError, match="Django was asked"):
        alice_client.get(targets["list"])


def service_answer(user: User, target: str) -> tuple[str, dict[str, str], bytes]:
    """What a server is answered: status, headers and body."""
    token = client_of(user)._credentials["HTTP_AUTHORIZATION"]
    environ = RequestFactory().get(target, HTTP_AUTHORIZATION=token).environ
    started: list[Any] = []
    body = FastReadMiddleware(WSGIHandler())(environ, lambda *start: started.extend(start))
    return started[0], dict(started[1]), b"".join(body)


@pytest.mark.django_db(transaction=True)
def test_a_read_gives_its_connection_back(alice, targets):
    status, _, body = service_answer(alice, targets["list"])

    assert (status, orjson.loads(body)["results"][0]["title"]) == ("200 OK", "Loops")
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_a_read_that_fails_gives_its_connection_back_before_django_begins(alice, targets, monkeypatch):
    held = []

    def fail(*args, **kwargs):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        raise Note.DoesNotExist

    def look(handler, request):
        held.append(connection.connection)
        return get_response(handler, request)

    get_response = BaseHandler.get_response
    monkeypatch.setattr(reads, "detail", fail)
    monkeypatch.setattr(BaseHandler, "get_response", look)

    status, _, _ = service_answer(alice, targets["detail"])

    assert (status, held[-1]) == ("404 Not Found", None)


def test_log_lines_of_a_read_name_its_request(alice_client, targets, caplog, dead_redis):
    caplog.handler.addFilter(RequestIdFilter())

    answer = alice_client.get(targets["list"], HTTP_X_REQUEST_ID="mine")

    assert answer["X-Request-ID"] == "mine"
    assert {record.request_id for record in caplog.records if record.name == "utils.redis"} == {"mine"}
    assert current_request_id.get() == "-"


def test_a_failure_of_a_read_names_the_same_request_everywhere(alice_client, targets, caplog, monkeypatch):
    def fail(*args, **kwargs):
        logging.getLogger("tests").warning("It fails.")
        raise OperationalError

    caplog.handler.addFilter(RequestIdFilter())
    monkeypatch.setattr(reads, "read_rows", fail)

    answer = alice_client.get(targets["list"])

    assert answer.status_code == 503
    said = {record.request_id for record in caplog.records if record.name == "tests"}
    assert {answer.json()["request_id"], answer["X-Request-ID"]} == said


def test_a_failure_tells_where_its_reader_stands_and_counts_once(alice_client, targets, monkeypatch):
    first = alice_client.get(targets["list"])
    monkeypatch.setattr(reads, "detail", refuse_to_read)

    failed = alice_client.get(targets["detail"])

    assert (failed.status_code, failed["RateLimit-Limit"]) == (503, "60")
    assert int(failed["RateLimit-Remaining"]) == int(first["RateLimit-Remaining"]) - 1


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("method", ["head", "options"])
def test_only_a_get_is_answered_without_django(alice_client, targets, name, method, monkeypatch):
    alice_client.get(targets[name])
    dispatched = []
    dispatch = APIView.dispatch

    def note_and_dispatch(view, request, *args, **kwargs):
        dispatched.append(request.method)
        return dispatch(view, request, *args, **kwargs)

    monkeypatch.setattr(APIView, "dispatch", note_and_dispatch)

    answer = getattr(alice_client, method)(targets[name])

    assert (answer.status_code, dispatched) == (200, [method.upper()])


@pytest.mark.parametrize("name", TARGETS)
def test_a_client_that_has_the_answer_gets_a_304_without_django(alice_client, targets, name, without_django):
    etag = alice_client.get(targets[name])["ETag"]

    again = alice_client.get(targets[name], HTTP_IF_NONE_MATCH=etag)

    assert (again.status_code, again.content, again["ETag"]) == (304, b"", etag)
    assert again["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("name", TARGETS)
def test_a_fast_read_tells_where_its_reader_stands(alice_client, targets, name, without_django):
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


@pytest.mark.parametrize("name", ["list", "detail"])
def test_a_database_that_is_away_is_asked_once(alice_client, targets, name, monkeypatch):
    asked = []

    def refuse(*args, **kwargs):
        asked.append(args)
        raise OperationalError

    monkeypatch.setattr(reads, "read_rows", refuse)

    answer = alice_client.get(targets[name])

    assert (answer.status_code, answer.json()["code"], len(asked)) == (503, "unavailable", 1)


def test_what_nobody_expected_is_the_same_500_as_everywhere(alice_client, targets, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError

    monkeypatch.setattr(reads, "read_rows", fail)
    alice_client.raise_request_exception = False

    answer = alice_client.get(targets["detail"])

    assert (answer.status_code, answer.json()["code"]) == (500, "internal_error")


def test_parameters_that_a_detail_does_not_read_make_no_more_pages(alice_client, targets, django_assert_num_queries):
    alice_client.get(targets["detail"] + "?nonsense=1")

    with django_assert_num_queries(0):
        alice_client.get(targets["detail"] + "?nonsense=2")


def test_an_answer_too_long_for_a_page_is_made_each_time_and_holds_nobody_off(
    alice_client, targets, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(pages, "MAX_PAGE_BYTES", 10)
    monkeypatch.setattr(pages, "await_page", lambda _: pytest.fail("Somebody waits for what nobody stores."))
    alice_client.get(targets["detail"])

    with django_assert_num_queries(2):
        assert alice_client.get(targets["detail"]).status_code == 200


def test_a_page_that_could_not_be_made_holds_nobody_off(alice_client, targets, monkeypatch):
    monkeypatch.setattr(pages, "await_page", lambda _: pytest.fail("Somebody waits for what nobody makes."))
    with monkeypatch.context() as broken:
        broken.setattr(reads, "read_rows", refuse_to_read)
        assert alice_client.get(targets["list"]).status_code == 503

    assert alice_client.get(targets["list"]).status_code == 200


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ("*", 304),
        ("{}", 304),
        ("W/{}", 304),
        ('"a", {}', 304),
        (", ".join(f'"{number}"' for number in range(9)) + ", {}", 304),
        (", ".join(f'"{number}"' for number in range(10)) + ", {}", 200),  # only so many are looked at
        ('"a"', 200),
    ],
)
def test_a_page_and_an_answer_that_is_made_agree_on_what_a_client_has(
    alice_client, targets, tags, status, cached, monkeypatch
):
    etag = alice_client.get(targets["list"])["ETag"]
    if not cached:
        monkeypatch.setattr(pages, "found_page", lambda _: None)

    assert alice_client.get(targets["list"], HTTP_IF_NONE_MATCH=tags.format(etag)).status_code == status


def test_a_304_says_nothing_of_a_body(alice_client, targets):
    etag = alice_client.get(targets["list"])["ETag"]

    answer = alice_client.get(targets["list"], HTTP_IF_NONE_MATCH=etag)

    assert answer.status_code == 304
    assert not {"Content-Type", "Content-Length"} & set(answer.headers)


def test_queries_of_other_bytes_have_other_pages(alice, alice_client):
    NoteFactory(user=alice, tags=["\u00e9"])

    found = alice_client.get("/api/notes/", QUERY_STRING="tags=\u00e9".encode().decode("latin-1"))
    others = alice_client.get("/api/notes/", QUERY_STRING="tags=%C3%83%C2%A9")

    assert (len(found.json()["results"]), others.json()["results"]) == (1, [])


@pytest.mark.parametrize("name", ["pending", "task"])
def test_a_head_counts_as_its_get_does(alice_client, targets, name):
    got, headed = alice_client.get(targets[name]), alice_client.head(targets[name])

    assert (got["RateLimit-Limit"], got["RateLimit-Remaining"]) == ("120", "119")
    assert (headed["RateLimit-Limit"], headed["RateLimit-Remaining"]) == ("120", "118")
