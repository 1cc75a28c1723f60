"""The least that must be done: one WSGI callable and SQL by hand. No limits, no sessions' state, no cache."""

import os
import time
import uuid
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

import jwt
import orjson
import redis
from argon2 import PasswordHasher
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

LIST = """
SELECT id, title, status, tags,
       (SELECT count(*) FROM notes_chapter WHERE note_id = note.id) AS chapter_count,
       (SELECT count(*) FROM notes_topic JOIN notes_chapter chapter ON chapter.id = chapter_id
         WHERE chapter.note_id = note.id) AS topic_count,
       version, created_at, updated_at
  FROM notes_note note
 WHERE user_id = %s AND deleted_at IS NULL
 ORDER BY updated_at DESC, id DESC
 LIMIT 21
"""
LIST_FIELDS = (
    "id", "title", "status", "tags", "chapter_count", "topic_count", "version", "created_at", "updated_at",
)  # fmt: skip
NOTE = """
SELECT id, title, status, tags, version, created_at, updated_at
  FROM notes_note WHERE id = %s AND user_id = %s AND deleted_at IS NULL
"""
CONTENTS = """
SELECT chapter.id, chapter.title, chapter."order",
       topic.id, topic.title, topic."order", explanation, code, code_language, sources
  FROM notes_chapter chapter LEFT JOIN notes_topic topic ON topic.chapter_id = chapter.id
 WHERE note_id = %s
 ORDER BY chapter."order", topic."order"
"""
CREATE = """
INSERT INTO notes_note (user_id, title, status, tags, version) VALUES (%s, %s, %s, %s, 1)
RETURNING id, title, status, tags, version, created_at, updated_at
"""
UPDATE = """
UPDATE notes_note SET title = %s, version = version + 1, updated_at = now()
 WHERE id = %s AND user_id = %s AND deleted_at IS NULL
RETURNING id, title, status, tags, version, created_at, updated_at
"""
DELETE = """
UPDATE notes_note SET deleted_at = now(), updated_at = now(), version = version + 1
 WHERE id = %s AND user_id = %s AND deleted_at IS NULL
"""
PENDING = """
SELECT id, type, title, message, action_id, created_at
  FROM notifications_notification WHERE user_id = %s AND read_at IS NULL
 ORDER BY created_at DESC, id DESC LIMIT 100
"""
TASK = """
SELECT id, request_type, status, progress, message, updated_at, request_data, topic_id, apply, result, error_code,
       error_detail, provider, model, input_tokens, output_tokens, usage_estimated, cached, retry_of_id, attempt,
       applied_at, created_at, started_at, finished_at, applicable
  FROM ai_tasks_aitask WHERE id = %s AND user_id = %s
"""
COUNT_TASKS = """
SELECT count(*) FROM ai_tasks_aitask WHERE user_id = %s AND billed AND created_at > now() - interval '1 hour'
"""
SUBMIT = """
INSERT INTO ai_tasks_aitask (id, user_id, request_type, request_data, apply, source_hash, request_hash, status,
    progress, message, applicable, error_code, error_detail, provider, input_tokens, output_tokens, usage_estimated,
    cached, billed, attempt, provider_failures, lost_leases, published_at)
VALUES (%s, %s, %s, %s, false, '', '', 'queued', 0, 'Waiting for a worker', true, '', '', '', 0, 0, false, false, true,
    0, 0, 0, now())
RETURNING id, request_type, status, progress, message, updated_at, request_data, topic_id, apply, result, error_code,
       error_detail, provider, model, input_tokens, output_tokens, usage_estimated, cached, retry_of_id, attempt,
       applied_at, created_at, started_at, finished_at, applicable
"""
SEARCH_NOTES = """
SELECT note.id, note.title,
       ts_rank(note.search || setweight(to_tsvector('english', coalesce(titles.text, '')), 'B'), query) AS rank,
       ts_headline('english', coalesce(titles.text, ''), query,
                   'StartSel=<mark>, StopSel=</mark>, MaxWords=35, MinWords=15') AS headline
  FROM notes_note note CROSS JOIN plainto_tsquery('english', %(q)s) query
  LEFT JOIN LATERAL (SELECT string_agg(title, ' · ' ORDER BY "order") AS text FROM notes_chapter
                      WHERE note_id = note.id) titles ON true
 WHERE user_id = %(user)s AND deleted_at IS NULL
   AND (note.search @@ query OR tags && ARRAY[%(q)s]::varchar[]
        OR EXISTS (SELECT FROM notes_chapter WHERE note_id = note.id AND search @@ query))
 ORDER BY rank DESC, updated_at DESC, note.id DESC LIMIT 20
"""
SEARCH_TOPICS = """
SELECT topic.id, chapter_id, chapter.note_id, topic.title,
       ts_rank(topic.search || chapter.search || note.search, query) AS rank,
       ts_headline('english', left(explanation || E'\\n' || code, 10000), query,
                   'StartSel=<mark>, StopSel=</mark>, MaxWords=35, MinWords=15') AS headline
  FROM notes_topic topic JOIN notes_chapter chapter ON chapter.id = chapter_id
  JOIN notes_note note ON note.id = chapter.note_id CROSS JOIN plainto_tsquery('english', %(q)s) query
 WHERE user_id = %(user)s AND deleted_at IS NULL AND topic.search @@ query
 ORDER BY rank DESC, note.updated_at DESC, topic.id DESC LIMIT 20
"""
OPEN_SESSION = """
INSERT INTO accounts_session (user_id, generation, user_agent, ip, rotated_at, created_at, expires_at)
VALUES (%s, 1, '', NULL, now(), now(), now() + interval '30 days') RETURNING id, expires_at
"""
ROTATE = """
UPDATE accounts_session session
   SET generation = generation + 1, rotated_at = now(), expires_at = now() + interval '30 days'
  FROM accounts_user owner
 WHERE session.id = %s AND generation = %s AND owner.id = user_id AND revoked_at IS NULL AND expires_at > now()
RETURNING session.id, generation, expires_at, owner.id, token_version
"""
REGISTER = """
INSERT INTO accounts_user (email, name, password, is_active, is_staff, token_version)
VALUES (%s, %s, %s, true, false, 1) RETURNING id, is_staff, date_joined
"""

