"""HTTP as others speak it: queries, tags that servers in front have changed, limits, and plain HTTP."""

import gzip
import re

import pytest
from django.urls import get_resolver
from rest_framework.test import APIClient

from tests.conftest import client_of
from tests.factories import NoteFactory, TopicFactory
from tests.service_client import ServiceClient
from tests.test_security import METHODS, routes, walk
from utils.http.query import parameters_of

ORIGIN = "https://app.example.com"


@pytest.mark.django_db
def test_every_route_refuses_a_parameter_that_it_does_not_know(alice_client, no_limits):
    for route in routes():
        if not route.path.startswith("/api/") or route.path.endswith(".ics"):
            continue  # programs that read calendars add parameters of their own
        for method in route.methods:
            response = alice_client.generic(method, f"{route.url()}?a/b=1", content_type="application/json")

            assert (response.status_code, response["Content-Type"]) == (400, "application/problem+json"), route
            assert response.json()["errors"] == [
                {"pointer": "/a~1b", "code": "unknown_parameter", "detail": "This parameter is not known here."}
            ]


def test_fast_reads_and_django_refuse_the_same_parameters(alice):
    note = NoteFactory(user=alice)
    clients = [client_of(alice), client_of(alice, client_class=APIClient)]
    for path in (f"/api/notes/{note.pk}/", "/api/notes/", "/api/search/?q=loops", "/api/users/me/", "/api/tags/"):
        kept = clients[0].get(path)  # a page that is kept is not what such a query gets
        answers = [client.get(f"{path}{'&' if '?' in path else '?'}statsu=draft") for client in clients]

        assert [answer.status_code for answer in answers] == [400, 400], path
        assert answers[0].json()["errors"] == answers[1].json()["errors"]
        assert clients[0].get(path).content == kept.content


def test_the_parameters_that_views_name_are_those_that_the_schema_tells(schema):
    told = {}
    for raw, pattern in walk(get_resolver().url_patterns):
        if raw.startswith("api/") and hasattr(pattern.callback, "cls") and pattern.name not in ("schema", "docs"):
            path = (
                re.sub(r"\(\?P<(\w+)>[^()]*\)|<(?:\w+:)?(\w+)>", r"{\1\2}", "/" + raw).replace("^", "").replace("$", "")
            )
            for method in METHODS:
                if (names := parameters_of(pattern.callback, method)) is not None:
                    told[_shape(path), method.lower()] = set(names)

    described = {
        (_shape(path), method): {p["name"] for p in operation.get("parameters", []) if p.get("in") == "query"}
        for path, operations in schema["paths"].items()
        for method, operation in operations.items()
        if method.upper() in METHODS
    }
    for key in told.keys() & {key for key in described if "/events/" in key[0] or "/stream/" in key[0]}:
        described[key].add("ticket")  # a way to sign in, which the schema tells among those
    assert told == described


def _braced(found: re.Match[str]) -> str:
    return "{}" if "<" in found[0] else ""


def _shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


@pytest.mark.parametrize("suffix", ["-gzip", ";gzip", "--gzip", "-br", "--br", "-df", "-zstd", ";br"])
def test_a_tag_that_a_compressing_server_changed_is_known(
    alice, alice_client, no_limits, django_capture_on_commit_callbacks, suffix
):
    topic = TopicFactory(chapter__note__user=alice)
    note = topic.chapter.note

    def patch(path, tag):
        with django_capture_on_commit_callbacks(execute=True):
            return alice_client.patch(path, {"title": f"after {tag}"}, format="json", headers={"If-Match": tag})

    page = f"/api/notes/{note.pk}/"
    assert patch(page, '"1"')["ETag"] == '"2"'

    assert alice_client.get(page, headers={"If-None-Match": f'W/"2{suffix}"'}).status_code == 304
    assert alice_client.get(page, headers={"If-None-Match": f'"1{suffix}"'}).status_code == 200
    assert patch(page, f'"1{suffix}"').status_code == 412
    assert patch(page, f'"2{suffix}"').json()["version"] == 3
    assert patch(f"/api/topics/{topic.pk}/", f'"{note.pk}-3{suffix}"').json()["version"] == 4


