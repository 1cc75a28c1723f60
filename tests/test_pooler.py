"""The product behind a pooler that others wrote: Debian's PgBouncer."""

import ast
import http.client
import json
import logging
import random
import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from django.conf import settings as ours

from accounts.models import User
from accounts.tokens import issue_access
from tests.factories import SessionFactory, UserFactory
from tests.pooler import SERVER_CONNECTIONS, running_pgbouncer
from tests.processes import (
    BIN,
    START_SECONDS,
    environment_of_this_test,
    free_port,
    running,
    wait_for_consumers,
    wait_until,
)
from tests.streams.event_source import EventSource
from utils.postgresql import base
from utils.postgresql.base import BoundedConnection

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

CLIENTS = 8
SECONDS = 15.0
ROUNDS = 10
"""Of each client at least, however slow the machine is."""
THROTTLES = ("BURST", "SUSTAINED", "AI_TOOLS", "POLL", "LOGIN")


class Student:
    """A client who knows what is hers, and compares every answer with it."""

    def __init__(self, user: User, web: str, events: str, *, seed: int) -> None:
        self.user = user
        session = SessionFactory(user=user)
        token = issue_access(user_id=user.pk, token_version=user.token_version, session_id=session.pk)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.web, self.events = urlsplit(web), events
        self.random = random.Random(seed)
        self.notes: dict[int, str] = {}
        self.statuses: Counter[int] = Counter()
        self.wrong: list[str] = []
        self.connection = http.client.HTTPConnection(self.web.hostname, self.web.port, timeout=60)

    def send(self, method: str, path: str, body: Any = None, *, expected: int = 200) -> Any:
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        response = self.connection.getresponse()
        data = response.read()
        self.statuses[response.status] += 1
        if response.status != expected:
            self.wrong.append(f"{method} {path}: {response.status} {data[:300]!r}")
            return None
        return json.loads(data) if data else None

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {found!r} instead of {wanted!r}")

    def work(self, until: float) -> None:
        rounds = 0
        while time.monotonic() < until or rounds < ROUNDS:
            rounds += 1
            self.random.choice(
                [self.add, self.add, self.read, self.read, self.change, self.list, self.search, self.poll]
            )()
        self.ask()

    def add(self) -> None:
        title = f"Note {self.user.pk}-{len(self.notes)}"
        chapter = {"title": "One", "topics": [{"title": title, "explanation": f"words{self.user.pk} of {title}"}]}
        note = self.send("POST", "/api/notes/", {"title": title, "chapters": [chapter]}, expected=201)
        if note:
            self.notes[note["id"]] = title

    def read(self) -> None:
        for note_id, title in self.random.sample(sorted(self.notes.items()), min(3, len(self.notes))):
            if note := self.send("GET", f"/api/notes/{note_id}/"):
                self.expect("title", (note["id"], note["title"]), (note_id, title))

    def change(self) -> None:
        if self.notes:
            note_id = self.random.choice(sorted(self.notes))
            title = f"{self.notes[note_id].partition('!')[0]}!{self.random.random()}"
            if note := self.send("PATCH", f"/api/notes/{note_id}/", {"title": title}):
                self.notes[note_id] = title
                self.expect("changed title", note["title"], title)

    def list(self) -> None:
        if page := self.send("GET", "/api/notes/?page_size=100&ordering=-created_at"):
            newest = sorted(self.notes.items(), reverse=True)[:100]
            self.expect("list", [(row["id"], row["title"]) for row in page["results"]], newest)

    def search(self) -> None:
        if found := self.send("GET", f"/api/search/?q=words{self.user.pk}"):
            self.expect("search finds any", bool(found["results"]), bool(self.notes))

    def poll(self) -> None:
        if inbox := self.send("GET", "/api/notifications/pending/"):
            self.expect("inbox", inbox["count"], 0)

    def ask(self) -> None:
        """An AI task, through the worker, with its stream."""
        body = {"request_type": "summarize", "request_data": {"content": f"A loop of {self.user.pk} repeats. " * 5}}
        if task := self.send("POST", "/api/ai/tasks/", body, expected=202):
            path = f"/api/ai/tasks/{task['task_id']}/"
            with EventSource(f"{self.events}{path}events/", headers=self.headers) as stream:
                self.expect("stream", stream.status, 200)
                self.expect("last event", stream.until("task.succeeded")[-1].event, "task.succeeded")
            if done := self.send("GET", path):
                self.expect("task", (done["status"], done["provider"]), ("succeeded", "offline"))


