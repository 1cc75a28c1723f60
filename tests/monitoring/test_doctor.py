"""The doctor on a healthy system, and on systems each of which is broken in another way."""

import json
import re
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import StringIO
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import redis
import time_machine
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from accounts.models import User
from NoteAssist_AI.embedded.servers import Postgres
from tests.processes import environment_of_this_test, free_port, running_worker, wait_until
from tests.test_deployment import outcome
from utils.database.migrations import pending
from utils.redis.signs import record_beat_run, record_worker_heartbeat

pytestmark = pytest.mark.timeout(400)


def examined(**environment: str) -> tuple[int, dict[str, list[str]]]:
    """The exit status of a doctor in a process of its own, and what it found bad, by check."""
    done = outcome([sys.executable, "manage.py", "doctor", "--json"], environment_of_this_test(**environment))
    return done.returncode, bad_of(json.loads(done.stdout))


def examined_here() -> dict[str, list[str]]:
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", "--json", stdout=out)
    return bad_of(json.loads(out.getvalue()))


def bad_of(document: dict) -> dict[str, list[str]]:
    bad: dict[str, list[str]] = {}
    for finding in document["findings"]:
        if not finding["ok"]:
            bad.setdefault(finding["check"], []).append(finding["text"])
    assert document["ok"] == (not bad)
    return bad


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_with_a_folder_of_its_own_is_told_of(tmp_path):
    record_beat_run()
    with running_worker(tmp_path / "worker.log", STORAGE_URL=f"file://{tmp_path}/elsewhere"):
        wait_until(lambda: "worker" not in examined_here(), 60)
        _, bad = examined()

    assert bad["storage of workers"] == [
        "a worker does not see what is written here: all processes must share one STORAGE_URL"
    ]


def test_a_storage_that_cannot_be_used_is_told_of(beat, settings):
    folder = {**settings.STORAGES["default"], "OPTIONS": {"location": "/dev/null/files", "base_url": None}}
    settings.STORAGES = {**settings.STORAGES, "default": folder}

    [told] = examined_here()["storage"]

    assert told.startswith("the storage cannot be used: [Errno 20] Not a directory")


def test_without_a_storage_the_doctor_says_what_that_means(beat, no_storage):
    out = StringIO()
    with suppress(SystemExit):
        call_command("doctor", stdout=out)

    assert "ok   storage     no storage for files: uploads are refused (STORAGE_URL)" in out.getvalue()
    assert "storage of workers" not in out.getvalue()


NO_WORKER = {"worker": ["no worker takes tasks (start the process worker)"]}
"""So what only a worker answers, the canary and the file that a worker reads, is not asked."""


@pytest.fixture
def beat(db: None) -> None:
    """As if beat were there."""
    record_beat_run()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_healthy_system_is_well_and_a_canary_came_back(tmp_path):
    record_beat_run()
    with running_worker(tmp_path / "worker.log"):
        wait_until(lambda: examined_here().keys() <= {"beat"}, 60)
        record_beat_run()  # on a slow machine the former was long ago
        done = outcome([sys.executable, "manage.py", "doctor"], environment_of_this_test())

    assert done.returncode == 0, done.stdout
    assert "ok   canary      an AI task was answered in" in done.stdout
    assert "ok   storage     a file was written and read (FileSystemStorage)" in done.stdout
    assert "ok   storage of workers a worker reads what is written here" in done.stdout
    assert User.objects.count() == 0


@contextmanager
def demanding_postgresql() -> Iterator[str]:
    """A PostgreSQL of this test's own that asks for passwords, as a ``DATABASE_URL`` without one."""
    root = Path(tempfile.mkdtemp(prefix="pg-"))
    root.chmod(0o755)
    server = Postgres(root, root)
    server.run()
    try:
        with psycopg.connect(server.url, autocommit=True) as admin:
            admin.execute("ALTER ROLE noteassist PASSWORD 'right'")
            (hba,) = admin.execute("SHOW hba_file").fetchone()
            Path(hba).write_text("local all all scram-sha-256\n")
            admin.execute("SELECT pg_reload_conf()")
        yield f"postgresql://noteassist:{{}}@{quote(str(root), safe='')}:{Postgres.PORT}/noteassist"
    finally:
        server.stop()
        shutil.rmtree(root)


@pytest.mark.slow
def test_a_wrong_password_is_named_as_the_cause(db):
    with demanding_postgresql() as url:
        status, bad = examined(DATABASE_URL=url.format("wrong"))

    assert (status, bad.keys() & {"postgresql", "migrations"}) == (1, {"postgresql"})
    assert 'password authentication failed for user "noteassist"' in bad["postgresql"][0]
    assert "wrong" not in bad["postgresql"][0].replace("password authentication", "")


def test_a_server_that_is_away_is_another_cause(db):
    bad = examined(DATABASE_URL=f"postgresql://noteassist@127.0.0.1:{free_port()}/noteassist")[1]

    assert "Connection refused" in bad["postgresql"][0]


