"""One contestant in a process of its own: sends itself requests and says what they cost.

``python -m benchmarks.cpu_worker COLUMN`` reads one JSON document a line and answers each with one. A batch is
``{"requests": [[method, target, headers, body], ...], "status": 200, "bodies": false, "profile": false}``; its
answer ``{"cpu": seconds, "wall": seconds, "statements": count, "bodies": [...], "etags": [...]}``.
"""

import asyncio
import cProfile
import importlib
import io
import json
import os
import pstats
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

PROFILE_LINES = 45

Headers = dict[str, str]
Sent = tuple[str, str, Headers, str]
Answered = tuple[int, str, bytes]
"""Status, ETag and body."""


class Contestant(ABC):
    """Answers batches of requests in this process, and counts its SQL statements (BEGIN and COMMIT apart)."""

    def __init__(self) -> None:
        self.statements = 0

    @abstractmethod
    def prepare(self, sent: list[Sent]) -> Callable[[], list[Answered]]:
        """Everything that a server would have done before the application is called."""


class WSGIContestant(Contestant):
    application: Any

    def prepare(self, sent: list[Sent]) -> Callable[[], list[Answered]]:
        environs = [environ_of(*request) for request in sent]
        return lambda: [self._answer(environ) for environ in environs]

    def _answer(self, environ: dict[str, Any]) -> Answered:
        status, etag = "", ""

        def start_response(line: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            nonlocal status, etag
            status = line
            etag = next((value for name, value in headers if name == "ETag"), "")

        answer = self.application(environ, start_response)
        try:
            body = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        return int(status[:3]), etag, body


class Floor(WSGIContestant):
    def __init__(self) -> None:
        super().__init__()
        import psycopg

        from benchmarks.peers import floor

        execute = psycopg.Connection.execute

        def counted(connection: Any, *args: Any, **kwargs: Any) -> Any:
            self.statements += 1
            return execute(connection, *args, **kwargs)

        psycopg.Connection.execute = counted  # type: ignore[method-assign]
        self.application = floor.application


class DjangoContestant(WSGIContestant):
    def __init__(self, settings: str) -> None:
        super().__init__()
        os.environ["DJANGO_SETTINGS_MODULE"] = settings
        if settings == "benchmarks.ours_settings":
            self.application = importlib.import_module("NoteAssist_AI.wsgi").application
        else:
            from django.core.wsgi import get_wsgi_application

            self.application = get_wsgi_application()
        import psycopg

        execute = psycopg.Cursor.execute

        def counted(cursor: Any, *args: Any, **kwargs: Any) -> Any:
            self.statements += 1
            return execute(cursor, *args, **kwargs)

        psycopg.Cursor.execute = counted  # type: ignore[method-assign]


class FastAPIContestant(Contestant):
    def __init__(self) -> None:
        super().__init__()
        from sqlalchemy import event

        from benchmarks.peers.fastapi_app import app

        self.application = app.app
        self.loop = asyncio.new_event_loop()
        event.listen(app.engine.sync_engine, "before_cursor_execute", self._count)

    def _count(self, *args: Any) -> None:
        self.statements += 1

    def prepare(self, sent: list[Sent]) -> Callable[[], list[Answered]]:
        scopes = [(_scope(*request), request[3].encode()) for request in sent]
        return lambda: self.loop.run_until_complete(self._answer_all(scopes))

    async def _answer_all(self, scopes: list[tuple[dict[str, Any], bytes]]) -> list[Answered]:
        return [await self._answer(scope, body) for scope, body in scopes]

    async def _answer(self, scope: dict[str, Any], body: bytes) -> Answered:
        status, etag, parts = 0, "", []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status, etag
            if message["type"] == "http.response.start":
                status = message["status"]
                etag = next((value.decode() for name, value in message["headers"] if name == b"etag"), "")
            else:
                parts.append(message.get("body", b""))

        await self.application(scope, receive, send)
        return status, etag, b"".join(parts)


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "floor": Floor,
    "ours": lambda: DjangoContestant("benchmarks.ours_settings"),
    "careful": lambda: DjangoContestant("benchmarks.peers.careful.settings"),
    "naive": lambda: DjangoContestant("benchmarks.peers.naive.settings"),
    "fastapi": FastAPIContestant,
}


def environ_of(method: str, target: str, headers: Headers, body: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    content = body.encode()
    environ = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "443",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_SOFTWARE": "benchmark",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(content),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if content:
        environ |= {"CONTENT_LENGTH": str(len(content)), "CONTENT_TYPE": "application/json"}
    return environ | {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}


def _scope(method: str, target: str, headers: Headers, body: str) -> dict[str, Any]:
    path, _, query = target.partition("?")
    sent = dict(headers)
    if body:
        sent |= {"Content-Length": str(len(body.encode())), "Content-Type": "application/json"}
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 443),
    }


def measure(contestant: Contestant, batch: dict[str, Any]) -> dict[str, Any]:
    run = contestant.prepare([tuple(request) for request in batch["requests"]])
    profiler = cProfile.Profile(time.process_time) if batch.get("profile") else None
    contestant.statements = 0
    wall, cpu = time.perf_counter(), time.process_time()
    if profiler:
        answers = profiler.runcall(run)
    else:
        answers = run()
    cost = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "statements": contestant.statements}
    for status, _, body in answers:
        if status != batch["status"]:
            raise SystemExit(f"expected {batch['status']}, got {status}: {body[:500]!r} for {batch['requests'][0]}")
    if batch.get("bodies"):
        cost["bodies"] = [body.decode() for _, _, body in answers]
        cost["etags"] = [etag for _, etag, _ in answers]
    if profiler:
        text = io.StringIO()
        for order in ("tottime", "cumulative"):
            pstats.Stats(profiler, stream=text).sort_stats(order).print_stats(PROFILE_LINES)
        cost["profile"] = text.getvalue()
    return cost


def main() -> None:
    column, core = sys.argv[1], int(sys.argv[2])
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    contestant = CONTESTANTS[column]()
    out = sys.stdout
    sys.stdout = sys.stderr  # whatever an application prints must not come between our answers
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(contestant, json.loads(line))), file=out, flush=True)


if __name__ == "__main__":
    main()