def processes(stack: ExitStack, directory, **environment: str) -> dict[str, Any]:
    """Web, events and worker behind the pooler; where web and events are, and all of them by name."""
    web, events = str(free_port()), str(free_port())
    environment |= {f"THROTTLE_{name}": "none" for name in THROTTLES}
    environment |= {"AI_WORKER_CONCURRENCY": "4", "WEB_CONCURRENCY": "2", "CELERY_BROKER_URL": ""}

    def start(name: str, *command: str, **more: str):
        return stack.enter_context(
            running([str(BIN / command[0]), *command[1:]], directory / f"{name}.log", **environment, **more)
        )

    gunicorn = ("gunicorn", "NoteAssist_AI.wsgi:application", "-c")
    started = {
        "web": start("web", *gunicorn, "gunicorn.conf.py", PORT=web),
        "events": start("events", *gunicorn, "gunicorn_events.conf.py", EVENTS_PORT=events),
        "worker": start(
            "worker",
            "python",
            "-m",
            "NoteAssist_AI.consumers",
            DB_POOL_MAX="4",
        ),
    }
    started["web"].wait_for_output("Booting worker")
    started["events"].wait_for_output("Booting worker")
    wait_for_consumers(started["worker"])
    return {**started, "urls": (f"http://127.0.0.1:{web}", f"http://127.0.0.1:{events}")}