def test_redis_that_is_away_is_told_once(beat, dead_redis):
    bad = examined_here()

    assert bad.keys() == {"redis"}
    assert bad["redis"][0].startswith("Redis does not answer: ")


def test_a_policy_that_evicts_the_queues_is_told(db, own_redis):
    with redis.Redis.from_url(own_redis.url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    record_beat_run()

    assert examined_here() == {"redis": ["maxmemory-policy allkeys-lru (volatile-lru keeps the broker's queues)"]}


def test_a_missing_statement_timeout_is_told(beat):
    url = f"{environment_of_this_test()['DATABASE_URL']}?options=-c%20statement_timeout%3D0"

    status, bad = examined(DATABASE_URL=url)

    assert (status, bad["postgresql"]) == (1, ["statement_timeout 0 (0 lets a statement run for ever)"])


def test_without_a_worker_it_says_so(db):
    record_beat_run()

    assert examined_here() == NO_WORKER


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_stops_is_gone_at_once(tmp_path):
    record_beat_run()
    with running_worker(tmp_path / "worker.log") as worker:
        wait_until(lambda: "worker" not in examined_here(), 60)
        worker.send(15)
        worker.wait(60)

        assert examined_here().keys() == {"worker"}


def test_beat_that_never_ran_and_beat_that_ended_are_told(db):
    assert examined_here() == {**NO_WORKER, "beat": ["beat has never run (start the process beat)"]}

    with time_machine.travel(timezone.now() - timedelta(seconds=950), tick=True):
        record_beat_run()
    [told] = examined_here()["beat"]
    assert told.startswith("beat ran 9")  # and some seconds more


def test_pending_migrations_are_named(beat, client):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notes' AND name = '0002_notes_of_a_status'")
    bad = examined_here()

    assert bad == {
        **NO_WORKER,
        "migrations": ["1 migrations are pending: notes.0002_notes_of_a_status (manage.py migrate)"],
    }
    pending.forget()
    ready = client.get("/healthz/ready").json()
    pending.forget()
    assert (ready["status"], ready["pending_migrations"]) == ("degraded", 1)


def test_a_provider_that_cannot_be_reached_is_told(beat, settings):
    settings.AI_BASE_URL = f"http://127.0.0.1:{free_port()}/v1"

    [told] = examined_here()["ai provider"]
    assert told.startswith(f"the AI provider at {settings.AI_BASE_URL} cannot be reached: ConnectError")


def test_a_provider_that_says_nothing_is_not_waited_for(beat, settings, monkeypatch):
    monkeypatch.setattr("ai_tasks.diagnosis.PROVIDER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.AI_BASE_URL = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        [told] = examined_here()["ai provider"]

    assert "ReadTimeout" in told


def test_a_provider_that_refuses_the_key_is_told(beat, settings):
    with answering(401) as port:
        settings.AI_BASE_URL, settings.AI_API_KEY = f"http://127.0.0.1:{port}/v1", "secret-key"
        [told] = examined_here()["ai provider"]

    assert told == f"the AI provider at http://127.0.0.1:{port}/v1 refuses the key: 401 (AI_API_KEY)"


@contextmanager
def answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_mail_server_that_cannot_be_reached_is_told(beat, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()

    [told] = examined_here()["mail"]
    assert told.startswith(f"the mail server 127.0.0.1:{settings.EMAIL_PORT} cannot be used: ConnectionRefusedError")


def test_more_connections_than_the_server_has_are_told(beat, settings):
    settings.WEB_CONCURRENCY, settings.WEB_THREADS = 50, 8

    [told] = examined_here()["postgresql"]
    wanted = "464 connections (web 450, events 4, worker 8, commands 2)"
    assert told.startswith(f"all processes together want up to {wanted} of ")


def test_clocks_that_differ_are_told(beat):
    with time_machine.travel(timezone.now() + timedelta(seconds=10), tick=True):
        bad = examined_here()

    assert bad["postgresql"][0].startswith("PostgreSQL's clock differs by -")
    assert bad["redis"][0].startswith("Redis's clock differs by -")


def test_a_task_that_nobody_takes_is_told(beat, monkeypatch):
    record_worker_heartbeat("worker@one")
    monkeypatch.setattr("utils.diagnosis.storage.WORKER_SECONDS", 0.3)
    monkeypatch.setattr("ai_tasks.diagnosis.CANARY_SECONDS", 0.3)

    assert re.match(r"an AI task is queued after \d+\.\d s: ", examined_here()["canary"][0])
    assert User.objects.count() == 0


def test_a_page_cache_that_may_fill_redis_is_told(db, own_redis, settings):
    settings.PAGE_CACHE_BYTES = 200 * 1024**2
    record_beat_run()

    assert examined_here() == {
        "redis": [
            "pages may take PAGE_CACHE_BYTES=209715200, and at most half of 256.00M is safe: what else is there "
            "(sessions, limits, strikes, queues) must never be evicted because of pages"
        ]
    }
