"""What lines say, and what they never say."""

import json
import logging
import re
import sys
from contextlib import ExitStack

import pytest

from ai_tasks.models import AITask
from tests.database_faults import locked
from tests.processes import (
    POLITE_SECONDS,
    environment_of_this_test,
    free_port,
    running,
    wait_for_consumers,
    wait_until,
)
from tests.test_deployment import PROCFILE, PRODUCTION, outcome
from tests.wire_client import WireClient
from utils.monitoring import logs
from utils.monitoring.audit import keyed_hash, network_of
from utils.monitoring.context import log_fields
from utils.monitoring.requests import readable_route

EMAIL, PASSWORD, NAME = "marker-address@example.com", "marker password of mine", "marker-name"
TEXT, ADDRESS = "marker-text", "198.51.100.77"
MARKERS = ["marker", ADDRESS, "Bearer", "eyJ"]
"""What the story is told with. Tokens begin with the last."""
OF_CELERYS_BANNER = re.compile(r"$| |-|\[")
"""Celery prints it to the standard output."""


def rendered(record: logging.LogRecord) -> dict:
    return json.loads(logs.formatter(as_json=True).format(record))


def record_of(message: str, **extra) -> logging.LogRecord:
    return logging.getLogger("tests").makeRecord("tests", logging.INFO, "file", 1, message, (), None, extra=extra)


def test_a_line_is_one_json_object_with_its_fields_and_what_it_belongs_to():
    with log_fields(task_id="t", attempt=2):
        line = rendered(record_of("a\nb", fields={"status": "running"}))

    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info", "logger": "tests", "event": "a\nb", "task_id": "t", "attempt": 2, "status": "running"
    }  # fmt: skip


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_shows_no_variables(as_json):
    secret = "".join(["of", "a", "body"])
    try:
        raise KeyError(len(secret))
    except KeyError as error:
        record = record_of("It failed.")
        record.exc_info = (KeyError, error, error.__traceback__)
        text = logs.formatter(as_json=as_json).format(record)

    assert "KeyError: 7" in text
    assert "test_a_traceback_shows_no_variables" in text
    assert secret not in text


@pytest.mark.parametrize(
    ("pattern", "route"),
    [
        ("api/^notes/(?P<pk>\\d+)/$", "/api/notes/{id}/"),
        ("api/ai/tasks/<uuid:pk>/events/", "/api/ai/tasks/{id}/events/"),
        (
            "api/^notes/(?P<pk>\\d+)/versions/(?P<version>[0-9]+)/restore/$",
            "/api/notes/{id}/versions/{version}/restore/",
        ),
        ("healthz/live", "/healthz/live"),
    ],
)
def test_a_route_reads_as_in_the_apis_documents(pattern, route):
    assert readable_route(pattern) == route


@pytest.mark.parametrize(
    ("address", "network"),
    [("198.51.100.77", "198.51.100.0/24"), ("2001:db8:1:2:3::4", "2001:db8:1::/48"), ("", "")],
)
def test_of_an_address_the_network_is_kept(address, network):
    assert network_of(address) == network


def test_an_address_is_named_by_a_keyed_hash(settings):
    first = keyed_hash("Alice@example.com ")
    assert first == keyed_hash("alice@example.com")

    settings.SECRET_KEY = "another" * 8
    assert keyed_hash("alice@example.com") != first


@pytest.mark.django_db(transaction=True)
def test_a_503_by_design_is_no_error(alice_client, warm, caplog):
    warm(alice_client)
    with locked("accounts_session"):
        assert alice_client.get("/api/auth/sessions/").status_code == 503

    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.django_db(transaction=True)
