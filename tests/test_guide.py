"""The guide's snippets work as written: each is cut out of ``docs/guide.md`` and run, with its ``...`` filled in."""

import logging
import logging.config
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import connection, models
from django.http import HttpResponse
from rest_framework import viewsets
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from accounts.models import User
from ai_tasks.models import AITask
from notes.models import Note
from notes.serializers import NoteDetailSerializer
from tests.factories import ChapterFactory, NoteFactory, TopicFactory, UserFactory
from tests.processes import RUN_SECONDS
from utils.async_optimization import process_ai_request
from utils.query_optimization import CacheOptimizer, QueryOptimizer, batch_query

GUIDE = Path(settings.BASE_DIR, "docs/guide.md").read_text()


def snippets() -> dict[str, str]:
    """Every Python block of the guide by the heading above it (numbered where a heading has several)."""
    found: dict[str, str] = {}
    heading = ""
    for part in re.split(r"^(#{2,4} [^\n]*|```python\n.*?^```)$", GUIDE, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("#"):
            heading = part.lstrip("# ").strip()
        elif part.startswith("```python"):
            name = heading
            while name in found:
                name += "'"
            found[name] = part.removeprefix("```python\n").removesuffix("```")
    return found


SNIPPETS = snippets()
RUN: set[str] = set()


def run(name: str, fill: dict[str, str] | None = None, **names: object) -> dict[str, object]:
    """Run a snippet with these names defined; ``fill`` replaces what the guide left open. Returns its names."""
    source = SNIPPETS[name]
    for blank, text in (fill or {}).items():
        assert blank in source
        source = source.replace(blank, text)
    exec(compile(source, name, "exec"), names)
    return names


def covers(name: str):
    RUN.add(name)
    return lambda test: test


@pytest.fixture
def note(alice) -> Note:
    note = NoteFactory(user=alice, status="published", tags=["python"])
    TopicFactory.create_batch(2, chapter=ChapterFactory(note=note, id=5))
    return note


@covers("Usage Example")
def test_the_query_optimizer_finds_the_users_notes(alice, note):
    names = run("Usage Example", request=SimpleNamespace(user=alice), user=alice, note_id=note.pk)

    assert list(names["notes"]) == [note]
    assert names["note"] == note
    assert [topic.chapter_id for topic in names["topics"]] == [5, 5]


@covers("Database Indexes")
def test_the_models_have_the_guides_indexes():
    meta = run("Database Indexes", models=models)["Meta"]

    ours = {index.name: index.fields for index in Note._meta.indexes}
    assert [ours[index.name] for index in meta.indexes] == [["user", "-updated_at"], ["user", "status"]]


@covers("Production (with Redis)")
def test_the_caches_live_as_long_as_the_guide_says():
    minutes = dict(re.findall(r"- ([\w ]+?) \((\d+ \w+)", SNIPPETS["Production (with Redis)"]))

    assert minutes == {"User profiles": "5 min", "Note lists": "3 min", "AI results": "1 hour", "Sessions": "30 days"}
    assert settings.CACHE_TTL_PROFILE == 5 * 60
    assert settings.CACHE_TTL_LIST == 3 * 60
    assert settings.CACHE_TTL_AI_RESULT == 60 * 60
    assert settings.SESSION_COOKIE_AGE == 30 * 24 * 60 * 60


@covers("Usage")
def test_users_caches_can_be_invalidated_and_values_cached_by_hand(db):
    assert run("Usage", value="value")["value"] == "value"


@covers("AI Operations (Celery Tasks)")
@pytest.mark.django_db(transaction=True)
def test_a_view_queues_an_ai_request_and_answers_at_once(alice):
    source = SNIPPETS["AI Operations (Celery Tasks)"]
    view = source.replace("return Response", "response = Response")
    names = {"uuid": uuid, "user": alice, "Response": Response}
    exec(compile(view, "view", "exec"), names)

    task = AITask.objects.get()
    assert names["response"].status_code == 202
    assert names["response"].data == {"task_id": task.pk}
    assert (task.user, task.status, task.request_data["topic"]) == (alice, "queued", "Python loops")


@covers("Task Status Tracking")
def test_the_status_of_a_task_is_told_by_its_id(alice):
    task = AITask.objects.create(user=alice, request_type="summarize", request_data={"content": "x"}, message="Waiting")

    names = run("Task Status Tracking", task_id=task.pk)

    assert names["status"] == {"status": "queued", "progress": 0, "message": "Waiting", "timestamp": task.updated_at}
    assert names["result"] is None


@covers("Location: `utils/async_optimization.py`")
def test_a_notification_is_pending_at_once(alice, alice_client, django_assert_num_queries):
    name = "Location: `utils/async_optimization.py`"
    poll = "GET /api/notifications/pending/"
    task_id = uuid.uuid4()

    with django_assert_num_queries(0):
        run(name, {"123": str(alice.pk), poll: f"# {poll}"}, task_id=task_id)

    (pending,) = alice_client.get(poll.removeprefix("GET ")).json()["results"]
    assert (pending["title"], pending["type"]) == ("✓ Generation Complete", "success")
    assert pending["action_id"] == str(task_id)


@covers("Location: `NoteAssist_AI/settings.py`")
def test_the_database_has_the_guides_connection_options(db):
    names = {"DATABASES": {"default": {}}}
    wanted = run("Location: `NoteAssist_AI/settings.py`", **names)["DATABASES"]["default"]["OPTIONS"]

    ours = settings.DATABASES["default"]["OPTIONS"]
    assert {name: ours[name] for name in wanted} == wanted
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("30s",)


@covers("Location: `notes/views.py`")
def test_a_viewset_written_as_the_guide_shows_works(alice, charlie, note):
    names = run(
        "Location: `notes/views.py`",
        {"{...}": "{'status': 'published'}"},
        viewsets=viewsets,
        QueryOptimizer=QueryOptimizer,
        Response=Response,
    )
    view_class = names["NoteViewSet"]
    view_class.serializer_class = NoteDetailSerializer

    def get(user, action, **kwargs):
        request = APIRequestFactory().get("/")
        force_authenticate(request, user)
        return view_class.as_view({"get": action})(request, **kwargs)

    assert get(alice, "retrieve", pk=note.pk).data["id"] == note.pk
    assert [row["id"] for row in get(alice, "list").data["results"]] == [note.pk]
    assert get(charlie, "retrieve", pk=note.pk).status_code == 404


@covers("Batch Query Execution")
def test_large_sets_are_processed_in_batches(db):
    users = UserFactory.create_batch(3)
    seen: list[User] = []

    run("Batch Query Execution", User=User, process_users=seen.extend)

    assert seen == users


@covers("Enable Query Logging")
def test_the_query_log_can_be_configured_as_shown():
    config = run("Enable Query Logging")["LOGGING"]

    logger = logging.getLogger("django.db.backends")
    handlers, level = list(logger.handlers), logger.level
    try:
        logging.config.dictConfig({**config, "disable_existing_loggers": False})
        assert logger.level == logging.DEBUG
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)