def test_every_limit_is_told_as_the_draft_has_it_and_the_old_three_beside(alice_client, client, settings, alice):
    settings.CORS_ALLOWED_ORIGINS = [ORIGIN]
    read = alice_client.get("/api/notes/", headers={"Origin": ORIGIN})
    made = alice_client.post("/api/notes/", {"title": "x"}, format="json")
    login = client.post("/api/auth/login/", {"email": "alice@example.com", "password": "no"}, format="json")

    assert read["RateLimit-Policy"] == made["RateLimit-Policy"] == '"burst";q=60;w=60, "sustained";q=1000;w=86400'
    assert re.fullmatch(r'"burst";r=59;t=(60|59), "sustained";r=999;t=(86400|86399)', read["RateLimit"])
    assert made["RateLimit"].startswith('"burst";r=58;t=')
    assert (made["RateLimit-Limit"], made["RateLimit-Remaining"]) == ("60", "58")
    assert login["RateLimit-Policy"] == '"login";q=10;w=60, "login-address";q=50;w=60, "login-account";q=100;w=60'
    assert login["RateLimit"] == '"login";r=9;t=60, "login-address";r=49;t=60, "login-account";r=99;t=60'
    exposed = set(read["Access-Control-Expose-Headers"].split(", "))
    assert exposed >= {"RateLimit", "RateLimit-Policy", "RateLimit-Limit", "Content-Disposition", "WWW-Authenticate"}


def test_a_path_without_its_slash_is_told_so(client, db):
    for path, hint in [
        ("/api/notes", " Paths end with a slash: /api/notes/"),
        ("/api/notes/1", " Paths end with a slash: /api/notes/1/"),
        ("/api/auth/login", " Paths end with a slash: /api/auth/login/"),
        ("/api/nothing", ""),
        ("/api/nothing/", ""),
    ]:
        for method in ("get", "post"):
            response = getattr(client, method)(path)
            assert (response.status_code, response.json()["detail"]) == (404, "Not found." + hint)


def test_the_api_begins_with_links_that_lead_somewhere(client, db):
    response = client.get("/api/")

    assert response.status_code == 200
    assert response.json()["links"]["notes"] == "/api/notes/"
    open_to_all = {
        "/api/docs/": 200,
        "/api/schema/": 200,
        "/api/auth/register/": 405,  # a POST
        "/api/auth/login/": 405,
        "/api/auth/refresh/": 405,
    }
    links = response.json()["links"].values()
    assert {path: client.get(path).status_code for path in links} == dict.fromkeys(links, 401) | open_to_all


def test_what_is_written_over_plain_http_is_refused_and_reads_are_redirected(client, db, settings):
    body = {"email": "alice@example.com", "password": "secret-words"}
    settings.SECURE_SSL_REDIRECT = True

    refused = client.post("/api/auth/login/", body, format="json")
    redirected = client.get("/api/notes/")
    secure = client.post("/api/auth/login/", body, format="json", secure=True)

    assert (refused.status_code, refused["Content-Type"]) == (400, "application/problem+json")
    assert (refused.json()["code"], "Location" in refused) == ("https_required", False)
    assert (redirected.status_code, redirected["Location"]) == (301, "https://testserver/api/notes/")
    assert secure.status_code == 401
    settings.SECURE_SSL_REDIRECT = False
    assert ServiceClient().post("/api/auth/login/", body, format="json").status_code == 401


@pytest.mark.parametrize("coding", ["gzip", "br", "gzip, identity"])
def test_a_compressed_body_is_told_that_it_may_not_be(client, db, coding):
    response = client.post(
        "/api/auth/login/", gzip.compress(b"{}"), content_type="application/json", headers={"Content-Encoding": coding}
    )

    assert (response.status_code, response.json()["code"]) == (415, "unsupported_media_type")
    assert response.json()["detail"] == "Send the body uncompressed, without Content-Encoding."


def test_a_body_that_says_that_it_is_not_compressed_is_read(client, db):
    response = client.post(
        "/api/auth/login/", {}, content_type="application/json", headers={"Content-Encoding": "Identity"}
    )

    assert {error["code"] for error in response.json()["errors"]} == {"required"}
