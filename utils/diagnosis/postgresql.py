"""PostgreSQL: whether it responds, how many connections all processes need, time-outs, pooler, migrations, clock."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection
from psycopg import Connection
from psycopg import Error as PsycopgError

from utils.database.migrations import read_pending
from utils.diagnosis import Options, Result, check
from utils.postgresql.base import BoundedConnection
from utils.redis.client import RedisUnavailable
from utils.redis.signs import workers_alive

MAX_SKEW_SECONDS = 2.0
"""The times of leases, tokens and heartbeats are compared across machines."""
_NAMES_SHOWN = 5


class _Facts(NamedTuple):
    version: str
    maximum: int
    used: int
    timeout: str
    own_timeout: str
    own_zone: str
    skew: float
    behind_pooler: bool


def _connect() -> Connection[Any]:
    """A direct connection: a pool reports only that it timed out, and not why."""
    parameters = connection.get_connection_params()
    parameters.pop("pool", None)
    return BoundedConnection.connect(**parameters)


def _read_facts() -> _Facts:
    with _connect() as direct:
        behind_pooler = direct.is_behind_pooler()  # type: ignore[attr-defined]
        asked_at = time.time()
        row = direct.execute(
            """
            SELECT current_setting('server_version'),
                   current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
                   (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
                   current_setting('statement_timeout'),
                   (SELECT reset_val FROM pg_settings WHERE name = 'statement_timeout'),
                   (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'),
                   extract(epoch FROM clock_timestamp())::float8
            """,
            prepare=False,
        ).fetchone()
    assert row is not None
    skew = row[-1] - (asked_at + time.time()) / 2
    return _Facts._make((*row[:-1], skew, behind_pooler))


@check("postgresql")
def look(_options: Options) -> Iterator[Result]:
    try:
        facts = _read_facts()
    except PsycopgError as error:
        yield False, f"PostgreSQL cannot be used: {_cause(error)}"
        return
    yield True, f"PostgreSQL {facts.version}, {facts.used} of {facts.maximum} connections used"
    yield from _connections(facts.maximum)
    mode = settings.DATABASE_POOLER
    seen = "there is a pooler" if facts.behind_pooler else "there is no pooler"
    advice = "" if facts.behind_pooler == (mode != "none") else " (set it to the mode of the pooler)"
    yield mode != "none" or not facts.behind_pooler, f"DATABASE_POOLER {mode}, and {seen}{advice}"
    if mode == "transaction":
        # A SET would leak to the next client of the server connection, so the time-out must be a setting of the role.
        yield (
            facts.own_timeout != "0",
            f"statement_timeout of the role {facts.own_timeout} ms (ALTER ROLE … SET statement_timeout)",
        )
        yield (
            facts.own_zone in ("UTC", "Etc/UTC"),
            f"timezone of the role {facts.own_zone} (ALTER ROLE … SET timezone = 'UTC')",
        )
    else:
        yield facts.timeout != "0", f"statement_timeout {facts.timeout} (0 lets a statement run for ever)"
    yield abs(facts.skew) <= MAX_SKEW_SECONDS, f"PostgreSQL's clock differs by {facts.skew:+.1f} s"


def _cause(error: PsycopgError) -> str:
    """The server's message, or the connection error, on one line."""
    return " ".join(str(error).split())


def _connections(maximum: int) -> Iterator[Result]:
    """Compare the most connections that all processes may open together with the server's limit."""
    try:
        workers = max(1, workers_alive())
    except RedisUnavailable:
        workers = 1
    wanted = {
        # One for each thread, and one for the queries of the event loop.
        "web": settings.WEB_CONCURRENCY * min(settings.DB_POOL_MAX, settings.WEB_THREADS + 1),
        "events": settings.EVENTS_CONCURRENCY * settings.EVENTS_DB_POOL_MAX,
        "worker": workers * settings.WORKER_DB_POOL_MAX,
        "commands": 2,  # migrations of a release, and this command
    }
    total = sum(wanted.values())
    parts = ", ".join(f"{name} {count}" for name, count in wanted.items())
    yield total <= maximum, f"all processes together want up to {total} connections ({parts}) of {maximum}"


@check("migrations", needs=("postgresql",))
def migrations(_options: Options) -> Iterator[Result]:
    pending = read_pending()
    if not pending:
        yield True, "every migration is applied"
        return
    named = ", ".join(pending[:_NAMES_SHOWN])
    more = f" and {len(pending) - _NAMES_SHOWN} more" if len(pending) > _NAMES_SHOWN else ""
    yield False, f"{len(pending)} migrations are pending: {named}{more} (manage.py migrate)"
