from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from NoteAssist_AI import embedded


class Command(BaseCommand):
    help = "Keep the embedded PostgreSQL and Redis of this checkout running, stop them, or show their status."
    requires_system_checks = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("action", choices=["start", "stop", "status"])

    def handle(self, *, action: str, **_options: Any) -> None:
        engines = embedded.engines_of_checkout()
        try:
            if action == "start":
                engines.keep()
                engines.leave()
            elif action == "stop" and not engines.release():
                raise CommandError("They are in use; the last process that uses them will stop them.")
            self._write_status(engines)
        except embedded.EngineError as error:
            raise CommandError(str(error)) from error

    def _write_status(self, engines: embedded.Engines) -> None:
        status = engines.status()
        for server in engines.servers:
            self.stdout.write(f"{server.name}: {server.url if status.running[server.name] else 'stopped'}")
        self.stdout.write(f"in use: {'yes' if status.in_use else 'no'}")
        self.stdout.write(f"kept until `embedded stop`: {'yes' if status.kept else 'no'}")
