"""Fill the database with users and notes for load tests, and write access tokens of these users."""

import os
import random
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, models, transaction
from django.utils import timezone
from psycopg.types.json import Jsonb

from accounts.models import Session, User
from accounts.tokens import REFRESH_LIFETIME, issue_access
from notes.models import Chapter, Note, Topic
from notes.search.vectors import words_of_chapter, words_of_note, words_of_topic
from notes.title_order import title_key

LOAD_PASSWORD = "load-password"
ROWS_PER_TRANSACTION = 10_000  # well below the statement time-out: indexing the texts takes most of the time
FIRST_TIMESTAMP = datetime(2026, 1, 1, 8, 0, 0, 123456, tzinfo=UTC)
TIME_BETWEEN_NOTES = timedelta(minutes=37)
STATUSES = (Note.Status.PUBLISHED, Note.Status.PUBLISHED, Note.Status.DRAFT, Note.Status.ARCHIVED)
SUBJECTS = (
    "python", "sql", "algebra", "biology", "chemistry", "physics", "history", "economics", "spanish", "logic",
    "statistics", "networks", "geometry", "genetics", "optics", "literature",
)  # fmt: skip
WORDS = (
    "a", "loop", "repeats", "its", "body", "until", "the", "condition", "is", "false", "and", "each", "index", "keeps",
    "rows", "in", "order", "so", "that", "reading", "one", "page", "costs", "little", "while", "cells", "divide",
    "energy", "stays", "constant", "of", "all", "samples", "mean", "variance", "follows", "from", "this", "rule",
    "when", "prices", "rise", "demand", "falls", "verbs", "change", "with", "person", "tense", "light", "bends",
    "between", "media", "proof", "by", "induction", "begins", "at", "zero", "packets", "arrive", "twice", "or", "never",
)  # fmt: skip
PARAGRAPHS = 512
CODE = "def total(numbers: list[int]) -> int:\n    result = 0\n    for number in numbers:\n        result += number\n"

Row = Sequence[Any]


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ArgumentTypeError("must be at least 1")
    return number


def not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ArgumentTypeError("must not be negative")
    return number


