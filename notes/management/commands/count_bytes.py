"""Count the bytes of notes and users whose size is not recorded yet."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.db.models import Exists, OuterRef

from accounts.models import User
from notes.models import Note, StorageUse
from notes.services.budgets import count_user, locked_use
from notes.sizes import stored_size
from utils.database.batching import batch_query

BATCH_SIZE = 100


class Command(BaseCommand):
    help = (
        "Count the bytes of notes and users whose size is not recorded yet, in short transactions. Safe to run and to "
        "stop at any time: the next run continues. It is optional, as writes count what they need."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--again",
            action="store_true",
            help="also count recorded sizes again, after writes by the previous release",
        )

    def handle(self, *args: Any, again: bool, **options: Any) -> None:
        notes = Note.objects.all() if again else Note.objects.filter(size_bytes=None)
        counted = sum(count_notes([note.pk for note in batch]) for batch in batch_query(notes.only("pk"), BATCH_SIZE))
        known = StorageUse.objects.filter(user=OuterRef("pk"), size_bytes__isnull=False)
        users = User.objects.all() if again else User.objects.filter(~Exists(known))
        totals = 0
        for batch in batch_query(users.only("pk"), BATCH_SIZE):
            for user in batch:
                with transaction.atomic():
                    if not User.objects.filter(pk=user.pk).exists():
                        continue  # deleted meanwhile
                    locked_use(user.pk)
                    count_user(user.pk)
                totals += 1
        self.stdout.write(f"Counted {counted} notes and {totals} users.")


def count_notes(note_ids: list[int]) -> int:
    """Count these notes under their locks, which writers take in the same order; return how many."""
    with transaction.atomic():
        locked = Note.objects.filter(pk__in=note_ids).order_by("pk").select_for_update(no_key=True)
        # A separate statement, so that it sees commits made while this process waited for the locks.
        return Note.objects.filter(pk__in=list(locked.values_list("pk", flat=True))).update(size_bytes=stored_size())
