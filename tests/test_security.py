"""What an attacker tries first. Routes are found by walking the URL conf, so a new one is covered by being there."""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
import pytest
from django.apps import apps
from django.contrib.admindocs.views import simplify_regex
from django.urls import URLPattern, URLResolver, get_resolver, resolve
from drf_spectacular.generators import SchemaGenerator

from tests.accounts.test_tokens import BAD_ACCESS_TOKENS
from tests.factories import (
    AITaskFactory,
    ChapterFactory,
    NoteFactory,
    NotificationFactory,
    SessionFactory,
    TopicFactory,
)

NUMBER, NO_NUMBER = 424_242, 424_243
UUID, NO_UUID = uuid.UUID(int=NUMBER), uuid.UUID(int=NO_NUMBER)
SNAPSHOT = {"title": "Before", "status": "draft", "tags": [], "chapters": []}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

PUBLIC_PAGES = {"/", "/healthz/live", "/healthz/ready", "/api/schema/", "/api/docs/"}
OPEN_TO_EVERYBODY = {
    ("POST", "/api/auth/register/"),
    ("POST", "/api/auth/login/"),
    ("POST", "/api/auth/refresh/"),
    ("POST", "/api/auth/password/reset/"),
    ("POST", "/api/auth/password/reset/confirm/"),
}
"""Every way in without a token. Whoever adds one says so here. (The admin has a test of its own below.)"""

READ_NO_BODY = {
    "/api/auth/logout/",
    "/api/auth/logout-all/",
    "/api/auth/stream-ticket/",
    "/api/ai/tasks/<pk>/cancel/",
    "/api/ai/tasks/<pk>/retry/",
    "/api/notes/<pk>/restore/",
    "/api/notes/<note_pk>/versions/<version>/restore/",
}
"""Routes whose POST takes no body, so there is nothing in it to refuse."""


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
        samples = {"int": NUMBER if exists else NO_NUMBER, "uuid": UUID if exists else NO_UUID}
        url = self.path
        for index, (name, kind) in enumerate(self.kinds):
            # Deeper parameters number what is inside the first one's object.
            url = url.replace(f"<{name}>", "1" if index else str(samples[kind]))
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
        metafunc.parametrize("object_route", [route for route in routes() if route.kinds], ids=str)


def send(client, method: str, url: str, body: Any = None):
    data = {} if body is None and method != "GET" else body
    response = client.generic(
        method,
        url,
        b"" if data is None else orjson.dumps(data),
        content_type="application/json",
        HTTP_X_REQUEST_ID="1",
    )
    if response.streaming:
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
    if "requestBody" not in operation:
        return None
    return sample(operation["requestBody"]["content"]["application/json"]["schema"])


def sample(schema: dict[str, Any]) -> Any:
    match schema:
        case {"$ref": name}:
            return sample(api()["components"]["schemas"][name.rpartition("/")[2]])
        case {"allOf": [first, *_]} | {"oneOf": [first, *_]}:
            return sample(first)
        case {"enum": [first, *_]}:
            return first
        case {"type": "object", "properties": properties}:
            names = schema.get("required") or list(properties)[:1]
            return {name: sample(properties[name]) for name in names}
        case {"type": "array"}:
            return []
        case {"type": "integer"}:
            return schema.get("minimum", NUMBER)
        case {"type": "string"}:
            return "x" * schema.get("minLength", 1)
    raise NotImplementedError(f"What does {schema} take?")


def test_the_walk_finds_the_routes():
    paths = {route.path for route in routes()}

    assert {"/", "/healthz/live", "/api/auth/login/", "/api/auth/sessions/<pk>/", "/api/notes/<pk>/"} <= paths
    for route in routes():
        resolve(route.url())


def test_anonymous_reaches_what_is_named_and_nothing_else(client, db, route, no_limits):
    reached = set()
    for method in route.methods:
        response = send(client, method, route.url(), {})
        if response.status_code == 401:
            assert response["WWW-Authenticate"] == "Bearer"
            assert response.json()["code"] == "not_authenticated"
        else:
            reached.add((method, route.path))

    assert route.path in PUBLIC_PAGES or reached == {way for way in OPEN_TO_EVERYBODY if way[1] == route.path}


def test_nothing_is_named_that_is_not_there():
    there = {(method, route.path) for route in routes() for method in route.methods}

    assert there >= OPEN_TO_EVERYBODY
    assert {path for _, path in there} >= PUBLIC_PAGES | READ_NO_BODY


def test_the_admin_lets_nobody_in_without_signing_in(client, db):
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
def belongings(alice) -> None:
    """One of everything of Alice's, under ids that the test knows."""
    note = NoteFactory(pk=NUMBER, user=alice, version=2)
    topic = TopicFactory(pk=NUMBER, chapter=ChapterFactory(pk=NUMBER, note=note))
    note.versions.create(version=1, snapshot=SNAPSHOT, reason="edit")
    AITaskFactory(pk=UUID, user=alice, topic=topic)
    NotificationFactory(pk=UUID, user=alice)
    SessionFactory(pk=NUMBER, user=alice)


def rows() -> dict[str, list[dict[str, Any]]]:
    ours = ("accounts", "notes", "ai_tasks", "notifications", "utils")
    models = [model for model in apps.get_models() if model._meta.app_label in ours]
    return {model.__name__: list(model._default_manager.order_by("pk").values()) for model in models}


def test_somebody_elses_object_is_like_none(belongings, charlie_client, object_route, no_limits):
    before = rows()

    for method in object_route.methods:
        body = body_for(object_route, method)
        theirs = send(charlie_client, method, object_route.url(), body)
        none = send(charlie_client, method, object_route.url(exists=False), body)

        assert theirs.status_code == none.status_code == 404, method
        assert theirs.content == none.content, method

    assert rows() == before


def test_the_object_that_others_are_refused_is_there(belongings, alice_client, object_route, no_limits):
    """Else the test above proves nothing about a new route: give Alice what it is about in ``belongings``."""
    for method in object_route.methods:
        response = send(alice_client, method, object_route.url(), body_for(object_route, method))

        assert response.status_code in (200, 201, 202, 204, 409), method


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
    if route.path in READ_NO_BODY or not route.path.startswith("/api/"):
        return
    for method in set(route.methods) & {"POST", "PUT", "PATCH"}:
        response = send(alice_client, method, route.url(), smuggled)

        assert response.status_code == 400, method
        refused = {error["pointer"] for error in response.json()["errors"] if error["code"] == "unknown_field"}
        assert {"/id", "/user", "/user_id", "/is_staff", "/token_version"} <= refused, method


@pytest.mark.parametrize("token", BAD_ACCESS_TOKENS.values(), ids=BAD_ACCESS_TOKENS.keys())
def test_no_forged_token_opens_anything(client, db, token):
    response = client.get("/api/users/me/", HTTP_AUTHORIZATION=f"Bearer {token}", HTTP_X_REQUEST_ID="1")

    assert response.status_code == 401
    assert response["WWW-Authenticate"] == "Bearer"
    assert response.json()["code"] == "token_invalid"
