"""Queries of many requests in one round trip: each gets its own rows, whatever becomes of the others."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psycopg
import pytest
from django.conf import settings as ours
from django.db import DataError, OperationalError, connection

from tests.database_faults import own_connection
from tests.processes import wait_until
from utils.event_loop import NeedsThread
from utils.postgresql.batches import QueryBatches

pytestmark = pytest.mark.django_db(transaction=True)


def run(steps: Callable[[QueryBatches], Awaitable[Any]]) -> Any:
    async def with_batches() -> Any:
        batches = QueryBatches(asyncio.get_running_loop())
        try:
            return await steps(batches)
        finally:
            batches.close()

    return asyncio.run(with_batches())


def numbered(batches: QueryBatches, count: int) -> list[Awaitable[Any]]:
    return [batches.fetch("SELECT %s::int, pg_backend_pid()", [number]) for number in range(count)]


LOCK = 46_001


def together(*queries: tuple[str, list[Any]]) -> list[Any]:
    """The results of queries that are sent together: they wait while another one waits for a lock."""

    async def steps(batches: QueryBatches) -> Any:
        with own_connection() as own:
            own.execute("SELECT pg_advisory_lock(%s)", [LOCK])
            first = batches.fetch("SELECT pg_advisory_xact_lock_shared(%s::bigint)::text", [LOCK])
            await asyncio.to_thread(wait_until, lambda: is_waited_for(own))
            rest = [batches.fetch(sql, params) for sql, params in queries]
        await first
        return await asyncio.gather(*rest, return_exceptions=True)

    results: list[Any] = run(steps)
    return results


def is_waited_for(own: psycopg.Connection) -> bool:
    return bool(own.execute("SELECT 1 FROM pg_locks WHERE NOT granted AND objid = %s", [LOCK]).fetchall())


def test_each_query_gets_its_own_rows():
    async def many(batches: QueryBatches) -> list[Any]:
        return await asyncio.gather(*numbered(batches, 200))

    assert [rows[0][0] for rows in run(many)] == list(range(200))


def test_queries_that_wait_are_sent_together():
    pid = "SELECT pg_backend_pid(), now()::text"

    results = together((pid, []), (pid, []), (pid, []))

    assert len({rows[0][0] for rows in results}) == 1
    assert len({rows[0][1] for rows in results}) == 1  # statements of one round trip share a transaction


def test_timestamps_are_text():
    moment = "SELECT '2026-11-23 10:00:00.5+00'::timestamptz"

    assert together((moment, []), (moment, [])) == [[("2026-11-23 10:00:00.5+00",)]] * 2


def test_the_error_of_a_query_alone_is_its_own():
    async def one(batches: QueryBatches) -> Any:
        return await batches.fetch("SELECT 1 / %s::int", [0])

    with pytest.raises(DataError):
        run(one)


def test_queries_sent_together_with_one_that_fails_need_threads():
    results = together(("SELECT 1", []), ("SELECT 1 / %s::int", [0]), ("SELECT 2", []))

    assert [type(result) for result in results] == [NeedsThread] * 3


def test_a_value_that_cannot_be_sent_is_no_error_of_the_others():
    results = together(("SELECT 1", []), ("SELECT %s::text", ["\ud800"]), ("SELECT 2", []))

    assert [type(result) for result in results] == [NeedsThread] * 3


def test_after_a_failure_the_next_queries_are_answered():
    async def both(batches: QueryBatches) -> Any:
        failing = [batches.fetch("SELECT 1 / %s::int", [0]) for _ in range(20)]
        await asyncio.gather(*failing, return_exceptions=True)
        return await asyncio.gather(*numbered(batches, 20))

    assert [rows[0][0] for rows in run(both)] == list(range(20))


def test_a_server_that_ends_the_connection_fails_the_queries_that_were_sent_together():
    end = "SELECT pg_terminate_backend(pg_backend_pid())"

    results = together(("SELECT 1", []), (end, []), ("SELECT 2", []))

    assert [type(result) for result in results] == [OperationalError] * 3


def test_those_that_have_waited_for_a_query_that_took_too_long_wait_no_longer():
    """A thread would run each again, and wait as long once more for a table that is locked."""
    soon = "SELECT set_config('statement_timeout', '200', true)"

    results = together((soon, []), ("SELECT pg_sleep(60)::text", []), ("SELECT 2", []))

    assert [type(result) for result in results] == [OperationalError] * 3


@pytest.fixture
def silence(settings, monkeypatch) -> Iterator[str]:
    """A query that takes longer than anybody waits; the server itself would not end it yet."""
    settings.QUERY_TIMEOUT = 400
    monkeypatch.setattr("utils.postgresql.base.MARGIN_SECONDS", 0.1)
    yield "SELECT pg_sleep(60)::text"
    with own_connection() as own:
        own.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'")


def test_those_that_wait_for_a_silent_server_are_told_with_those_that_it_leaves_waiting(silence):
    """One after the other, 30 batches would take 15 s."""

    async def many(batches: QueryBatches) -> float:
        began = time.monotonic()
        asked = [batches.fetch(silence, []) for _ in range(30 * 32)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(answer) for answer in answers} == {OperationalError}
        return time.monotonic() - began

    assert run(many) < 7


def test_one_silent_connection_is_enough_to_replace_the_others(silence):
    """If a firewall has forgotten them all, 16 queries would have to wait until the last was found out."""
    connection.close()
    pool = connection.pool
    users = [connection.copy() for _ in range(pool.max_size)]
    for user in users:
        user.ensure_connection()
    silent = {user.connection.info.backend_pid for user in users}
    for user in users:
        user.close()

    async def steps(batches: QueryBatches) -> list[Any]:
        with pytest.raises(OperationalError, match="stopped responding"):
            await batches.fetch(silence, [])
        return [await batches.fetch("SELECT pg_backend_pid()", []) for _ in range(pool.max_size)]

    assert silent.isdisjoint(rows[0][0] for rows in run(steps))


def test_a_column_of_another_type_is_no_failure_of_the_server():
    async def steps(batches: QueryBatches) -> list[list[Any]]:
        async def values() -> list[Any]:
            asked = [batches.fetch("SELECT value, %s::int FROM tests_typed", [number]) for number in range(20)]
            return await asyncio.gather(*asked, return_exceptions=True)

        with own_connection() as own:
            own.execute("CREATE TABLE tests_typed AS SELECT 1 AS value")
            try:
                for _ in range(5):  # by then the statement is prepared
                    await values()
                own.execute("ALTER TABLE tests_typed ALTER COLUMN value TYPE text")
                return [await values() for _ in range(2 * ours.DATABASES["default"]["OPTIONS"]["pool"]["max_size"])]
            finally:
                own.execute("DROP TABLE tests_typed")

    rounds = run(steps)

    assert {type(result) for results in rounds for result in results} <= {list, NeedsThread}
    assert rounds[-1] == [[("1", number)] for number in range(20)]  # each connection has made its plan anew


def test_a_request_whose_client_has_gone_takes_no_other_one_along():
    async def one_is_cancelled(batches: QueryBatches) -> list[Any]:
        gone, stays = numbered(batches, 2)
        assert isinstance(gone, asyncio.Future)
        gone.cancel()
        return await asyncio.gather(gone, stays, return_exceptions=True)

    gone, stays = run(one_is_cancelled)

    assert isinstance(gone, asyncio.CancelledError)
    assert stays[0][0] == 1


def test_closed_batches_answer_what_waits_and_leave_no_thread():
    async def close(batches: QueryBatches) -> tuple[list[Any], threading.Thread]:
        [thread] = [thread for thread in threading.enumerate() if thread.name == "queries"]
        waiting = numbered(batches, 50)
        batches.close()
        return await asyncio.gather(*waiting), thread

    results, thread = run(close)
    thread.join(10)

    assert [rows[0][0] for rows in results] == list(range(50))
    assert not thread.is_alive()