class Command(BaseCommand):
    help = (
        "Create users load-1@noteassist.local, load-2@... with generated notes, the same for the same arguments. "
        "Existing users are not changed, but are signed in like the others if --tokens is given."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--users", type=positive, required=True, help="how many users")
        parser.add_argument("--notes", type=not_negative, required=True, help="how many notes each user has")
        parser.add_argument("--chapters", type=not_negative, default=1, help="chapters of a note (default: 1)")
        parser.add_argument("--topics", type=not_negative, default=1, help="topics of a chapter (default: 1)")
        parser.add_argument("--tokens", type=Path, help="where to write access tokens, one a line, user by user")
        parser.add_argument("--token-days", type=positive, default=1, help="how many days they are valid (default: 1)")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.IS_PRODUCTION:
            raise CommandError("The password of load users is public, so seed_load is refused in production.")
        try:
            from tqdm import tqdm
        except ImportError as error:
            raise CommandError("seed_load is for development: it needs what requirements-dev.txt installs.") from error
        new_users = create_users(options["users"])
        contents = Contents(notes=options["notes"], chapters=options["chapters"], topics=options["topics"])
        progress = tqdm(total=len(new_users), desc="Writing", unit="user", disable=options["verbosity"] == 0)
        for users in batches(new_users, size=contents.users_per_transaction):
            contents.write(users)
            progress.update(len(users))
        progress.close()
        analyze(User, Note, Chapter, Topic)
        if options["tokens"]:
            write_tokens(options["tokens"], sign_in(options["users"], lifetime=timedelta(days=options["token_days"])))
        self.stdout.write(
            f"Created {len(new_users)} users (password: {LOAD_PASSWORD}) with {options['notes']} notes each."
        )


def email_of(number: int) -> str:
    return f"load-{number}@noteassist.local"


def create_users(count: int) -> list[tuple[int, int]]:
    """Create those of the first ``count`` load users who are missing; return their numbers and ids."""
    password = make_password(LOAD_PASSWORD, salt="the-same-for-every-load-user")  # hashing one takes 20 ms
    numbers = {email_of(number): number for number in range(1, count + 1)}
    with transaction.atomic():
        known = set(User.objects.filter(email__in=numbers).values_list("email", flat=True))
        users = User.objects.bulk_create(
            (
                User(email=email, name=f"Load User {number}", password=password, date_joined=FIRST_TIMESTAMP)
                for email, number in numbers.items()
                if email not in known
            ),
            batch_size=5000,
        )
    return [(numbers[user.email], user.pk) for user in users]


def sign_in(count: int, *, lifetime: timedelta) -> Iterator[str]:
    """Begin a session for each of the first ``count`` load users; yield an access token for each, in order."""
    now = timezone.now()
    users = User.objects.filter(email__in=[email_of(number) for number in range(1, count + 1)])
    by_email = {user.email: user for user in users.only("email", "token_version")}
    in_order = [by_email[email_of(number)] for number in range(1, count + 1)]
    expires_at = now + max(lifetime, REFRESH_LIFETIME)
    sessions = Session.objects.bulk_create(
        (Session(user=user, user_agent="seed_load", expires_at=expires_at) for user in in_order), batch_size=5000
    )
    for session in sessions:
        yield issue_access(
            user_id=session.user_id,
            token_version=session.user.token_version,
            session_id=session.pk,
            issued_at=now,
            lifetime=lifetime,
        )


def write_tokens(path: Path, tokens: Iterable[str]) -> None:
    """Write the tokens to a file that only its owner may read, as each gives access to an account."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.writelines(f"{token}\n" for token in tokens)


class Contents:
    """Generates the notes of load users: the same number for each, with texts derived from numbers only."""

    def __init__(self, *, notes: int, chapters: int, topics: int) -> None:
        self.notes = range(notes)
        self.chapters = range(chapters)
        self.topics = range(topics)
        rng = random.Random(0)
        self.paragraphs = [" ".join(rng.choices(WORDS, k=rng.randint(40, 80))) + "." for _ in range(PARAGRAPHS)]

    @property
    def users_per_transaction(self) -> int:
        rows_of_note = 1 + len(self.chapters) * (1 + len(self.topics))
        return max(1, ROWS_PER_TRANSACTION // max(1, len(self.notes) * rows_of_note))

    def write(self, users: Sequence[tuple[int, int]]) -> None:
        """Write all notes of these users (number, id) by COPY, in one transaction."""
        with transaction.atomic():
            numbered = list(product(users, self.notes))
            notes = list(zip(new_ids(Note, len(numbered)), numbered, strict=True))
            copy(
                Note,
                ("id", "user", "title", "status", "tags", "version", "created_at", "updated_at", "words", "title_key"),
                (self._note(note_id, *user, number) for note_id, (user, number) in notes),
            )
            parts = list(product(notes, self.chapters))
            chapters = list(zip(new_ids(Chapter, len(parts)), parts, strict=True))
            copy(
                Chapter,
                ("id", "note", "title", "order", "words"),
                (
                    self._chapter(chapter_id, note_id, user_id, order)
                    for chapter_id, ((note_id, ((_, user_id), _)), order) in chapters
                ),
            )
            copy(
                Topic,
                ("chapter", "title", "order", "explanation", "code", "code_language", "sources", "words"),
                (
                    self._topic(chapter_id, chapter + user_number * 31 + note, user_id, order)
                    for chapter_id, ((_, ((user_number, user_id), note)), chapter) in chapters
                    for order in self.topics
                ),
            )

    def _note(self, note_id: int, user_number: int, user_id: int, number: int) -> Row:
        timestamp = FIRST_TIMESTAMP + number * TIME_BETWEEN_NOTES + timedelta(seconds=user_number)
        mixed = user_number * 31 + number
        subject, other = SUBJECTS[mixed % len(SUBJECTS)], SUBJECTS[(mixed * 7 + 3) % len(SUBJECTS)]
        title = f"{subject.title()} and {other}, lesson {number + 1}"
        status = STATUSES[mixed % len(STATUSES)].value
        tags = list(dict.fromkeys((subject, other)))
        words = words_of_note(user_id, title=title, tags=tags)
        return note_id, user_id, title, status, tags, 1, timestamp, timestamp, words, title_key(title)

    def _chapter(self, chapter_id: int, note_id: int, user_id: int, order: int) -> Row:
        title = f"Part {order + 1}"
        return chapter_id, note_id, title, order, words_of_chapter(user_id, title=title)

    def _topic(self, chapter_id: int, mixed: int, user_id: int, order: int) -> Row:
        mixed += order * 17
        explanation = self.paragraphs[mixed % PARAGRAPHS]
        subject = SUBJECTS[mixed % len(SUBJECTS)]
        sources = Jsonb([{"title": f"More on {subject}", "url": f"https://example.com/{subject}"}])
        title = f"{subject.title()}, {order + 1}"
        words = words_of_topic(user_id, title=title, explanation=explanation, code=CODE)
        return chapter_id, title, order, explanation, CODE, "python", sources, words


def new_ids(model: type[models.Model], count: int) -> list[int]:
    """Ids for rows that are about to be copied, from the table's sequence."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s::int)",
            [model._meta.db_table, count],
        )
        return [row[0] for row in cursor.fetchall()]


def copy(model: type[models.Model], fields: Sequence[str], rows: Iterable[Row]) -> None:
    """Insert rows by COPY; columns not in ``fields`` get their defaults."""
    column_of = {field.name: str(field.column) for field in model._meta.concrete_fields}
    columns = ", ".join(connection.ops.quote_name(column_of[name]) for name in fields)
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as target:
        for row in rows:
            target.write_row(row)


def analyze(*tables: type[models.Model]) -> None:
    """Update the planner's statistics, or its first plans would be made for empty tables."""
    with connection.cursor() as cursor:
        for model in tables:
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")


def batches(users: Sequence[tuple[int, int]], *, size: int) -> Iterator[Sequence[tuple[int, int]]]:
    for start in range(0, len(users), size):
        yield users[start : start + size]
