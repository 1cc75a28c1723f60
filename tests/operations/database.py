"""A database of a test's own on the test's server, and what fills it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.processes import environment_of_this_test

# In the schema of 2026-11-29, which every later one understands. The tables of notes are filled by `seed_load`.
_VERSIONS = """
INSERT INTO notes_noteversion (note_id, version, reason, created_at, snapshot)
SELECT n.id, n.version, 'edit', n.created_at, jsonb_build_object(
         'title', 'Before: ' || left(n.title, 200), 'status', n.status, 'tags', to_jsonb(n.tags), 'chapters', (
           SELECT jsonb_agg(jsonb_build_object('id', c.id, 'title', c.title, 'topics', (
             SELECT jsonb_agg(jsonb_build_object(
                      'id', t.id, 'title', t.title, 'explanation', 'Before: ' || t.explanation, 'code', t.code,
                      'code_language', t.code_language, 'sources', t.sources) ORDER BY t."order")
               FROM notes_topic t WHERE t.chapter_id = c.id)) ORDER BY c."order")
             FROM notes_chapter c WHERE c.note_id = n.id))
  FROM notes_note n
"""
_NEXT_VERSION = "UPDATE notes_note SET version = version + 1"
_TASKS = """
INSERT INTO ai_tasks_aitask (
  id, user_id, request_type, request_data, topic_id, apply, source_hash, request_hash, status, progress, message,
  result, applicable, error_code, error_detail, provider, model, input_tokens, output_tokens, usage_estimated, cached,
  billed, attempt, provider_failures, lost_leases, created_at, updated_at, started_at, finished_at)
SELECT gen_random_uuid(), n.user_id, 'summarize', '{"content": "A text.", "length": "short"}', t.id, false, '', '',
       CASE n.id % 10 WHEN 0 THEN 'failed' WHEN 1 THEN 'cancelled' ELSE 'succeeded' END,
       CASE WHEN n.id % 10 > 1 THEN 100 ELSE 40 END, 'Done.',
       CASE WHEN n.id % 10 > 1
            THEN '{"content": "Short.", "code": "", "code_language": "", "sources": [], "notice": ""}'::jsonb END,
       true, CASE n.id % 10 WHEN 0 THEN 'provider_error' ELSE '' END, '', 'offline', NULL, 10, 2, false, false, true,
       1, 0, 0, n.created_at, n.created_at, n.created_at, n.created_at
  FROM notes_note n JOIN notes_chapter c ON c.note_id = n.id AND c."order" = 0
       JOIN notes_topic t ON t.chapter_id = c.id AND t."order" = 0
"""
_NOTIFICATIONS = """
INSERT INTO notifications_notification (id, user_id, type, title, message, action_id, created_at, read_at, notified_at)
SELECT gen_random_uuid(), user_id, 'success', 'Finished', 'A task has ended.', id::text, created_at, NULL, created_at
  FROM ai_tasks_aitask WHERE status <> 'cancelled'
"""
_TRASH = "UPDATE notes_note SET deleted_at = now() WHERE id % 10 = 3"


@contextmanager
def new_database() -> Iterator[str]:
    """The URL of an empty database on the test's server; it is gone after the block."""
    test_database = environment_of_this_test()["DATABASE_URL"]
    name = f"operations_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(test_database, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield urlunsplit(urlsplit(test_database)._replace(path=f"/{name}"))
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def give_notes_a_past(url: str) -> None:
    """Add to each note a version and a task, to each ended task a notification; put every tenth note into the trash."""
    with psycopg.connect(url) as connection:
        for statement in (_VERSIONS, _NEXT_VERSION, _TASKS, _NOTIFICATIONS, _TRASH):
            connection.execute(statement)


def counts(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        return {
            name: connection.execute(query).fetchone()[0]
            for name, query in {
                "notes": "SELECT count(*) FROM notes_note",
                "trash": "SELECT count(*) FROM notes_note WHERE deleted_at IS NOT NULL",
                "versions": "SELECT count(*) FROM notes_noteversion",
                "tasks": "SELECT count(*) FROM ai_tasks_aitask",
            }.items()
        }


def contents(url: str) -> dict[str, str]:
    """A digest of all rows of each table."""
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        return {
            table: connection.execute(
                f"SELECT count(*) || ' ' || md5(coalesce(string_agg(row::text, E'\\n' ORDER BY row::text), ''))"
                f' FROM "{table}" AS row'
            ).fetchone()[0]
            for (table,) in tables
        }