def test_one_request_is_followed_into_the_worker_and_no_line_says_what_its_user_wrote(tmp_path):
    port = free_port()
    environment = {**PRODUCTION, "PORT": str(port), "AI_WORKER_CONCURRENCY": "2", "WEB_CONCURRENCY": "1"}
    environment |= {"THROTTLE_LOGIN": "4/min", "LOG_LEVEL": "DEBUG"}
    static = outcome(
        [sys.executable, "manage.py", "collectstatic", "--noinput"], environment_of_this_test(**environment)
    )
    assert static.returncode == 0, static.stderr  # the admin's pages need their names
    with ExitStack() as processes:
        started = {
            name: processes.enter_context(
                running(["sh", "-c", f"exec env {PROCFILE[name]}"], tmp_path / f"{name}.log", **environment)
            )
            for name in ("web", "worker")
        }
        started["web"].wait_for_output("Listening at")
        wait_for_consumers(started["worker"])
        client = WireClient(port, {"X-Forwarded-Proto": "https", "X-Forwarded-For": ADDRESS})
        tell_story(client)
        wait_until(lambda: '"status":"succeeded"' in started["worker"].output)
        output = {name: process.output for name, process in started.items()}

    lines = {
        name: [parsed(line) for line in text.splitlines() if not OF_CELERYS_BANNER.match(line)]
        for name, text in output.items()
    }
    for text in output.values():
        for marker in MARKERS:
            assert marker not in text, [line for line in text.splitlines() if marker in line]
    requests = [line for line in lines["web"] if line["logger"] == "requests"]
    [submitted] = [line for line in requests if line["request_id"] == "follow-me"]
    assert (submitted["method"], submitted["route"], submitted["status"]) == ("POST", "/api/ai/tasks/", 202)
    assert submitted["sql"] > 2
    followed = [line for line in lines["worker"] if line.get("request_id") == "follow-me"]
    states = [(line["status"], line["attempt"], line["user_id"]) for line in followed if line["event"] == "ai_task"]
    assert states == [("running", 1, submitted["user_id"]), ("succeeded", 1, submitted["user_id"])]
    task_ids = {line["task_id"] for line in [*followed, *lines["web"]] if line["event"] == "ai_task"}
    assert len(task_ids) == 1
    [hit] = [line for line in requests if line["request_id"] == "hit"]
    assert (hit["route"], hit["status"], hit["cache"], hit["sql"]) == ("/api/notes/", 200, "hit", 0)
    assert [line["route"] for line in requests if line["request_id"] == "lost"] == ["unmatched"]
    audited = [(line["event"], line["outcome"]) for line in lines["web"] if line["logger"] == "audit"]
    assert audited == [
        ("register", "ok"), ("sign_in", "invalid_credentials"), ("sign_in", "ok"), ("sign_in", "invalid_credentials"),
        ("sign_in", "throttled"), ("password_reset_asked", "ok"), ("password_change", "wrong_password"),
        ("session_revoked", "ok"), ("admin_sign_in", "invalid_credentials"),
    ]  # fmt: skip
    assert {line["network"] for line in lines["web"] if line["logger"] == "audit"} == {"198.51.100.0/24"}


def parsed(line: str) -> dict:
    assert line.startswith("{"), f"This line is no JSON: {line}"
    return json.loads(line)


def tell_story(client: WireClient) -> None:
    signed_in = client.send("POST", "/api/auth/register/", {"email": EMAIL, "name": NAME, "password": PASSWORD})[1]
    login = {"email": EMAIL, "password": PASSWORD}
    assert client.send("POST", "/api/auth/login/", {**login, "password": "marker wrong"})[0] == 401
    other = client.send("POST", "/api/auth/login/", login)[1]
    for expected in (401, 429):
        assert client.send("POST", "/api/auth/login/", {**login, "password": "marker wrong"})[0] == expected
    client.send("POST", "/api/auth/password/reset/", {"email": EMAIL})
    client.headers["Authorization"] = f"Bearer {signed_in['access']}"
    client.send("POST", "/api/auth/password/change/", {"old_password": "marker wrong", "new_password": PASSWORD * 2})
    note = {"title": TEXT, "tags": [TEXT], "chapters": [{"title": TEXT, "topics": [{"title": TEXT}]}]}
    status, made = client.send("POST", "/api/notes/", note)
    assert status == 201
    for request_id in ("miss", "hit"):
        client.send("GET", f"/api/notes/?tags={TEXT}", request_id=request_id)
    client.send("GET", f"/api/notes/{made['id']}/")
    client.send("GET", f"/api/search/?q={TEXT}")
    client.send("GET", f"/api/{TEXT}/", request_id="lost")
    client.send("GET", f"/api/notes/?status={TEXT}")
    client.send("POST", "/api/notes/", {"title": TEXT, TEXT: 1})
    body = {"request_type": "summarize", "request_data": {"content": f"A {TEXT} repeats. It ends when told. " * 5}}
    status, task = client.send("POST", "/api/ai/tasks/", body, request_id="follow-me")
    assert status == 202
    path = f"/api/ai/tasks/{task['task_id']}/"
    wait_until(lambda: client.send("GET", path)[1]["status"] in AITask.TERMINAL, every=POLITE_SECONDS)
    client.headers["Authorization"] = f"Bearer {other['access']}"
    assert client.send("POST", "/api/auth/logout/")[0] == 204
    del client.headers["Authorization"]
    assert client.send("GET", f"/api/notifications/stream/?ticket={TEXT}")[0] == 401
    client.headers["Authorization"] = "Bearer eyJmarker"
    assert client.send("GET", "/api/notes/")[0] == 401
    client.sign_in_to_admin(EMAIL + ".uk", "marker wrong")
