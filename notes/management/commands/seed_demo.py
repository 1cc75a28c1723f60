"""Create the demo user with their notes, and a demo operator."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from accounts.models import User
from accounts.services.demo_accounts import DEMO_ADMIN_EMAIL, DEMO_EMAIL, DEMO_PASSWORD
from notes import services
from notes.models import Note
from notes.serializers import NoteCreateSerializer

DEMO_NOTES = Path(__file__).resolve().parents[2] / "demo"
TIME_BETWEEN_NOTES = timedelta(hours=7)


class Command(BaseCommand):
    help = (
        f"Create the user {DEMO_EMAIL} with demo notes, and the operator {DEMO_ADMIN_EMAIL}; "
        f"the password of both is {DEMO_PASSWORD}. "
        "A demo user who has notes, also in the trash, is left as it is."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("The demo accounts' password is public, so seed_demo is refused in production.")
        with transaction.atomic():
            user, _ = User.objects.get_or_create(
                email=DEMO_EMAIL,
                defaults={"name": "Demo Student", "password": make_password(DEMO_PASSWORD)},
            )
            User.objects.get_or_create(
                email=DEMO_ADMIN_EMAIL,
                defaults={"name": "Demo Operator", "password": make_password(DEMO_PASSWORD), "is_staff": True},
            )
            # Of two concurrent runs the second waits here, and then finds the notes of the first.
            User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)
            if Note.objects.owned_by(user.pk).exists():
                self.stdout.write(f"{DEMO_EMAIL} has notes already; nothing was changed.")
                return
            count = services.import_notes(user_id=user.pk, notes=read_demo_notes())
        self.stdout.write(self.style.SUCCESS(f"Created {count} notes of {DEMO_EMAIL} (password: {DEMO_PASSWORD})."))


def read_demo_notes() -> list[services.NoteData]:
    """Read the notes of the demo files, validated like a client's request; the first file's note is the newest."""
    now = timezone.now()
    notes: list[Any] = []
    for number, path in enumerate(sorted(DEMO_NOTES.glob("*.yaml"))):
        document = NoteCreateSerializer(data=yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))
        if not document.is_valid():
            raise CommandError(f"{path.name}: {document.errors}")
        written_at = now - number * TIME_BETWEEN_NOTES
        notes.append({**document.validated_data, "created_at": written_at, "updated_at": written_at})
    return notes
