"""A site of an earlier commit becomes one of this commit while it serves: see docs/operations/upgrade.md."""

import json
import random
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.operations.database import counts, give_notes_a_past, new_database
from tests.operations.site import Client, serving
from tests.processes import BIN, WORKER, Process, environment_of_this_test, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(1200)]

BEFORE = "f91cf727ac44ab95dc8f8b903443f768558c15e4"
"""The release of 2026-11-29. Its processes run with today's packages."""

USERS, NOTES = 100, 100
READ_ONLY = 50
"""As many users are only looked at, so that what they see may be compared; the others work."""
ROUNDS = 15
"""Rounds of every student in each stage."""
STUDENTS = 3


@pytest.fixture
def old_code(tmp_path) -> Path:
    """A checkout of the earlier commit."""
    archive = subprocess.run(
        ["git", "archive", BEFORE], cwd=settings.BASE_DIR, capture_output=True, timeout=60, check=False
    )
    if archive.returncode:
        pytest.skip(f"The commit {BEFORE[:10]} is not in this clone: git fetch --unshallow")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
        files.extractall(tmp_path / "old", filter="data")
    return tmp_path / "old"


def manage(*arguments: str, code: Path, url: str) -> str:
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        env=environment_of_this_test(DATABASE_URL=url),
        cwd=code,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def working(url: str, log: Path, code: Path) -> Iterator[Process]:
    celery = [str(BIN / "celery"), "-A", "NoteAssist_AI", "worker", "--pool", "threads", "--concurrency", "4"]
    celery += ["--without-gossip", "--without-mingle", "--loglevel", "INFO", "--hostname", f"{code.name}@%h"]
    has_consumers = (code / "NoteAssist_AI" / "consumers.py").exists()  # the code of before may have none
    command = [*WORKER, "--name", code.name] if has_consumers else celery
    with running(command, log, cwd=code, DATABASE_URL=url, DB_POOL_MAX="4", AI_WORKER_CONCURRENCY="4") as process:
        process.wait_for_output(" ready.", 120)
        yield process


def beating(url: str, directory: Path) -> AbstractContextManager[Process]:
    """Beat sends again what a worker took with it when it was killed."""
    command = [str(BIN / "celery"), "-A", "NoteAssist_AI", "beat", "--schedule", str(directory / "schedule")]
    return running(command, directory / "beat.log", DATABASE_URL=url, AI_SWEEP_SECONDS="5")


