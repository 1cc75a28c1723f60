"""What is answered before Django begins is what Django would have answered, and leaves nothing behind."""

import logging
from io import BytesIO
from typing import Any

import orjson
import pytest
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import OperationalError, connection
from django.middleware.security import SecurityMiddleware
from django.test import RequestFactory
from django.urls import get_resolver, get_urlconf
from rest_framework.permissions import IsAuthenticated
from rest_framework.test import APIClient

from accounts.authentication import Attempt, SessionJWTAuthentication
from accounts.fast_reads import _CLIENT, _NOTHING_BUT_MIDDLEWARE, FastReadMiddleware
from accounts.models import User
from NoteAssist_AI.postgresql.base import DatabaseWrapper
from notes import reads
from notes.models import Note
from tests.accounts.helpers import refuse_to_read
from tests.conftest import client_of
from tests.factories import NoteFactory, SessionFactory
from tests.service_client import ServiceClient
from utils.caching import forget_pages_of
from utils.logging import RequestIdFilter, current_request_id
from utils.pages import FastReads
from utils.throttling import AdmissionThrottle

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

    for target in (*targets.values(), "/api/notes/0/", "/api/notes/?status=lost", "/api/search/", "/api/users/me/"):
        made, of_django, found = [told(client.get(target, **sent)) for client in (service, django, service)]

        assert made == found == of_django


def test_a_kind_of_client_is_shown_to_the_middleware_once(alice_client, targets, monkeypatch):
    alice_client.get(targets["list"])
    monkeypatch.setattr(SecurityMiddleware, "process_response", refuse_to_read)

    assert alice_client.get(targets["pending"]).status_code == 200
    with pytest.raises(OperationalError):
        alice_client.get(targets["pending"], HTTP_ORIGIN="https://new.example.com")


class Looked(dict):
    """Remembers what was looked at."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.keys_read = set()

    def __getitem__(self, key):
        self.keys_read.add(key)
        return super().__getitem__(key)

    def __contains__(self, key):
        self.keys_read.add(key)
        return super().__contains__(key)

    def get(self, key, default=None):
        self.keys_read.add(key)
        return super().get(key, default)


SAME_FOR_ALL = {"REQUEST_METHOD", "PATH_INFO", "wsgi.input", "CONTENT_TYPE", "CONTENT_LENGTH", "HTTP_X_REQUEST_ID"}
OF_PAGES_FOR_PEOPLE = {"HTTP_COOKIE", "HTTP_USER_AGENT"}  # no browser is kept out, and the API knows no cookies
NOTES_OF_DJANGO = {"CSRF_COOKIE_NEEDS_UPDATE"}
OF_ANOTHER_SERVER = {"SCRIPT_URL", "REDIRECT_URL"}  # Apache's ways to tell SCRIPT_NAME


def test_the_middleware_looks_at_nothing_else_of_a_client(settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    client = {
        "wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_ORIGIN": "https://app.example.com",
        "SERVER_NAME": "testserver", "SERVER_PORT": "80", "SCRIPT_NAME": "",
    }  # fmt: skip
    environ = Looked({"REQUEST_METHOD": "GET", "PATH_INFO": "/api/", "wsgi.input": BytesIO(), **client})
    request = WSGIRequest(environ)
    request.urlconf = _NOTHING_BUT_MIDDLEWARE

    assert WSGIHandler().get_response(request)["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert environ.keys_read <= {*_CLIENT} | SAME_FOR_ALL | OF_PAGES_FOR_PEOPLE | NOTES_OF_DJANGO | OF_ANOTHER_SERVER


@pytest.mark.parametrize("target", ["/api/notes/", "/api/nothing/"])
def test_a_refused_host_is_logged_as_django_alone_would_log_it(alice, target, caplog):
    def logged(client_class):
        caplog.clear()
        client_of(alice, client_class=client_class).get(target, HTTP_HOST="stranger.example.com")
        return [(record.name, record.getMessage()) for record in caplog.records]

    assert logged(ServiceClient) == logged(APIClient) != []


def test_a_failure_keeps_nothing_of_its_request(alice, targets):
    attempt = Attempt(failure=Note.DoesNotExist())

    with pytest.raises(Note.DoesNotExist):
        attempt.raise_failure()

    assert attempt.failure is None


def test_what_the_middleware_is_shown_leaves_the_thread_as_it_was(alice_client, targets):
    alice_client.get(targets["list"])

    assert get_urlconf() is None


def test_each_root_that_the_service_is_mounted_at_is_shown_to_the_middleware(alice_client, targets, monkeypatch):
    alice_client.get(targets["list"])
    monkeypatch.setattr(SecurityMiddleware, "process_response", refuse_to_read)

    with pytest.raises(OperationalError):
        alice_client.get(targets["pending"], SCRIPT_NAME="/below")


@pytest.mark.parametrize(
    "query", ["", "page_size=1", "page_size=1&tags=caf%E9", "page_size=1&tags=caf%C3%A9", "page_size=none"]
)
@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"SCRIPT_NAME": "/below"},
        {"SCRIPT_NAME": "/below/"},
        {"SCRIPT_NAME": "/café".encode().decode("latin-1")},
        {"CONTENT_TYPE": "text/plain; charset=latin-1"},
    ],
)
def test_a_read_knows_its_path_and_query_as_django_does(alice, query, sent):
    notes = NoteFactory.create_batch(21, user=alice, tags=["café"])
    session = SessionFactory(user=alice)
    target, sent = f"/api/notes/?{query}", {"HTTP_X_REQUEST_ID": "mine", **sent}
    made = told(client_of(alice, session).get(target, **sent))
    forget_pages_of(alice.pk)

    assert made == told(client_of(alice, session, client_class=APIClient).get(target, **sent))
    root = sent.get("SCRIPT_NAME", "").encode("latin-1").decode()
    if query in ("", "page_size=1"):
        page = orjson.loads(made[1])
        assert page["results"][0]["id"] == notes[-1].pk
        assert page["next"].startswith(f"{root.rstrip('/')}/api/notes/?")


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
    assert service_answer(alice, targets["list"])[2] == body  # found, but for the session, which is another
    assert connection.connection is None


@pytest.mark.django_db(transaction=True)
def test_an_answer_is_given_though_its_connection_cannot_be_given_back(alice, targets, monkeypatch, caplog):
    def fail(self):
        raise OperationalError

    with monkeypatch.context() as broken:
        broken.setattr(DatabaseWrapper, "close_if_unusable_or_obsolete", fail)
        status, _, _ = service_answer(alice, targets["list"])
    connection.close()

    assert status == "200 OK"
    assert "could not be given back" in caplog.text


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


def views_below(resolver) -> set[type]:
    found = set()
    for pattern in resolver.url_patterns:
        found |= (
            views_below(pattern) if hasattr(pattern, "url_patterns") else {getattr(pattern.callback, "cls", object)}
        )
    return found


def test_views_of_fast_reads_make_no_check_that_is_not_made_before_django():
    views = {view for view in views_below(get_resolver()) if issubclass(view, FastReads)}

    assert len(views) == 8
    for view in views:
        assert view.authentication_classes == [SessionJWTAuthentication]
        assert view.permission_classes == [IsAuthenticated]
        assert view.throttle_classes == [AdmissionThrottle]