KEY = os.environ["JWT_SIGNING_KEY"]
pool = ConnectionPool(
    os.environ["DATABASE_URL"], kwargs={"autocommit": True}, min_size=1, max_size=16, open=True, timeout=5
)
broker = redis.Redis.from_url(os.environ["PEERS_REDIS_URL"])
hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

Answer = tuple[str, dict[str, Any] | None]


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = orjson.loads(environ["wsgi.input"].read(length)) if length else {}
    if path.startswith("/api/auth/"):
        status, data = {"login": login, "refresh": refresh, "register": register}[path.split("/")[3]](body)
    else:
        claims = jwt.decode(environ["HTTP_AUTHORIZATION"][7:], KEY, algorithms=["HS256"])
        status, data = route(method, path, environ["QUERY_STRING"], body, claims["u"])
    if data is None:
        start_response(status, [])
        return []
    content = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    tag = f'"{data["version"]}"' if "version" in data else f'"{blake2b(content, digest_size=12).hexdigest()}"'
    if environ.get("HTTP_IF_NONE_MATCH") == tag:
        start_response("304 Not Modified", [("ETag", tag)])
        return []
    start_response(status, [("Content-Type", "application/json"), ("Content-Length", str(len(content))), ("ETag", tag)])
    return [content]


def route(method: str, path: str, query: str, body: dict[str, Any], user: int) -> Answer:
    match method, path.strip("/").split("/")[1:]:
        case "GET", ["notes"]:
            return "200 OK", list_notes(user)
        case "POST", ["notes"]:
            return "201 Created", create(user, body)
        case "GET", ["notes", note]:
            return "200 OK", detail(user, int(note))
        case "PATCH", ["notes", note]:
            return "200 OK", update(user, int(note), body)
        case "DELETE", ["notes", note]:
            with pool.connection() as connection:
                connection.execute(DELETE, (int(note), user))
            return "204 No Content", None
        case "GET", ["notifications", "pending"]:
            with pool.connection() as connection:
                rows = connection.execute(PENDING, (user,)).fetchall()
            names = ("id", "type", "title", "message", "action_id", "created_at")
            return "200 OK", {"count": len(rows), "results": [dict(zip(names, row, strict=True)) for row in rows]}
        case "GET", ["ai", "tasks", task]:
            with pool.connection() as connection:
                row = connection.execute(TASK, (task, user)).fetchone()
            assert row is not None
            return "200 OK", task_data(row)
        case "POST", ["ai", "tasks"]:
            return "202 Accepted", submit(user, body)
        case "GET", ["search"]:
            return "200 OK", search(user, query.partition("q=")[2].partition("&")[0])
        case "GET", ["bench", "noop"]:
            return "204 No Content", None
    return "404 Not Found", {}


