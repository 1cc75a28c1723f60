from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.services import second_factor


class Command(BaseCommand):
    help = (
        "Remove the second factor of an operator who has lost it, and end their sessions in the admin. Their next "
        "sign-in there enrols a new one: make sure first that it is they who ask."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    def handle(self, *args: Any, email: str, **options: Any) -> None:
        try:
            user = User.objects.get_by_natural_key(email)
        except User.DoesNotExist as error:
            raise CommandError("No account has this address.") from error
        if second_factor.reset(user_id=user.pk):
            self.stdout.write(f"{user.email} enrols a new second factor at the next sign-in to the admin.")
        else:
            self.stdout.write(f"{user.email} has no second factor.")