@covers("Check Query Count")
def test_queries_can_be_counted(db, capsys):
    run("Check Query Count")

    assert capsys.readouterr().out.strip().isdigit()


@covers("Profile Performance")
def test_a_view_can_be_profiled_alone(db, rf, settings):
    settings.DEBUG = True
    names = run("Profile Performance")
    counted = names["decorator_from_middleware"](names["QueryCountDebugMiddleware"])

    @counted
    def view(request):
        User.objects.count()
        return HttpResponse()

    response = view(rf.get("/"))

    assert response["X-Query-Count"] == "1"


@covers("DO ✅")
@pytest.mark.django_db(transaction=True)
def test_the_best_practices_run(alice, note):
    request_data = {"topic": "Python loops"}
    key, delay = "CacheOptimizer.get_cache_key(...)", "process_ai_request.delay(...)"
    processed = []

    names = run(
        "DO ✅",
        {key: f"key = {key.replace('...', repr('note_list') + ', 1')}", delay: delay.replace("...", "**delayed")},
        QueryOptimizer=QueryOptimizer,
        CacheOptimizer=CacheOptimizer,
        batch_query=batch_query,
        process_ai_request=process_ai_request,
        process_batch=processed.append,
        request=SimpleNamespace(user=alice),
        qs=Note.objects.all(),
        Note=Note,
        User=User,
        delayed={
            "task_id": uuid.uuid4(),
            "user_id": alice.pk,
            "request_type": "generate_explanation",
            "request_data": request_data,
        },
    )

    assert list(names["notes"]) == [note]
    assert [user.name for user in names["users"]] == ["Alice"]
    assert processed == [[note]]
    assert isinstance(names["key"], str)
    assert AITask.objects.count() == 1


@covers("DON'T ❌")
def test_what_not_to_do_is_python_too():
    compile(SNIPPETS["DON'T ❌"], "don't", "exec")


@covers("PostgreSQL Settings")
def test_the_time_outs_are_the_guides():
    names = run("PostgreSQL Settings")

    assert settings.QUERY_TIMEOUT == names["QUERY_TIMEOUT"]
    assert settings.CONNECTION_TIMEOUT == names["CONNECTION_TIMEOUT"]


@covers("Cache Warming")
def test_a_warming_command_can_be_written_as_shown(alice):
    names = run("Cache Warming", {"(...)": "('note_list', user.pk)"}, User=User, CacheOptimizer=CacheOptimizer)

    command = names["Command"]()
    assert isinstance(command, BaseCommand)
    command.handle()


@covers("Rate Limiting")
def test_the_rates_are_the_guides():
    wanted = eval("{" + SNIPPETS["Rate Limiting"] + "}")["DEFAULT_THROTTLE_RATES"]

    rates = settings.REST_FRAMEWORK["DEFAULT_THROTTLE_RATES"]
    assert {scope: rates[scope] for scope in wanted} == wanted


@covers("Development (in-memory)")
def test_the_in_memory_mode_is_djangos_local_memory_cache():
    code = "from django.conf import settings; print(settings.CACHES['default']['BACKEND'], settings.PAGE_CACHE_ENABLED)"
    environment = {**os.environ, "CACHE_URL": "locmem://", "DJANGO_SETTINGS_MODULE": "NoteAssist_AI.settings"}

    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=RUN_SECONDS, check=True
    ).stdout

    assert "LocMemCache" in SNIPPETS["Development (in-memory)"]
    assert output.split() == ["django.core.cache.backends.locmem.LocMemCache", "False"]


def test_every_snippet_of_the_guide_is_run():
    assert set(SNIPPETS) == RUN
