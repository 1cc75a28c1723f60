"""``manage.py sweep_files``: lists files without a row, and rows without a file."""

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from utils import storage


class Command(BaseCommand):
    help = (
        "List files that no row names (a crash left them, or the database was restored from a backup) and rows whose "
        "file is missing. The exit status is 1 if there are any. Nothing is changed without --delete."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--delete", action="store_true", help="delete the files that no row names")

    def handle(self, *args: Any, **options: Any) -> None:
        files = rows = 0
        for strays in storage.find_strays():
            files += len(strays.files)
            rows += len(strays.rows)
            for name in strays.files:
                self.stdout.write(f"no row   {name}")
                if options["delete"]:
                    storage.discard(name)
            for name in strays.rows:
                self.stdout.write(f"no file  {name}")
        done = " (deleted)" if options["delete"] and files else ""
        self.stdout.write(f"{files} files without a row{done}, {rows} rows without a file")
        if rows or (files and not options["delete"]):
            sys.exit(1)
