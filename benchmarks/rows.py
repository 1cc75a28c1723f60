"""What part A measures: for each row, the requests of one batch, and what must be so before they are sent."""

import json
import time
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
import psycopg
from psycopg.types.json import Jsonb

from benchmarks.cpu_worker import Sent
from benchmarks.environment import HOST, SIGNING_KEY, Bench

READERS = 50
WRITERS = 20  # of each column
NOTES, CHAPTERS, TOPICS = 60, 2, 3
BIG_CHAPTERS, BIG_TOPICS = 5, 8
UNREAD = 5
PASSWORD = "a-benchmark-password"
SEARCH_WORD = "induction"
COLUMNS = ("floor", "ours", "fastapi", "careful", "naive")
JSON_WEB_TOKENS_OF_OURS = ("floor", "ours", "fastapi")
KNOW_ETAGS = ("floor", "ours", "careful")
TOKENS = ("access", "refresh")
_OWN_NAMES = {"id", "task_id", "links", "email", "timestamp", "created_at", "updated_at", "date_joined"}


@dataclass
class Student:
    id: int
    session: int
    big_note: int
    notes: list[int]
    task: uuid.UUID


@dataclass
class World:
    """The data that every column reads, and the writers that each has for itself."""

    this: Bench
    connection: psycopg.Connection[tuple[Any, ...]]
    readers: list[Student] = field(default_factory=list)
    writers: dict[str, list[Student]] = field(default_factory=dict)
    accounts: dict[str, list[str]] = field(default_factory=lambda: {column: [] for column in COLUMNS})
    serials: Counter[str] = field(default_factory=Counter)

    def next_serial(self, column: str) -> int:
        """A number that the column has not sent yet; columns that are sent the same rows are sent the same numbers."""
        self.serials[column] += 1
        return self.serials[column]


def build(this: Bench) -> World:
    """Seed the students, each with a note of 5 by 8 topics (66 kB of JSON), unread notifications and a running task."""
    count = READERS + len(COLUMNS) * WRITERS
    this.seed_load(f"--users={count}", f"--notes={NOTES}", f"--chapters={CHAPTERS}", f"--topics={TOPICS}")
    connection = this.connect()
    connection.execute(
        """
        WITH big AS (
            INSERT INTO notes_note (user_id, title, status, tags, version, created_at, updated_at)
            SELECT id, 'Everything about loops', 'published', ARRAY['python', 'loops'], 1,
                   '2026-06-01 10:00:00.123456Z', '2026-06-01 10:00:00.123456Z' FROM accounts_user RETURNING id
        ), chapter AS (
            INSERT INTO notes_chapter (note_id, title, "order")
            SELECT id, 'Chapter ' || n, n FROM big, generate_series(0, %s - 1) n RETURNING id
        )
        INSERT INTO notes_topic (chapter_id, title, "order", explanation, code, code_language, sources)
        SELECT id, 'Topic ' || n, n, repeat('A loop repeats its body until its condition is false. ', 21),
               repeat('for number in numbers:' || chr(10), 10), 'python', %s
          FROM chapter, generate_series(0, %s - 1) n
        """,
        [BIG_CHAPTERS, Jsonb([{"title": "More", "url": "https://example.com/more"}]), BIG_TOPICS],
    )
    connection.execute(
        """
        INSERT INTO notifications_notification (id, user_id, type, title, message, action_id, created_at, notified_at)
        SELECT gen_random_uuid(), id, 'success', '✓ Generation complete', 'Your content is ready!',
               gen_random_uuid()::text, '2026-06-01 10:00:00.123456Z'::timestamptz + n * interval '1 minute', now()
          FROM accounts_user, generate_series(1, %s) n
        """,
        [UNREAD],
    )
    connection.execute(
        """
        INSERT INTO ai_tasks_aitask (id, user_id, request_type, request_data, apply, source_hash, request_hash, status,
            progress, message, applicable, error_code, error_detail, provider, input_tokens, output_tokens,
            usage_estimated, cached, billed, attempt, provider_failures, lost_leases, lease_expires_at, created_at,
            updated_at, started_at)
        SELECT gen_random_uuid(), id, 'generate_explanation', '{"topic": "Python loops"}', false, '', '', 'running',
            40, 'Writing', true, '', '', '', 0, 0, false, false, true, 1, 0, 0, now() + interval '1 day',
            '2026-06-01 10:00:00.123456Z', '2026-06-01 10:00:01.123456Z', '2026-06-01 10:00:01.123456Z'
          FROM accounts_user
        """
    )
    connection.execute(
        "INSERT INTO accounts_session (user_id, generation, user_agent, expires_at)"
        " SELECT id, 1, 'benchmark', now() + interval '30 days' FROM accounts_user"
    )
    connection.execute("VACUUM (ANALYZE)")
    rows = connection.execute(
        """
        SELECT owner.id, session.id, big.id, ARRAY(SELECT id FROM notes_note WHERE user_id = owner.id AND id <> big.id),
               task.id
          FROM accounts_user owner JOIN accounts_session session ON session.user_id = owner.id
          JOIN notes_note big ON big.user_id = owner.id AND big.title = 'Everything about loops'
          JOIN ai_tasks_aitask task ON task.user_id = owner.id ORDER BY owner.id
        """
    ).fetchall()
    students = [Student(*row) for row in rows]
    world = World(this, connection, readers=students[:READERS])
    for number, column in enumerate(COLUMNS):
        start = READERS + number * WRITERS
        world.writers[column] = students[start : start + WRITERS]
    return world