def list_notes(user: int) -> dict[str, Any]:
    with pool.connection() as connection:
        rows = connection.execute(LIST, (user,)).fetchall()
    results = [dict(zip(LIST_FIELDS, row, strict=True)) for row in rows[:20]]
    return {"next": "/api/notes/?cursor=" if len(rows) > 20 else None, "previous": None, "results": results}


def detail(user: int, note: int) -> dict[str, Any]:
    with pool.connection() as connection:
        row = connection.execute(NOTE, (note, user)).fetchone()
        assert row is not None
        return note_data(row, connection.execute(CONTENTS, (note,)).fetchall())


def create(user: int, body: dict[str, Any]) -> dict[str, Any]:
    with pool.connection() as connection:
        row = connection.execute(CREATE, (user, body["title"], body["status"], body["tags"])).fetchone()
    assert row is not None
    return note_data(row, [])


def update(user: int, note: int, body: dict[str, Any]) -> dict[str, Any]:
    with pool.connection() as connection, connection.transaction():
        row = connection.execute(UPDATE, (body["title"], note, user)).fetchone()
        assert row is not None
        return note_data(row, connection.execute(CONTENTS, (note,)).fetchall())


def note_data(note: tuple[Any, ...], contents: list[tuple[Any, ...]]) -> dict[str, Any]:
    chapters: dict[int, dict[str, Any]] = {}
    topics = 0
    for chapter_id, title, order, topic_id, *topic in contents:
        chapter = chapters.get(chapter_id)
        if chapter is None:
            chapter = chapters[chapter_id] = {"id": chapter_id, "title": title, "order": order, "topics": []}
        if topic_id is not None:
            topics += 1
            names = ("title", "order", "explanation", "code", "code_language", "sources")
            chapter["topics"].append({"id": topic_id, **dict(zip(names, topic, strict=True))})
    note_id, title, status, tags, version, created_at, updated_at = note
    return {
        "id": note_id,
        "title": title,
        "status": status,
        "tags": tags,
        "chapter_count": len(chapters),
        "topic_count": topics,
        "version": version,
        "created_at": created_at,
        "updated_at": updated_at,
        "chapters": list(chapters.values()),
    }


def submit(user: int, body: dict[str, Any]) -> dict[str, Any]:
    task_id = uuid.uuid4()
    with pool.connection() as connection, connection.transaction():
        connection.execute("SELECT FROM accounts_user WHERE id = %s FOR NO KEY UPDATE", (user,))
        connection.execute(COUNT_TASKS, (user,))
        parameters = (task_id, user, body["request_type"], Jsonb(body["request_data"]))
        row = connection.execute(SUBMIT, parameters).fetchone()
    broker.lpush("floor", orjson.dumps({"task": "floor", "id": str(task_id), "args": [str(task_id)]}))
    assert row is not None
    return {"task_id": task_id, **task_data(row)}


