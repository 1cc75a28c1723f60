import re
import shutil
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db.migrations.loader import MigrationLoader

CONFIGURATION = ".squawk.toml"
DEFAULT_DROPPED = re.compile(r"ALTER TABLE (\S+) .*ALTER COLUMN (\S+) DROP DEFAULT")


class Command(BaseCommand):
    help = (
        "Write the SQL of this project's migrations to .local/migrations, and check with squawk for statements that "
        "would block running processes. Exceptions, with reasons, are in .squawk.toml. See docs/operations/upgrade.md."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        squawk = shutil.which("squawk", path=str(Path(sys.executable).parent)) or shutil.which("squawk")
        if squawk is None:
            raise CommandError("squawk is not installed: it comes with requirements-dev.txt.")
        folder = settings.BASE_DIR / ".local" / "migrations"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        names, without_default = [], []
        for app, name in own_migrations():
            sql = sql_of(app, name)
            path = folder / f"{app}.{name}.sql"
            path.write_text(sql)
            names.append(str(path.relative_to(settings.BASE_DIR)))
            without_default += [f"{app}.{name}: {table} {column}" for table, column in columns_without_default(sql)]
        command = [squawk, f"--config={CONFIGURATION}", *names]
        checked = subprocess.run(command, cwd=settings.BASE_DIR, timeout=60, check=False)
        for column in without_default:
            self.stderr.write(
                f"{column}: rows of the release before would lack it. Give it a db_default, or null=True."
            )
        if checked.returncode or without_default:
            raise CommandError("A migration breaks running processes: docs/operations/upgrade.md says what to do.")


def own_migrations() -> list[tuple[str, str]]:
    """The app and name of each migration of this project's own apps, sorted."""
    own = {config.label for config in apps.get_app_configs() if Path(config.path).parent == settings.BASE_DIR}
    return sorted(key for key in MigrationLoader(None).disk_migrations if key[0] in own)


def sql_of(app: str, name: str) -> str:
    sql = StringIO()
    call_command("sqlmigrate", app, name, stdout=sql, no_color=True)
    return sql.getvalue()


def columns_without_default(sql: str) -> list[tuple[str, str]]:
    """The table and name of each new column that is NOT NULL and has no default in the database.

    Processes of the previous release do not know the column, so their inserts would fail.
    """
    return DEFAULT_DROPPED.findall(sql)
