"""What is answered before Django begins is what Django would have answered, and leaves nothing behind."""

from collections.abc import Callable
from io import BytesIO
from time import perf_counter
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import OperationalError, connection
from django.test import RequestFactory
from django.urls import get_urlconf
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import User
from NoteAssist_AI.before_django import _CLIENT, _EMPTY_URLCONF, FastReadMiddleware
from tests.accounts.helpers import TARGETS
from tests.conftest import client_of
from tests.database_faults import locked
from tests.factories import NoteFactory, SessionFactory
from tests.log_lines import RequestIdFilter
from tests.service_client import ServiceClient
from utils import middleware
from utils.middleware import NOT_OBSERVED, STARTED_AT
from utils.monitoring.context import current_request_id
from utils.page_cache.invalidation import forget_pages_of
from utils.postgresql.base import DatabaseWrapper

pytestmark = pytest.mark.usefixtures("handled_by")

OF_EACH_REQUEST = {"RateLimit", "RateLimit-Remaining", "RateLimit-Reset"}
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
        {"HTTP_AUTHORIZATION": ""},
        {"HTTP_IF_NONE_MATCH": "*"},
    ],
)
@pytest.mark.parametrize("tls", [False, True])
def test_a_read_has_the_headers_that_django_alone_would_send(alice, targets, sent, tls, settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = tls, 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    session = SessionFactory(user=alice)
    django, service = client_of(alice, session, client_class=APIClient), client_of(alice, session)

    sent = {"HTTP_X_REQUEST_ID": "mine", **sent}

    for target in (
        *targets.values(),
        "/api/notes/0/",
        f"/api/ai/tasks/{UUID(int=0)}/",
        "/api/notes/?status=lost",
        "/api/search/",
        "/api/search/?" + "q=a&" * 1001,
        "/api/users/me/",
    ):
        made, of_django, found = [told(client.get(target, **sent)) for client in (service, django, service)]

        assert made == found == of_django


class Counting:
    """Middleware that counts what it is shown."""

    count = 0

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        Counting.count += 1
        return self.get_response(request)


@pytest.fixture
def shown(settings) -> Callable[[], int]:
    """How often the middleware was shown something since the last call."""
    settings.MIDDLEWARE = [f"{__name__}.Counting", *settings.MIDDLEWARE]
    Counting.count = 0

    def since() -> int:
        count, Counting.count = Counting.count, 0
        return count

    return since


def test_a_kind_of_client_is_shown_to_the_middleware_once(shown, alice_client, targets):
    alice_client.get(targets["list"])
    assert shown() == 1

    assert alice_client.get(targets["pending"]).status_code == 200
    assert shown() == 0
    alice_client.get(targets["pending"], HTTP_ORIGIN="https://new.example.com")
    assert shown() == 1


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
NOTES_OF_OURS = {NOT_OBSERVED, STARTED_AT}


def test_the_middleware_reads_nothing_else_of_a_client(settings):
    settings.CORS_ALLOWED_ORIGINS = ["https://app.example.com"]
    settings.SECURE_SSL_REDIRECT, settings.SECURE_HSTS_SECONDS = True, 60
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    client = {
        "wsgi.url_scheme": "http", "HTTP_X_FORWARDED_PROTO": "https", "HTTP_ORIGIN": "https://app.example.com",
        "SERVER_NAME": "testserver", "SERVER_PORT": "80", "SCRIPT_NAME": "",
    }  # fmt: skip
    environ = Looked({"REQUEST_METHOD": "GET", "PATH_INFO": "/api/", "wsgi.input": BytesIO(), **client})
    request = WSGIRequest(environ)
    request.urlconf = _EMPTY_URLCONF

    assert WSGIHandler().get_response(request)["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert (
        environ.keys_read
        <= {*_CLIENT} | SAME_FOR_ALL | OF_PAGES_FOR_PEOPLE | NOTES_OF_DJANGO | OF_ANOTHER_SERVER | NOTES_OF_OURS
    )


def test_refused_hosts_are_one_short_warning_a_minute_also_of_fast_reads(alice_client, caplog, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(middleware, "time", SimpleNamespace(monotonic=lambda: now, perf_counter=perf_counter))

    def refused(target: str) -> None:
        response = alice_client.get(target, HTTP_HOST="stranger.example.com")
        assert (response.status_code, response.json()["code"]) == (400, "bad_request")

    for target in ("/api/notes/", "/api/nothing/", "/admin/", "/api/notes/", "/healthz/"):
        refused(target)
    now += 61
    refused("/api/notes/")

    told = [(record.levelname, record.exc_info, record.getMessage()) for record in caplog.records]
    assert told == [
        ("WARNING", None, "ALLOWED_HOSTS refused 1 requests, the last one for 'stranger.example.com'"),
        ("WARNING", None, "ALLOWED_HOSTS refused 5 requests, the last one for 'stranger.example.com'"),
    ]


def test_what_the_middleware_is_shown_leaves_the_thread_as_it_was(alice_client, targets):
    alice_client.get(targets["list"])

    assert get_urlconf() is None


def test_each_root_that_the_service_is_mounted_at_is_shown_to_the_middleware(shown, alice_client, targets):
    alice_client.get(targets["list"])
    assert shown() == 1

    alice_client.get(targets["pending"], SCRIPT_NAME="/below")

    assert shown() == 1


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


def test_developers_run_what_production_runs(alice_client, targets, settings, without_django):
    settings.DEBUG = True

    first, second = alice_client.get(targets["list"]), alice_client.get(targets["list"])
    assert (first["X-Query-Count"], first["X-Page-Cache"]) == ("2", "miss")  # the session and the list
    assert (second["X-Query-Count"], second["X-Page-Cache"]) == ("0", "hit")


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
def test_a_response_is_sent_although_its_connection_cannot_be_released(alice, targets, monkeypatch, caplog):
    def fail(self):  # Django's own: no fault of PostgreSQL is known that makes it fail
        raise OperationalError

    with monkeypatch.context() as broken:
        broken.setattr(DatabaseWrapper, "close_if_unusable_or_obsolete", fail)
        status, _, _ = service_answer(alice, targets["list"])
    connection.close()

    assert status == "200 OK"
    assert "could not be released" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_a_read_that_fails_gives_its_connection_back(alice):
    connection.ensure_connection()  # as if the read had taken one

    assert service_answer(alice, "/api/notes/0/")[0] == "404 Not Found"
    assert connection.connection is None


@pytest.mark.parametrize("name", TARGETS)
def test_a_refusal_without_django_is_not_logged(alice, targets, name, settings, without_django, caplog):
    rates = dict.fromkeys(settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "1/min")
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    client, ended = client_of(alice), client_of(alice, SessionFactory(user=alice, revoked_at=timezone.now()))

    statuses = [client.get(targets[name]).status_code for _ in range(2)]
    statuses.append(ended.get(targets[name]).status_code)
    statuses.append(ServiceClient().get(targets[name]).status_code)

    assert statuses == [200, 429, 401, 401]
    assert caplog.records == []


def test_a_used_up_limit_gets_the_response_that_django_alone_would_send(alice, targets, settings):
    rates = {**settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"], "burst": "1/min", "poll": "1/min"}
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": rates}
    session = SessionFactory(user=alice)
    service, django = client_of(alice, session), client_of(alice, session, client_class=APIClient)
    service.get(targets["list"]), service.get(targets["pending"])

    for target in targets.values():
        status, content, headers = told(service.get(target, HTTP_X_REQUEST_ID="mine"))
        of_django = told(django.get(target, HTTP_X_REQUEST_ID="mine"))

        assert status == 429
        assert abs(int(headers.pop("Retry-After")) - int(of_django[2].pop("Retry-After"))) <= 1
        assert (status, content, headers) == of_django


def test_log_lines_of_a_read_name_its_request(alice_client, targets, caplog, dead_redis, handled_by):
    """But for that of a round trip of many requests."""
    caplog.handler.addFilter(RequestIdFilter())

    answer = alice_client.get(targets["list"], HTTP_X_REQUEST_ID="mine")

    assert answer["X-Request-ID"] == "mine"
    named = {record.request_id for record in caplog.records if record.name.startswith("utils.redis")}
    assert named == {None if handled_by == "an event loop" else "mine"}
    assert current_request_id.get() == ""


@pytest.mark.django_db(transaction=True)
def test_a_failure_of_a_read_names_the_same_request_everywhere(alice_client, targets, warm, caplog):
    caplog.handler.addFilter(RequestIdFilter())
    warm(alice_client)

    with locked("notes_note"):
        answer = alice_client.get(targets["list"])

    assert answer.status_code == 503
    said = {record.request_id for record in caplog.records if record.name == "utils.http.errors"}
    assert {answer.json()["request_id"], answer["X-Request-ID"]} == said


@pytest.mark.django_db(transaction=True)
def test_a_failure_has_rate_limit_headers_and_counts_once(alice_client, targets):
    first = alice_client.get(targets["list"])

    with locked("notes_note"):
        failed = alice_client.get(targets["detail"])

    assert (failed.status_code, failed["RateLimit-Limit"]) == (503, "60")
    assert int(failed["RateLimit-Remaining"]) == int(first["RateLimit-Remaining"]) - 1
