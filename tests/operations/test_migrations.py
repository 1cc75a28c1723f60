"""What a migration may do to a database that serves: see docs/operations/upgrade.md."""

import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from notes.models import Note
from tests.processes import environment_of_this_test
from utils.management.commands.lint_migrations import columns_without_default, own_migrations

pytestmark = pytest.mark.django_db(transaction=True)

APPS = {"accounts", "ai_tasks", "notes", "notifications", "study", "utils"}
SQUAWK = str(Path(sys.executable).with_name("squawk"))


def squawk(sql: str, directory: Path, name: str = "notes.0099_new.sql") -> tuple[int, str]:
    """The exit status of squawk with our configuration, and what it found."""
    (directory / name).write_text(sql)
    command = [SQUAWK, "-c", str(settings.BASE_DIR / ".squawk.toml"), "--reporter", "gcc", str(directory / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def as_sql(operation: Operation, *, atomic: bool = True) -> str:
    """What ``sqlmigrate`` would print of a migration with one operation on today's models."""
    before = MigrationLoader(None).project_state()
    after = before.clone()
    operation.state_forwards("notes", after)
    with connection.schema_editor(collect_sql=True, atomic=atomic) as editor:
        operation.database_forwards("notes", editor, before, after)
    return "\n".join(["BEGIN;", *editor.collected_sql, "COMMIT;"] if atomic else editor.collected_sql)


def nullable_column() -> Operation:
    return migrations.AddField("note", "colour", models.CharField(max_length=20, null=True))


def test_every_migration_passes_squawk_or_is_named_with_a_reason():
    call_command("lint_migrations")

    assert {app for app, _ in own_migrations()} >= APPS
    written = {path.name for path in (settings.BASE_DIR / ".local" / "migrations").glob("*.sql")}
    assert written == {f"{app}.{name}.sql" for app, name in own_migrations()}


def test_a_new_column_that_may_be_null_passes(tmp_path):
    assert squawk(as_sql(nullable_column()), tmp_path) == (0, "")


def test_an_index_that_is_built_concurrently_passes(tmp_path):
    index = models.Index(fields=["version"], name="note_version_idx")

    assert squawk(as_sql(AddIndexConcurrently("note", index), atomic=False), tmp_path) == (0, "")


BREAKING = {
    "drops a column": (migrations.RemoveField("note", "status"), "ban-drop-column"),
    "renames a column": (migrations.RenameField("note", "title", "name"), "renaming-column"),
    "drops a table": (migrations.DeleteModel("Topic"), "ban-drop-table"),
    "builds an index under a lock": (
        migrations.AddIndex("note", models.Index(fields=["version"], name="note_version_idx")),
        "require-concurrent-index-creation",
    ),
    "changes a type": (migrations.AlterField("note", "title", models.TextField()), "changing-column-type"),
}


@pytest.mark.parametrize(("operation", "rule"), BREAKING.values(), ids=BREAKING.keys())
def test_what_locks_out_or_breaks_running_processes_is_found(tmp_path, operation, rule):
    status, found = squawk(as_sql(operation), tmp_path)

    assert (status, rule in found) == (1, True), found


def test_a_column_that_the_release_before_cannot_fill_is_found():
    field = {"max_length": 20, "default": ""}
    only_djangos = migrations.AddField("note", "colour", models.CharField(**field))
    the_databases = migrations.AddField("note", "colour", models.CharField(**field, db_default=""))

    assert columns_without_default(as_sql(only_djangos)) == [('"notes_note"', '"colour"')]
    assert columns_without_default(as_sql(the_databases)) == []
    assert columns_without_default(as_sql(nullable_column())) == []


def test_a_migration_that_breaks_a_rule_fails_the_command(monkeypatch):
    without_exceptions = "/dev/null"
    monkeypatch.setattr("utils.management.commands.lint_migrations.CONFIGURATION", without_exceptions)

    with pytest.raises(CommandError, match=r"docs/operations/upgrade\.md"):
        call_command("lint_migrations")


MADE_IN_THE_SAME_RELEASE = {
    "notes_notelink",
    "notes_attachment",
    "notes_noteimport",
    "notes_notesource",
    "notes_noteexport",
    "ai_tasks_passagevector",
    "ai_tasks_embeddinguse",
    "ai_tasks_noteindexing",
}
"""Tables whose keys get their constraints in later migrations. No process writes to them yet."""


def tables_locked(sql: str) -> set[str]:
    """The tables that were there before and that a migration keeps others from writing to until its end."""
    made = {*re.findall(r'CREATE TABLE "?(\w+)', sql), *MADE_IN_THE_SAME_RELEASE}
    named = re.findall(r'(?:ALTER TABLE|REFERENCES|CREATE TRIGGER \w+ [^;]*? ON) "?(\w+)', sql)
    return set(named) - made


def test_no_migration_holds_two_tables_that_processes_write_to():
    """A request that has written to the second and comes to the first would be ended, as each waits for the other."""
    first = {(app, "0001_initial") for app in ("accounts", "notes", "ai_tasks", "notifications", "utils")}
    loader = MigrationLoader(None)
    call_command("lint_migrations")
    sql = settings.BASE_DIR / ".local" / "migrations"

    locked = {
        (app, name): tables_locked((sql / f"{app}.{name}.sql").read_text())
        for app, name in own_migrations()
        if (app, name) not in first and loader.disk_migrations[app, name].atomic
    }

    assert {key: tables for key, tables in locked.items() if len(tables) > 1} == {}
    assert locked["notes", "0006_kept_topics"] == {"notes_note"}


def test_only_work_on_indexes_and_batches_stands_outside_a_transaction():
    """Outside one, statements wait for locks for as long as it takes; only these block nobody meanwhile."""
    allowed = (AddIndexConcurrently, RemoveIndexConcurrently, migrations.RunPython)
    loader = MigrationLoader(None)

    found = {key: loader.disk_migrations[key] for key in own_migrations() if not loader.disk_migrations[key].atomic}

    assert found
    assert [key for key, it in found.items() if not all(isinstance(done, allowed) for done in it.operations)] == []


def test_a_migration_gives_up_a_lock_that_it_does_not_get(monkeypatch):
    monkeypatch.setattr("utils.postgresql.schema.LOCK_TIMEOUT", "100ms")
    with psycopg.connect(environment_of_this_test()["DATABASE_URL"]) as reader:
        reader.execute("SELECT count(*) FROM notes_note")  # whose transaction goes on

        with pytest.raises(OperationalError, match="lock timeout"), connection.schema_editor() as editor:
            editor.execute("ALTER TABLE notes_note ADD COLUMN colour text")

    assert "colour" not in columns_of_notes()
    assert time_outs() == (settings.QUERY_TIMEOUT, 0)


def test_a_concurrent_index_may_take_longer_than_a_statement_of_a_request(settings):
    settings.DATABASE_POOLER = "none"
    before = time_outs()
    index = models.Index(fields=["version"], name="note_version_idx")
    try:
        with connection.schema_editor(atomic=False) as editor:
            assert time_outs() == (0, 0)
            editor.add_index(Note, index, concurrently=True)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX IF EXISTS note_version_idx")

    assert time_outs() == before == (settings.QUERY_TIMEOUT, 0)


def test_behind_a_transaction_pooler_nothing_stays_on_the_connection(settings):
    settings.DATABASE_POOLER = "transaction"

    with connection.schema_editor(atomic=False):
        assert time_outs() == (settings.QUERY_TIMEOUT, 0)


def time_outs() -> tuple[int, int]:
    """The session's time-outs for statements and for locks, in milliseconds."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, setting::int FROM pg_settings WHERE name IN ('statement_timeout', 'lock_timeout')")
        found = dict(cursor.fetchall())
    return found["statement_timeout"], found["lock_timeout"]


def columns_of_notes() -> set[str]:
    with connection.cursor() as cursor:
        return {column.name for column in connection.introspection.get_table_description(cursor, "notes_note")}
