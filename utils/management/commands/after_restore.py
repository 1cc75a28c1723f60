from argparse import ArgumentParser
from typing import Any

from django.core.cache import cache
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from utils.redis.celery_app import app
from utils.redis.client import RedisUnavailable, redis_guard

IDS_SKIPPED = 1_000_000
"""More than the number of rows that any table gets between two backups."""

_SKIP_IDS = """
SELECT setval(format('%%I.%%I', schemaname, sequencename), coalesce(last_value, 0) + %s)
  FROM pg_sequences
 WHERE schemaname = current_schema()
"""


class Command(BaseCommand):
    help = (
        "Run once on a database that was restored from a backup, before any process of the product starts. Empties "
        "Redis, which has data of later writes, and skips ids that were used after the backup: otherwise an old "
        "refresh token could open the session of a user who signs in later."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--noinput", action="store_true", help="do not ask")

    def handle(self, *, noinput: bool, **options: Any) -> None:
        if not noinput and input("This empties Redis. Type 'yes' to go on: ") != "yes":
            raise CommandError("Nothing was done.")
        self._empty_redis()
        with connection.cursor() as cursor:
            cursor.execute(_SKIP_IDS, [IDS_SKIPPED])
            sequences = cursor.rowcount
        self.stdout.write(f"Skipped {IDS_SKIPPED:,} ids of {sequences} tables and emptied Redis.")

    @staticmethod
    def _empty_redis() -> None:
        try:
            with redis_guard() as client:
                client.flushdb()
            cache.clear()
            with app.connection_or_acquire() as broker:
                broker.default_channel.client.flushdb()
        except RedisUnavailable as error:
            raise CommandError(f"Redis does not answer, so nothing was done: {error}") from error
