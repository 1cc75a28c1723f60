from typing import Any

from django.core.management.base import BaseCommand

from accounts.services.demo_accounts import remove_demo_accounts


class Command(BaseCommand):
    help = "Delete the demo accounts and all their data. Production does not start while they exist."

    def handle(self, *args: Any, **options: Any) -> None:
        removed = remove_demo_accounts()
        self.stdout.write(f"Removed: {', '.join(removed)}" if removed else "There are no demo accounts.")