@dataclass
class Student:
    """Reads, writes and asks, by whatever web process is there, and compares each answer with what was written."""

    token: str
    seed: int
    ports: list[int]
    rounds: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    titles: dict[int, str] = field(default_factory=dict)
    tasks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        port = self.random.choice(self.ports)
        try:
            status, answer = Client(port, self.token).send(method, path, body)
        except (OSError, ValueError) as error:
            self.wrong.append(f"{method} {path}: {error!r}")
            return None
        self.statuses[method, status] += 1
        if status >= 300:
            self.wrong.append(f"{method} {path}: {status} {json.dumps(answer)[:300]}")
            return None
        return answer

    def expect(self, what: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            self.wrong.append(f"{what}: {found!r} instead of {wanted!r}")

    def round(self) -> None:
        self.rounds += 1
        title = f"Note {self.seed}-{self.rounds}"
        chapters = [{"title": "One", "topics": [{"title": "First", "explanation": "Words. " * 20}]}]
        note = self.send("POST", "/api/notes/", {"title": title, "chapters": chapters})
        if note is None:
            return
        self.titles[note["id"]] = title
        listed = self.send("GET", "/api/notes/?page_size=1&ordering=-created_at")
        if listed:
            self.expect("newest", [row["id"] for row in listed["results"]], [note["id"]])
        changed = self.random.choice(list(self.titles))
        self.titles[changed] = f"{title}, changed"
        self.send("PATCH", f"/api/notes/{changed}/", {"title": self.titles[changed]})
        for note_id in {changed, self.random.choice(list(self.titles))}:
            if shown := self.send("GET", f"/api/notes/{note_id}/"):
                self.expect("title", shown["title"], self.titles[note_id])
        topic = note["chapters"][0]["topics"][0]["id"]
        asked = {"request_type": "summarize", "request_data": {"length": "short"}, "topic_id": topic}
        if task := self.send("POST", "/api/ai/tasks/", asked):
            self.tasks.append(task["task_id"])
        self.send("GET", "/api/notifications/pending/")
        self.send("GET", f"/api/notes/{changed}/versions/")

    def work(self, stop: threading.Event) -> None:
        while not stop.is_set():
            self.round()
            time.sleep(0.02)


@contextmanager
def at_work(students: list[Student]) -> Iterator[None]:
    stop = threading.Event()
    threads = [threading.Thread(target=student.work, args=[stop]) for student in students]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def wait_for_rounds(students: list[Student]) -> None:
    wanted = {student.seed: student.rounds + ROUNDS for student in students}
    wait_until(lambda: all(student.rounds >= wanted[student.seed] for student in students), 180, lambda: "the students")


def seen_by(client: Client) -> dict[str, Any]:
    notes = client.get("/api/notes/?page_size=100")["results"]
    paths = ["/api/users/me/", "/api/notes/?page_size=100", "/api/notes/?trash=true&page_size=100", "/api/tags/"]
    paths += ["/api/ai/tasks/?page_size=100", "/api/notifications/?page_size=100", "/api/notifications/pending/"]
    for note in (notes[0]["id"], notes[-1]["id"]):
        paths += [f"/api/notes/{note}/", f"/api/notes/{note}/versions/", f"/api/notes/{note}/versions/1/"]
    return {path: client.get(path) for path in paths}


def lacks(new: Any, old: Any, where: str = "") -> list[str]:
    """What the old answer has that the new one has not; new fields may come."""
    if isinstance(old, dict) and isinstance(new, dict):
        return [it for key in old for it in lacks(new.get(key), old[key], f"{where}/{key}")]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return [it for n, (a, b) in enumerate(zip(new, old, strict=True)) for it in lacks(a, b, f"{where}/{n}")]
    return [] if new == old else [f"{where}: {new!r} instead of {old!r}"]


def test_a_site_is_upgraded_while_the_old_code_serves(tmp_path, old_code):
    tokens = tmp_path / "tokens"
    with ExitStack() as resources:
        url = resources.enter_context(new_database())
        manage("migrate", "--noinput", "--verbosity=0", code=old_code, url=url)
        size = [f"--users={USERS}", f"--notes={NOTES}", f"--tokens={tokens}", "--verbosity=0"]
        manage("seed_load", *size, code=old_code, url=url)
        give_notes_a_past(url)
        before = counts(url)
        assert before == {"notes": 10_000, "trash": 1_000, "versions": 10_000, "tasks": 10_000}
        all_tokens = tokens.read_text().splitlines()

        serving_old = resources.enter_context(ExitStack())
        old_port = serving_old.enter_context(serving(url, tmp_path / "old-web.log", cwd=old_code))
        serving_old.enter_context(working(url, tmp_path / "old-worker.log", old_code))
        watched = {token: seen_by(Client(old_port, token)) for token in all_tokens[:READ_ONLY:10]}
        ports = [old_port]
        students = [Student(token, seed, ports) for seed, token in enumerate(all_tokens[-STUDENTS:])]

        with at_work(students):
            wait_for_rounds(students)
            manage("migrate", "--noinput", code=settings.BASE_DIR, url=url)  # as the release line does
            wait_for_rounds(students)
            new_port = resources.enter_context(serving(url, tmp_path / "new-web.log"))
            resources.enter_context(working(url, tmp_path / "new-worker.log", settings.BASE_DIR))
            resources.enter_context(beating(url, tmp_path))
            ports.append(new_port)
            wait_for_rounds(students)  # both serve
            ports.remove(old_port)
            wait_for_rounds(students)
            serving_old.close()
            wait_for_rounds(students)

        assert [wrong for student in students for wrong in student.wrong] == []
        for token, old in watched.items():
            assert lacks(seen_by(Client(new_port, token)), old) == []
        for student in students:
            client = Client(new_port, student.token)
            for task_id in student.tasks:
                task = partial(client.get, f"/api/ai/tasks/{task_id}/")
                wait_until(lambda: task()["status"] == "succeeded", 150, lambda: str(task()))  # noqa: B023
        asked = sum(len(student.tasks) for student in students)
        written = sum(len(student.titles) for student in students)
        after = counts(url)
        assert (after["notes"], after["tasks"]) == (before["notes"] + written, before["tasks"] + asked)
        assert after["trash"] == before["trash"]
        old_note = next(iter(watched[all_tokens[0]]["/api/notes/?page_size=100"]["results"]))["id"]
        status, restored = Client(new_port, all_tokens[0]).send("POST", f"/api/notes/{old_note}/versions/1/restore/")
        assert (status, restored["title"].startswith("Before: ")) == (200, True)
        assert manage("migrate", "--check", code=settings.BASE_DIR, url=url) == ""
