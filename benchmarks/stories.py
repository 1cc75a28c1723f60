"""How many files a reader passes who follows a request through the code.

Four stories are traced over real requests on engines of their own. A *move* is a call out of one of our files into
another, directly or through a library: each pair of functions counts once, as a loop is read once. What runs at import
and what other threads do is not counted, and each story is told once before, so that nothing is loaded or prepared.

Every function that runs SQL moves into the database backend, through Django. These moves count as all others do, and
are told by themselves, too, as nobody reads the backend for each statement.
"""

import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from benchmarks.cpu_worker import WSGIContestant
from benchmarks.environment import BASE_DIR, HOST, bench, machine, write_result

BACKEND = "utils/postgresql/"
OURS = ("NoteAssist_AI", "accounts", "ai_tasks", "notes", "notifications", "study", "utils")
TITLES = {
    "list_hit": "a list, hit",
    "list_miss": "a list, miss",
    "ai_task": "an AI task, from its POST to its recorded answer",
    "patch_topic": "a PATCH of a topic",
}


def name_of(code: CodeType) -> str | None:
    """``notes/reads.py`` for code of ours, None for a library's."""
    path = Path(code.co_filename)
    if not path.is_relative_to(BASE_DIR):
        return None
    name = path.relative_to(BASE_DIR)
    return str(name) if name.parts[0] in OURS else None


@dataclass
class Trace:
    """The moves of one story, in the order in which each was first made."""

    moves: dict[tuple[str, str, str, str], int] = field(default_factory=dict)
    """How often each was made, by the caller's file and function and the callee's."""
    files: set[str] = field(default_factory=set)

    @contextmanager
    def recording(self) -> Iterator[None]:
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _see(self, frame: FrameType, event: str, _: Any) -> None:
        if event != "call" or (name := name_of(frame.f_code)) is None:
            return
        self.files.add(name)
        caller = frame.f_back
        while caller is not None and (caller_name := name_of(caller.f_code)) is None:
            caller = caller.f_back
        if caller is not None and caller_name is not None and caller_name != name:
            move = (caller_name, caller.f_code.co_qualname, name, frame.f_code.co_qualname)
            self.moves[move] = self.moves.get(move, 0) + 1

    def told(self) -> dict[str, Any]:
        between = Counter((caller, callee) for caller, _, callee, _ in self.moves)
        return {
            "moves": len(self.moves),
            "into_backend": sum(callee.startswith(BACKEND) for _, _, callee, _ in self.moves),
            "files": len(self.files),
            "calls": sum(self.moves.values()),
            "between": [[*pair, count] for pair, count in between.most_common()],
            "path": [f"{caller}:{one} → {callee}:{other}" for caller, one, callee, other in self.moves],
        }


class Client(WSGIContestant):
    """One user of the application in this process."""

    def __init__(self) -> None:
        super().__init__()
        from NoteAssist_AI import wsgi
        from NoteAssist_AI.celery import app as celery_app

        celery_app.loader.import_default_modules()
        self.application = wsgi.application
        self.process_ai_request = celery_app.tasks["utils.async_optimization.process_ai_request"]
        self.headers = {"Host": HOST, "X-Forwarded-Proto": "https"}

    def ask(self, method: str, target: str, body: Any = None) -> Any:
        [(status, _, answer)] = self.prepare([(method, target, self.headers, json.dumps(body) if body else "")])()
        if status >= 400:
            raise SystemExit(f"{method} {target} answered {status}: {answer.decode()}")
        return json.loads(answer)


def tell() -> dict[str, Any]:
    """Trace the stories in this process, whose environment names the database and Redis."""
    client = Client()
    user = {"email": f"{uuid.uuid4()}@example.com", "name": "Reader", "password": "a rather long secret"}
    tokens = client.ask("POST", "/api/auth/register/", user)
    client.headers["Authorization"] = f"Bearer {tokens['access']}"
    chapters = [{"title": "Loops", "topics": [{"title": "While", "explanation": "A loop repeats."}]}]
    note = client.ask("POST", "/api/notes/", {"title": "Python", "chapters": chapters})
    topic = note["chapters"][0]["topics"][0]["id"]

    def change_topic(text: str) -> None:
        client.ask("PATCH", f"/api/topics/{topic}/", {"explanation": text})

    def work_on_task(text: str) -> None:
        body = {"request_type": "improve_explanation", "topic_id": topic, "request_data": {"content": text}}
        task = client.ask("POST", "/api/ai/tasks/", body)["task_id"]
        client.process_ai_request(task)

    def list_notes() -> None:
        client.ask("GET", "/api/notes/")

    stories: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "list_miss": (lambda: change_topic("Another loop."), list_notes),
        "list_hit": (lambda: None, list_notes),
        "ai_task": (lambda: work_on_task("A loop repeats."), lambda: work_on_task("A loop repeats  its body.")),
        "patch_topic": (lambda: None, lambda: change_topic("A loop ends.")),
    }
    list_notes()
    told = {}
    for name, (before, story) in stories.items():
        before()
        trace = Trace()
        with trace.recording():
            story()
        told[name] = trace.told()
    return told


def run() -> dict[str, Any]:
    with bench("stories") as this:
        done = subprocess.run(
            [sys.executable, "-W", "ignore:No directory at", "-m", "benchmarks.stories"],
            cwd=BASE_DIR,
            env=this.environ(),
            stdout=subprocess.PIPE,
            text=True,
            timeout=120,
            check=True,
        )
    document = {"commit": machine()["commit"], "stories": json.loads(done.stdout)}
    counts = {
        name: {key: told[key] for key in ("moves", "into_backend", "files", "calls")}
        for name, told in document["stories"].items()
    }
    write_result("stories", {**document, "stories": counts})
    return document


def table(document: dict[str, Any]) -> str:
    lines = ["| | moves between files | of them into the database backend | files | calls between files |"]
    lines.append("|---|---|---|---|---|")
    for name, title in TITLES.items():
        told = document["stories"][name]
        lines.append(f"| {title} | {told['moves']} | {told['into_backend']} | {told['files']} | {told['calls']} |")
    return "\n".join(lines)


if __name__ == "__main__":
    json.dump(tell(), sys.stdout)