def access_token(column: str, student: Student) -> str:
    now = int(time.time())
    if column in JSON_WEB_TOKENS_OF_OURS:
        claims = {"u": student.id, "v": 1, "s": student.session, "exp": now + 86_400}
    else:
        claims = {"user_id": str(student.id), "token_type": "access", "exp": now + 86_400, "iat": now}
        claims["jti"] = f"{student.id:032x}"
    return jwt.encode(claims, SIGNING_KEY, headers={"typ": None})  # type: ignore[dict-item]


def headers(token: str = "", **more: str) -> dict[str, str]:
    found = {"Host": HOST, "Accept": "application/json", "User-Agent": "benchmark/1.0", "X-Forwarded-Proto": "https"}
    return {**found, **({"Authorization": f"Bearer {token}"} if token else {}), **more}


class Row(ABC):
    """One line of the table.

    ``compared``: what of a body (None if it is empty) must be equal in the columns ``alike``. ``statuses``: those of
    columns that answer with another than ``status``.
    """

    repeats = False
    """Whether a batch is sent once before it is measured: so that it hits, or only misses what it is to miss."""

    def __init__(
        self,
        name: str,
        title: str,
        compared: Callable[[Any], Any],
        *,
        alike: Sequence[str] = COLUMNS,
        status: int = 200,
        statuses: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        self.title = title
        self.compared = compared
        self.alike = alike
        self._status = status
        self._statuses = statuses or {}

    def status_of(self, column: str) -> int:
        """What every answer of the column must be."""
        return self._statuses.get(column, self._status)

    @abstractmethod
    def batch(self, world: World, column: str) -> list[Sent]:
        """The requests of one batch, after whatever they need was put in place."""

    def before(self, world: World, column: str) -> None:  # noqa: B027  # most rows need nothing
        """What must be done between the rehearsal and the measurement."""


class Read(Row):
    """A GET of each reader once."""

    repeats = True

    def __init__(
        self,
        name: str,
        title: str,
        target: Callable[[Student], str],
        compared: Callable[[Any], Any],
        *,
        cache: str = "hit",
        **expected: Any,
    ) -> None:
        super().__init__(name, title, compared, **expected)
        self.target = target
        self.cache = cache

    def batch(self, world: World, column: str) -> list[Sent]:
        return [("GET", self.target(reader), headers(access_token(column, reader)), "") for reader in world.readers]

    def before(self, world: World, column: str) -> None:
        if self.cache == "miss" and column == "ours":
            forget_pages(world.this)


class NotModified(Read):
    """The same with ``If-None-Match``; a column that knows no ETags answers with the whole."""

    def __init__(self, name: str, title: str, target: Callable[[Student], str]) -> None:
        others = {column: 200 for column in COLUMNS if column not in KNOW_ETAGS}
        super().__init__(name, title, target, _whole, alike=KNOW_ETAGS, status=304, statuses=others)
        self.tags: dict[str, list[str]] = {}

    def batch(self, world: World, column: str) -> list[Sent]:
        return [
            (method, target, {**sent, "If-None-Match": tag}, body)
            for (method, target, sent, body), tag in zip(super().batch(world, column), self.tags[column], strict=True)
        ]


class Write(Row):
    """One request of each writer of the column."""

    def __init__(
        self, name: str, title: str, request: Callable[[World, Student, int], tuple[str, str, Any]], **expected: Any
    ) -> None:
        super().__init__(name, title, _alike, **expected)
        self.request = request

    def batch(self, world: World, column: str) -> list[Sent]:
        sent: list[Sent] = []
        for writer in world.writers[column]:
            method, target, body = self.request(world, writer, world.next_serial(column))
            text = "" if body is None else json.dumps(body)
            sent.append((method, target, headers(access_token(column, writer)), text))
        return sent


class Register(Row):
    size = 3

    def batch(self, world: World, column: str) -> list[Sent]:
        emails = [f"{column}-{world.next_serial(column)}@example.com" for _ in range(self.size)]
        world.accounts[column] += emails
        bodies = [{"email": email, "name": "Somebody", "password": PASSWORD} for email in emails]
        return [("POST", "/api/auth/register/", headers(), json.dumps(body)) for body in bodies]


class Login(Row):
    """Of accounts that the column has made itself, so with the hash that its way prefers."""

    def batch(self, world: World, column: str) -> list[Sent]:
        bodies = [{"email": email, "password": PASSWORD} for email in world.accounts[column][:3]]
        return [("POST", "/api/auth/login/", headers(), json.dumps(body)) for body in bodies]


class Refresh(Row):
    def batch(self, world: World, column: str) -> list[Sent]:
        expires = int(time.time()) + 30 * 86_400
        claims: Iterable[dict[str, Any]]
        if column in JSON_WEB_TOKENS_OF_OURS:
            ids = [writer.id for writer in world.writers[column]]
            rows = world.connection.execute(
                "INSERT INTO accounts_session (user_id, generation, user_agent, expires_at)"
                " SELECT unnest(%s::bigint[]), 1, 'benchmark', to_timestamp(%s) RETURNING id",
                [ids, expires],
            ).fetchall()
            claims = ({"s": row[0], "g": 1, "exp": expires, "aud": "refresh"} for row in rows)
        else:
            claims = (
                {
                    "user_id": str(writer.id),
                    "token_type": "refresh",
                    "exp": expires,
                    "iat": int(time.time()),
                    "jti": uuid.uuid4().hex,
                }
                for writer in world.writers[column]
            )
        bodies = [{"refresh": jwt.encode(claim, SIGNING_KEY)} for claim in claims]
        return [("POST", "/api/auth/refresh/", headers(), json.dumps(body)) for body in bodies]


def forget_pages(this: Bench) -> None:
    client = this.redis()
    for key in client.scan_iter("page*:*", count=5000):
        if not key.startswith((b"pages:run", b"pages:epoch")):
            client.delete(key)


def _undelete(world: World, student: Student) -> None:
    world.connection.execute("UPDATE notes_note SET deleted_at = NULL WHERE id = %s", [student.notes[0]])


def _create(world: World, writer: Student, serial: int) -> tuple[str, str, Any]:
    return "POST", "/api/notes/", {"title": f"Note number {serial}", "status": "draft", "tags": ["python", "loops"]}


def _update(world: World, writer: Student, serial: int) -> tuple[str, str, Any]:
    return "PATCH", f"/api/notes/{writer.big_note}/", {"title": f"Everything about loops, {serial}"}


def _delete(world: World, writer: Student, serial: int) -> tuple[str, str, Any]:
    _undelete(world, writer)
    return "DELETE", f"/api/notes/{writer.notes[0]}/", None


def _submit(world: World, writer: Student, serial: int) -> tuple[str, str, Any]:
    data = {"topic": f"Loops {serial}", "level": "beginner"}
    return "POST", "/api/ai/tasks/", {"request_type": "generate_explanation", "request_data": data}


def _results(body: Any) -> Any:
    return body["results"]


def _found(body: Any) -> Any:
    """Which topics a search finds, and how it ranks them. Only ours chooses what to quote, and escapes it."""
    return [(result["topic_id"], round(result["rank"], 5)) for result in body["results"]]


def _whole(body: Any) -> Any:
    return body


def _alike(body: Any) -> Any:
    """What answers to the same write have in common: of tokens, that they are there; no ids, times and addresses."""
    if isinstance(body, list):
        return [_alike(one) for one in body]
    if not isinstance(body, dict):
        return body
    return {
        name: bool(value) if name in TOKENS else _alike(value) for name, value in body.items() if name not in _OWN_NAMES
    }


def _tokens(*names: str) -> Callable[[Any], Any]:
    return lambda body: _alike({name: body.get(name) for name in names})


def _list(_: Student) -> str:
    return "/api/notes/"


def _detail(student: Student) -> str:
    return f"/api/notes/{student.big_note}/"


ROWS: dict[str, Row] = {
    row.name: row
    for row in (
        Read("noop", "authenticated no-op", lambda _: "/api/bench/noop/", _whole, status=204),
        Read("list_miss", "list of 20, miss", _list, _results, cache="miss"),
        Read("list_hit", "list of 20, hit", _list, _results),
        NotModified("list_304", "list of 20, 304", _list),
        Read("detail_miss", "detail of 66 kB, miss", _detail, _whole, cache="miss"),
        Read("detail_hit", "detail of 66 kB, hit", _detail, _whole),
        NotModified("detail_304", "detail of 66 kB, 304", _detail),
        Read("pending", "pending poll", lambda _: "/api/notifications/pending/", _whole),
        Read("task_status", "task status poll", lambda student: f"/api/ai/tasks/{student.task}/", _whole),
        Read("search", "search", lambda _: f"/api/search/?q={SEARCH_WORD}", _found, alike=("floor", "ours")),
        Write("create", "create a note", _create, status=201),
        Write("update", "update a note of 66 kB", _update),
        Write("delete", "delete a note", _delete, status=204),
        Write("ai_submit", "AI submit", _submit, status=202, statuses={"careful": 201, "naive": 201}),
        Register("register", "register", _alike, status=201),
        Login("login", "login", _tokens(*TOKENS)),
        Refresh("refresh", "refresh", _tokens("access")),
    )
}
