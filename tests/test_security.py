"""What an attacker tries first. Routes are found by walking the URL conf, so a new one is covered by being there."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import orjson
import pytest
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from django.utils import timezone
from drf_spectacular.generators import SchemaGenerator

from notes.transfers import NoteExport, NoteImport
from study import services
from study.models import Quiz, Recall
from tests.accounts.test_tokens import BAD_ACCESS_TOKENS
from tests.factories import (
    AITaskFactory,
    AttachmentFactory,
    CardFactory,
    ChapterFactory,
    ExamFactory,
    NoteFactory,
    NotificationFactory,
    ProposalFactory,
    SessionFactory,
    TopicFactory,
)
from tests.files.images import saved
from utils.http.uploads import max_upload_bytes
from utils.storage import store
from utils.streaming.uploads import UploadParser

NUMBER, NO_NUMBER = 424_242, 424_243
UUID, NO_UUID = uuid.UUID(int=NUMBER), uuid.UUID(int=NO_NUMBER)
SNAPSHOT = {"title": "Before", "status": "draft", "tags": [], "chapters": []}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

PUBLIC_PAGES = {"/", "/sw.js", "/favicon.ico", "/healthz/live", "/healthz/ready", "/api/", "/api/schema/", "/api/docs/"}
OPEN_TO_EVERYBODY = {
    ("POST", "/api/auth/register/"),
    ("POST", "/api/auth/login/"),
    ("POST", "/api/auth/refresh/"),
    ("POST", "/api/auth/password/reset/"),
    ("POST", "/api/auth/password/reset/confirm/"),
    *((method, path) for path in ("/s/<slug>/", "/s/<slug>/files/<pk>/") for method in METHODS),  # for who has a link
    *((method, "/api/study/calendars/<token>.ics") for method in METHODS),  # for who has a link
    *((method, "/metrics") for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),  # a token of its own
}
"""Every way in without a token. Whoever adds one says so here. (The admin has a test of its own below.)"""

READ_NO_BODY = {
    "/api/auth/logout/",
    "/api/auth/logout-all/",
    "/api/auth/stream-ticket/",
    "/api/ai/tasks/<pk>/cancel/",
    "/api/ai/tasks/<pk>/retry/",
    "/api/notes/<pk>/restore/",
    "/api/notes/imports/<pk>/cancel/",
    "/api/notes/<note_pk>/versions/<version>/restore/",
    "/api/study/cards/<pk>/suspend/",
    "/api/study/cards/<pk>/unsuspend/",
    "/api/study/cards/<pk>/reset/",
    "/api/study/cards/<pk>/confirm/",
    "/api/study/reviews/<pk>/undo/",
    "/api/study/exams/<pk>/calendar-link/",
}
"""Routes whose POST takes no body, so there is nothing in it to refuse."""

BODIES = {
    "ExamWriteRequest": {
        "title": "Biology",
        "at": "2027-06-01T09:00:00Z",
        "scope": {"tags": ["cells"]},
        "minutes_per_day": dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), 30),
    },
}
"""Bodies that are more than their fields, by the name of their schema."""


CALENDAR = "/api/study/calendars/<token>.ics"
WITH_A_LINK = {"/s/<slug>/", "/s/<slug>/files/<pk>/", "/api/shares/<slug>/copy/", CALENDAR}
"""Routes about what its owner has given away by a link, whoever asks."""

UPLOADS = {"/api/notes/<note_pk>/attachments/", "/api/notes/imports/", "/api/study/media/"}
"""Routes whose POST takes a form with a file."""


@dataclass(frozen=True)
class Route:
    """A path with ``<name>`` for each of its parameters, and the methods that its view answers."""

    path: str
    methods: tuple[str, ...]
    kinds: tuple[tuple[str, str], ...]

    def __str__(self) -> str:
        return self.path

    def url(self, *, exists: bool = True) -> str:
        """The URL of Alice's object, or of one that nobody has."""
        samples = {"int": NUMBER if exists else NO_NUMBER, "uuid": UUID if exists else NO_UUID, "slug": "slug"}
        url = self.path
        for index, (name, kind) in enumerate(self.kinds):
            # Deeper parameters number what is inside the first one's object.
            url = url.replace(f"<{name}>", "1" if index and kind == "int" else str(samples[kind]))
        return url


