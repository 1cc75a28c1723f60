"""``manage.py doctor``: what an operator wants to know before calling for help."""

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import Error, connection
from psycopg_pool import PoolTimeout

from utils.redis import RedisUnavailable, redis_guard

Finding = tuple[bool, str]

WANTED_POLICIES = ("volatile-lru", "volatile-lfu", "noeviction")


class Command(BaseCommand):
    help = "Look at PostgreSQL, Redis and the settings, and say what is wrong with them."

    def handle(self, *args: Any, **options: Any) -> None:
        findings = [*_settings(), *_postgres(), *_redis()]
        for is_well, text in findings:
            self.stdout.write(f"{'ok  ' if is_well else 'BAD '} {text}")
        bad = sum(not is_well for is_well, _ in findings)
        if bad:
            raise CommandError(f"{bad} of {len(findings)} things need attention.")


def _settings() -> Iterator[Finding]:
    yield True, f"environment {settings.ENVIRONMENT}, DEBUG {'on' if settings.DEBUG else 'off'}"
    enough = settings.DB_POOL_MAX >= settings.WEB_THREADS
    yield enough, f"DB_POOL_MAX {settings.DB_POOL_MAX} for WEB_THREADS {settings.WEB_THREADS}"


def _postgres() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute(
                """
                SELECT current_setting('server_version'), current_setting('max_connections')::int,
                       (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
                       current_setting('statement_timeout')
                """
            )
            version, maximum, used, timeout = cursor.fetchone()
    except (Error, PoolTimeout) as error:
        yield False, f"PostgreSQL does not answer: {error}"
        return
    yield True, f"PostgreSQL {version}, {used} of {maximum} connections used"
    needed = settings.WEB_CONCURRENCY * settings.DB_POOL_MAX
    yield needed < maximum, f"{needed} connections wanted by {settings.WEB_CONCURRENCY} web processes, of {maximum}"
    # A pooler in transaction mode drops the time-out of the connection's options without a word.
    yield timeout != "0", f"statement_timeout {timeout} (set it on the role if it is 0)"


def _redis() -> Iterator[Finding]:
    try:
        with redis_guard() as client:
            info: dict[str, Any] = client.info()
    except RedisUnavailable as error:
        yield False, f"Redis does not answer: {error}"
        return
    version = tuple(int(part) for part in info["redis_version"].split(".")[:2])
    yield version >= (6, 2), f"Redis {info['redis_version']} (6.2 or later)"
    policy = info["maxmemory_policy"]
    yield policy in WANTED_POLICIES, f"maxmemory-policy {policy} (volatile-lru keeps the broker's queues)"
    limit = info["maxmemory_human"] if info["maxmemory"] else "no limit"
    yield True, f"{info['used_memory_human']} used of {limit}, {info['evicted_keys']} keys evicted so far"