def task_data(row: tuple[Any, ...]) -> dict[str, Any]:
    (
        task_id, request_type, status, progress, message, updated_at, request_data, topic_id, apply, result, error_code,
        error_detail, provider, model, input_tokens, output_tokens, estimated, cached, retry_of, attempt, applied_at,
        created_at, started_at, finished_at, applicable,
    ) = row  # fmt: skip
    path = f"/api/ai/tasks/{task_id}/"
    return {
        "id": task_id,
        "request_type": request_type,
        "status": status,
        "progress": progress,
        "message": message,
        "timestamp": updated_at,
        "request_data": request_data,
        "topic_id": topic_id,
        "apply": apply,
        "applicable": applicable and status == "succeeded",
        "error": {"code": error_code, "detail": error_detail} if error_code else None,
        "provider": provider,
        "model": model,
        "usage": {"input_tokens": input_tokens, "output_tokens": output_tokens, "estimated": estimated, "cost": None},
        "cached": cached,
        "retry_of": retry_of,
        "attempt": attempt,
        "applied_at": applied_at,
        "created_at": created_at,
        "started_at": started_at,
        "finished_at": finished_at,
        "links": {"self": path, "events": f"{path}events/", "cancel": f"{path}cancel/"},
        "result": result,
    }


def search(user: int, text: str) -> dict[str, Any]:
    with pool.connection() as connection:
        notes = connection.execute(SEARCH_NOTES, {"q": text, "user": user}).fetchall()
        topics = connection.execute(SEARCH_TOPICS, {"q": text, "user": user}).fetchall()
    results = [
        {"type": "note", "note_id": note_id, "title": title, "snippet": headline, "rank": rank}
        for note_id, title, rank, headline in notes
    ]
    for topic_id, chapter_id, note_id, title, rank, headline in topics:
        results.append(
            {
                "type": "topic",
                "note_id": note_id,
                "chapter_id": chapter_id,
                "topic_id": topic_id,
                "title": title,
                "snippet": headline,
                "rank": rank,
            }
        )
    return {"results": sorted(results, key=lambda result: result["rank"], reverse=True)[:20]}


def login(body: dict[str, Any]) -> Answer:
    with pool.connection() as connection:
        row = connection.execute(
            "SELECT id, password, token_version, name, is_staff, date_joined"
            " FROM accounts_user WHERE email = %s AND is_active",
            (body["email"],),
        ).fetchone()
        assert row is not None
        user, password, token_version, name, is_staff, date_joined = row
        hasher.verify(password.removeprefix("argon2"), body["password"])
        session = connection.execute(OPEN_SESSION, (user,)).fetchone()
    assert session is not None
    shown = {"id": user, "email": body["email"], "name": name, "is_staff": is_staff, "date_joined": date_joined}
    return "200 OK", {**tokens(user, token_version, session[0], 1, session[1]), "user": shown}


def register(body: dict[str, Any]) -> Answer:
    password = "argon2" + hasher.hash(body["password"])
    with pool.connection() as connection, connection.transaction():
        row = connection.execute(REGISTER, (body["email"], body["name"], password)).fetchone()
        assert row is not None
        user, is_staff, date_joined = row
        session = connection.execute(OPEN_SESSION, (user,)).fetchone()
    assert session is not None
    shown = {"id": user, "email": body["email"], "name": body["name"], "is_staff": is_staff, "date_joined": date_joined}
    return "201 Created", {**tokens(user, 1, session[0], 1, session[1]), "user": shown}


def refresh(body: dict[str, Any]) -> Answer:
    claims = jwt.decode(body["refresh"], KEY, algorithms=["HS256"], audience="refresh")
    with pool.connection() as connection:
        row = connection.execute(ROTATE, (claims["s"], claims["g"])).fetchone()
    assert row is not None
    session, generation, expires_at, user, token_version = row
    return "200 OK", tokens(user, token_version, session, generation, expires_at)


def tokens(user: int, token_version: int, session: int, generation: int, expires_at: Any) -> dict[str, Any]:
    access = {"u": user, "v": token_version, "s": session, "exp": int(time.time()) + 900}
    renewal = {"s": session, "g": generation, "exp": int(expires_at.timestamp()), "aud": "refresh"}
    return {"access": jwt.encode(access, KEY), "refresh": jwt.encode(renewal, KEY)}