def walk(patterns: list[Any], prefix: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from walk(pattern.url_patterns, path)
        else:
            yield path, pattern


def methods_of(callback: Any) -> tuple[str, ...]:
    actions = getattr(callback, "actions", None)
    view = getattr(callback, "cls", None) or getattr(callback, "view_class", None)
    names = actions or [name for name in view.http_method_names if hasattr(view, name)] if view else METHODS
    return tuple(method for method in METHODS if method.lower() in names or method in names)


def read_route(raw: str, pattern: URLPattern) -> Route:
    kinds = tuple((name, kind or "int") for kind, name in re.findall(r"<(?:(\w+):)?(\w+)>", raw))
    if "uuid" not in raw and ("0-9a-f" in raw or "a-f0-9" in raw):
        kinds = tuple((name, "uuid") for name, _ in kinds)
    path = simplify_regex(re.sub(r"<\w+:(\w+)>", r"<\1>", raw)).replace("//", "/")
    return Route(path, methods_of(pattern.callback), kinds)


def routes() -> list[Route]:
    """Every route but the admin's and the one that answers whatever matched nothing."""
    found = {}
    for raw, pattern in walk(get_resolver().url_patterns):
        if not raw.startswith(("admin/", "__debug__/")) and pattern.name != "not-found" and "format" not in raw:
            route = read_route(raw, pattern)
            found[route.path, route.methods] = route
    return list(found.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "route" in metafunc.fixturenames:
        metafunc.parametrize("route", routes(), ids=str)
    if "object_route" in metafunc.fixturenames:
        metafunc.parametrize(
            "object_route", [route for route in routes() if route.kinds and route.path not in WITH_A_LINK], ids=str
        )


def send(client, method: str, url: str, body: Any = None):
    if method == "POST" and max_upload_bytes(method, url):
        form = {**(body or {}), "file": SimpleUploadedFile("a.png", saved("PNG"))}
        return client.post(url, form, format="multipart", HTTP_X_REQUEST_ID="1")
    data = {} if body is None and method != "GET" else body
    response = client.generic(
        method,
        url,
        b"" if data is None else orjson.dumps(data),
        content_type="application/json",
        HTTP_X_REQUEST_ID="1",
    )
    if response.streaming and "Content-Length" in response:
        response.getvalue()
    elif response.streaming:
        response.close()  # as a server would when its client goes
    return response


@cache
def api() -> dict[str, Any]:
    """The API's description, its paths without the names of their parameters."""
    described = SchemaGenerator().get_schema(request=None, public=True)
    return {**described, "paths": {re.sub(r"{\w+}", "{}", path): it for path, it in described["paths"].items()}}


def body_for(route: Route, method: str) -> Any:
    """The least that the method takes, so that nothing is wrong with a request but whose object it is about."""
    operation = api()["paths"][re.sub(r"<\w+>", "{}", route.path)][method.lower()]
    if "requestBody" not in operation or route.path in UPLOADS:
        return None
    return sample(operation["requestBody"]["content"]["application/json"]["schema"])


def sample(schema: dict[str, Any]) -> Any:
    match schema:
        case {"$ref": path}:
            name = path.rpartition("/")[2]
            return BODIES.get(name) or sample(api()["components"]["schemas"][name])
        case {"allOf": [first, *_]} | {"oneOf": [first, *_]}:
            return sample(first)
        case {"enum": [first, *_]}:
            return first
        case {"type": "object", "properties": properties}:
            names = schema.get("required") or list(properties)[:1]
            return {name: sample(properties[name]) for name in names}
        case {"type": "array", "items": {"type": "integer"} as item}:
            return [sample(item)]
        case {"type": "array"}:
            return []
        case {"type": "integer"}:
            return schema.get("minimum", NUMBER)
        case {"type": "string"}:
            return "x" * schema.get("minLength", 1)
    raise NotImplementedError(f"Teach sample() in {__file__} to make a value for the schema {schema}.")


def test_the_walk_finds_the_routes():
    paths = {route.path for route in routes()}

    assert {"/", "/healthz/live", "/api/auth/login/", "/api/auth/sessions/<pk>/", "/api/notes/<pk>/"} <= paths
    for route in routes():
        resolve(route.url())


def test_anonymous_clients_reach_only_the_listed_routes(client, db, route, no_limits):
    reached = set()
    for method in route.methods:
        response = send(client, method, route.url(), {})
        if response.status_code == 401:
            assert response["WWW-Authenticate"] == "Bearer"
            assert response.json()["code"] == "not_authenticated"
        else:
            reached.add((method, route.path))

    allowed = {way for way in OPEN_TO_EVERYBODY if way[1] == route.path}
    assert route.path in PUBLIC_PAGES or reached == allowed, (
        f"Without a token {sorted(reached)} answered with something else than 401; OPEN_TO_EVERYBODY has "
        f"{sorted(allowed)}. A view needs a token unless it says otherwise; if this one is to be open, name it there."
    )


def test_nothing_is_named_that_is_not_there():
    there = {(method, route.path) for route in routes() for method in route.methods}

    gone = OPEN_TO_EVERYBODY - there
    assert not gone, f"Take these out of OPEN_TO_EVERYBODY: {gone}"
    gone = (PUBLIC_PAGES | READ_NO_BODY) - {path for _, path in there}
    assert not gone, f"Take these out of PUBLIC_PAGES and READ_NO_BODY: {gone}"


def test_the_admin_needs_authentication(client, db):
    paths = [raw for raw, _ in walk(get_resolver().url_patterns) if raw.startswith("admin/")]
    assert len(paths) > 20
    for raw in paths:
        url = "/" + re.sub(r"<[^>]+>|\(\?P<[^>]+>[^)]*\)", "1", raw).replace("$", "").replace("^", "").replace(
            "\\Z", ""
        )
        response = client.get(url)
        if url not in ("/admin/login/", "/admin/logout/"):
            assert response.status_code == 302, url
            assert response["Location"].startswith("/admin/login/"), url


@pytest.fixture
def belongings(alice, files) -> None:
    """One of everything of Alice's, under ids that the test knows."""
    note = NoteFactory(pk=NUMBER, user=alice, version=2)
    topic = TopicFactory(pk=NUMBER, chapter=ChapterFactory(pk=NUMBER, note=note))
    note.versions.create(version=1, snapshot=SNAPSHOT, reason="edit")
    ProposalFactory(pk=UUID, topic=topic, task=AITaskFactory(pk=UUID, user=alice, topic=topic))
    NoteImport.objects.create(pk=UUID, user=alice, name="a.md")
    store("exports/00/0", BytesIO(b"%PDF"))
    NoteExport.objects.create(pk=UUID, user=alice, note=note, note_version=2, status="succeeded", file="exports/00/0")
    NotificationFactory(pk=UUID, user=alice)
    SessionFactory(pk=NUMBER, user=alice)
    note.shares.create(pk=UUID, slug="slug-of-alice")
    attachment = AttachmentFactory(pk=UUID, note=note)
    store(attachment.file, BytesIO(b"1"))
    CardFactory(pk=UUID, user=alice)
    services.create_quiz(user_id=alice.pk, note_ids=[NUMBER], tags=[], count=1, kinds=["gap"], language="")
    services.create_recall(user_id=alice.pk, topic_id=NUMBER, text="x")
    Quiz.objects.update(id=UUID)
    Recall.objects.update(id=UUID)
    at = timezone.now()
    services.record_reviews(user_id=alice.pk, reviews=[services.Review(UUID, UUID, 1, "good", at, None)])
    ExamFactory(pk=UUID, user=alice)


def rows() -> dict[str, list[dict[str, Any]]]:
    ours = ("accounts", "notes", "ai_tasks", "study", "notifications", "utils")
    models = [model for model in apps.get_models() if model._meta.app_label in ours]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_another_users_object_is_like_a_missing_one(belongings, charlie_client, object_route, no_limits):
    before = rows()

    for method in object_route.methods:
        body = body_for(object_route, method)
        theirs = send(charlie_client, method, object_route.url(), body)
        none = send(charlie_client, method, object_route.url(exists=False), body)

        assert theirs.status_code == none.status_code == 404, (
            f"{method}: a stranger gets {theirs.status_code} for what is Alice's, {none.status_code} for what is not "
            f"there. Both must be 404: find the object with owned_by(user_id). {theirs.content!r}"
        )
        assert theirs.content == none.content, f"{method}: the answers differ, so a stranger learns what exists."

    assert rows() == before, "A stranger's request changed something."


def test_the_object_that_others_are_refused_is_there(belongings, alice_client, object_route, no_limits):
    """Else the test above proves nothing about a new route: give Alice what it is about in ``belongings``."""
    for method in object_route.methods:
        response = send(alice_client, method, object_route.url(), body_for(object_route, method))

        assert response.status_code in (200, 201, 202, 204, 409), (
            f"{method} as Alice answered {response.status_code}: make her what {object_route} is about in "
            f"belongings() above, with pk=NUMBER (or UUID). {getattr(response, 'content', b'')!r}"
        )


def test_no_route_takes_what_only_the_server_sets(belongings, alice_client, route, no_limits):
    """Mass assignment: a member that the route does not know is refused, never taken and never skipped in silence."""
    smuggled = {
        "id": 7,
        "user": 7,
        "user_id": 7,
        "is_staff": True,
        "token_version": 7,
        "version": 7,
        "status": "succeeded",
    }
    if route.path in READ_NO_BODY or route.path == CALENDAR or not route.path.startswith("/api/"):
        return
    for method in set(route.methods) & {"POST", "PUT", "PATCH"}:
        response = send(alice_client, method, route.url(), smuggled)

        assert response.status_code == 400, (
            f"{method} answered {response.status_code}: read the body with a StrictSerializer, which refuses unknown "
            "fields; a route that reads no body goes into READ_NO_BODY."
        )
        refused = {error["pointer"] for error in response.json()["errors"] if error["code"] == "unknown_field"}
        taken = {"/id", "/user", "/user_id", "/is_staff", "/token_version"} - refused
        assert not taken, f"{method} takes or skips {taken}: read the body with a StrictSerializer."


@pytest.mark.parametrize("token", BAD_ACCESS_TOKENS.values(), ids=BAD_ACCESS_TOKENS.keys())
def test_no_forged_token_opens_anything(client, db, token):
    response = client.get("/api/users/me/", HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_X_REQUEST_ID="1")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["code"] == "token_invalid"


def test_every_view_that_receives_files_is_known_to_the_servers_and_no_other():
    """They begin a thread before the body has come, which only such a view may be trusted with."""
    receiving = {
        route.path
        for raw, pattern in walk(get_resolver().url_patterns)
        if UploadParser in getattr(getattr(pattern.callback, "cls", None), "parser_classes", ())
        for route in [read_route(raw, pattern)]
        if "POST" in route.methods
    }
    known = {route.path for route in routes() if max_upload_bytes("POST", route.url())}

    assert receiving == known == UPLOADS