def manage(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment_of_this_test(**environment),
        cwd=ours.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def is_up(url: str) -> bool:
    try:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
        connection.request("GET", "/healthz/live")
        return connection.getresponse().status == 200
    except OSError:
        return False


@pytest.mark.parametrize(
    ("given", "ignore_options"), [("transaction", False), ("", True)], ids=["named", "not named, but found"]
)
def test_behind_a_transaction_pooler_on_an_odd_port_every_answer_is_right(tmp_path, given, ignore_options, capsys):
    with running_pgbouncer(tmp_path, "transaction", ignore_options=ignore_options) as pooler, ExitStack() as stack:
        environment = {"DATABASE_URL": pooler.url, "DATABASE_POOLER": given}
        started = processes(stack, tmp_path, **environment)
        web, events = started["urls"]
        wait_until(lambda: is_up(web) and is_up(events), START_SECONDS)
        students = [Student(UserFactory(), web, events, seed=seed) for seed in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS + 1) as threads:
            migrations = threads.submit(manage, "migrate", "--check", **environment)
            until = time.monotonic() + SECONDS
            for work in [threads.submit(student.work, until) for student in students]:
                work.result()
            checked = migrations.result()

    statuses = sum((student.statuses for student in students), Counter())
    wrong = [line for student in students for line in student.wrong]
    with capsys.disabled():
        print(  # noqa: T201  # the figures are what this test is for
            f"\nPgBouncer, transaction mode, {SERVER_CONNECTIONS} server connections, {CLIENTS} clients: "
            f"{sum(statuses.values())} requests {dict(statuses)}, {len(wrong)} wrong answers"
        )
    assert wrong == []
    assert set(statuses) == {200, 201, 202}
    assert checked.returncode == 0, checked.stdout + checked.stderr
    logs = {name: started[name].output for name in ("web", "events", "worker")}
    for name, log in logs.items():
        assert "Traceback" not in log, name
        # Once in each process that has connected, which may be one of web's two.
        assert log.count("Set DATABASE_POOLER") in ([0] if given else [1, 2] if name == "web" else [1]), name


def connect(url: str, **options: Any) -> BoundedConnection:
    return BoundedConnection.connect(url, options="-c statement_timeout=30000", prepare_threshold=2, **options)


@pytest.fixture
def untold(settings):
    """A process that has told nobody of a pooler yet."""
    settings.DATABASE_POOLER = "none"
    base._warned.clear()


def test_a_pooler_that_takes_no_options_is_told_of_by_the_variable(tmp_path, untold):
    with (
        running_pgbouncer(tmp_path, "transaction") as pooler,
        pytest.raises(psycopg.OperationalError, match="Set DATABASE_POOLER to its mode, transaction or session"),
    ):
        connect(pooler.url)


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_a_pooler_that_nobody_named_is_found_and_told_of_once(tmp_path, untold, caplog, mode):
    with running_pgbouncer(tmp_path, mode, ignore_options=True) as pooler, caplog.at_level(logging.WARNING):
        thresholds = []
        for _ in range(3):
            with connect(pooler.url) as one:
                thresholds.append(one.prepare_threshold)

    assert thresholds == [None] * 3
    assert [record.getMessage() for record in caplog.records] == [
        "There is a pooler in front of PostgreSQL, so no statement is prepared. "
        "Set DATABASE_POOLER to its mode, transaction or session."
    ]


def test_postgresql_itself_is_no_pooler(untold, caplog):
    with connect(environment_of_this_test()["DATABASE_URL"]) as one:
        assert not one.is_behind_pooler()
        assert one.prepare_threshold == 2
    assert caplog.records == []


def test_behind_a_session_pooler_statements_have_their_time_out(tmp_path, settings):
    settings.DATABASE_POOLER = "session"
    with running_pgbouncer(tmp_path, "session") as pooler:
        with BoundedConnection.connect(pooler.url, prepare_threshold=2) as one:
            assert one.execute("SHOW statement_timeout").fetchone() == (f"{settings.QUERY_TIMEOUT // 1000}s",)
            assert one.prepare_threshold == 2


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_queries_sent_together_each_get_their_rows_behind_a_pooler(tmp_path, settings, mode):
    settings.DATABASE_POOLER = mode
    queries = [("SELECT %s::int, '2026-11-23 10:00:00+00'::timestamptz", [number]) for number in range(32)]
    rows = [[(number, "2026-11-23 10:00:00+00")] for number in range(32)]
    threshold = None if mode == "transaction" else 2
    with running_pgbouncer(tmp_path, mode) as pooler, ExitStack() as connections:
        for _ in range(2 * SERVER_CONNECTIONS if mode == "transaction" else 1):
            connection = connections.enter_context(BoundedConnection.connect(pooler.url, prepare_threshold=threshold))
            for _ in range(4):
                assert connection.rows_together(queries) == rows


def doctor(**environment: str) -> str:
    return manage("doctor", **environment).stdout


def test_the_doctor_tells_of_a_pooler(tmp_path):
    with running_pgbouncer(tmp_path, "transaction", ignore_options=True) as pooler:
        not_named = doctor(DATABASE_URL=pooler.url)
        named = doctor(DATABASE_URL=pooler.url, DATABASE_POOLER="transaction")

    advice = "set it to the mode of the pooler"
    assert f"BAD  postgresql  DATABASE_POOLER none, and there is a pooler ({advice})\n" in not_named
    assert "ok   postgresql  DATABASE_POOLER transaction, and there is a pooler\n" in named
    assert "BAD  postgresql  statement_timeout of the role 0 ms (ALTER ROLE … SET statement_timeout)\n" in named
    assert "ok   postgresql  timezone of the role UTC (ALTER ROLE … SET timezone = 'UTC')\n" in named


def test_the_doctor_tells_of_a_pooler_that_takes_no_options(tmp_path):
    with running_pgbouncer(tmp_path, "transaction") as pooler:
        assert "BAD  postgresql  PostgreSQL cannot be used: There is a pooler in front" in doctor(
            DATABASE_URL=pooler.url
        )


def test_the_doctor_finds_postgresql_itself():
    assert "ok   postgresql  DATABASE_POOLER none, and there is no pooler\n" in doctor()


def test_no_statement_of_ours_leaves_anything_on_its_connection():
    """What it left would be there for another client, and not for its own next statement."""
    leaves = re.compile(
        r"\bLISTEN\b|\bSET (?:SESSION|ROLE|TIME ZONE)\b|\bCREATE TEMP|\bpg_(?:try_)?advisory_lock\b|\bPREPARE \w+ |"
        r"\bDECLARE \w+ .*CURSOR|\bWITH HOLD\b|\bset_config\([^)]*false\)"
    )
    packages = ("NoteAssist_AI", "accounts", "notes", "ai_tasks", "study", "notifications", "utils")
    found = [
        f"{path}:{node.lineno}"
        for package in packages
        for path in Path(ours.BASE_DIR, package).rglob("*.py")
        if path.name != "schema.py" or path.parent.name != "postgresql"  # migrations have a session of their own
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and leaves.search(node.value)
    ]

    assert found == []
