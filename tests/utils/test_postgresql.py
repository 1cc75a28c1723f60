"""Pooled connections are looked at, not asked, and one that the server has closed is replaced unnoticed."""

import logging
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    connection,
    connections,
    reset_queries,
    transaction,
)
from django.db.transaction import TransactionManagementError

from accounts.models import User
from tests.database_faults import in_background, uncommitted
from tests.factories import UserFactory
from utils.postgresql.base import SHORT_TIMEOUT_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _all_are_in_the_pool(transactional_db: None) -> None:
    """Whatever ran before, this thread has none of its connections."""
    connection.close()


def backend() -> int:
    """The server process behind this thread's connection, which then goes back to its pool."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
    connection.close()
    return pid


def all_backends() -> set[int]:
    """Those of the whole pool, which hands out its connections in turn."""
    return {backend() for _ in range(2 * connection.pool.max_size)}


def take(users) -> set[int]:
    """The server processes behind all connections that the pool has, each in use until all are."""
    try:
        for user in users:
            user.ensure_connection()
        pids = {user.connection.info.backend_pid for user in users}
    finally:
        for user in users:
            user.close()
    assert len(pids) == len(users)
    return pids


def is_all_there() -> bool:
    """Whether nobody has a connection of the pool."""
    stats = connection.pool.get_stats()
    return connection.connection is None and stats["pool_available"] == stats["pool_size"] > 0


def test_what_was_in_a_row_is_in_no_traceback():
    UserFactory(email="dora@example.com")

    with pytest.raises(IntegrityError) as check, transaction.atomic():
        UserFactory(email="Dora@example.com", password="argon2$secret")
    with pytest.raises(IntegrityError) as unique, transaction.atomic():
        UserFactory(email="dora@example.com", password="argon2$secret")
    with pytest.raises(DataError) as too_long, transaction.atomic():
        UserFactory(email="eve@example.com", password="argon2$secret" * 10)

    assert str(check.value) == (
        'new row for relation "accounts_user" violates check constraint "user_email_is_lower_case"'
    )
    assert str(unique.value) == 'duplicate key value violates unique constraint "accounts_user_email_key"'
    assert str(too_long.value) == "value too long for type character varying(128)"
    for failure in (check, unique, too_long):
        assert "DETAIL" not in "".join(traceback.format_exception(failure.value))


def test_connections_are_used_again():
    assert all_backends() == all_backends()


def test_connections_that_the_server_has_closed_are_replaced(admin):
    closed = all_backends()
    for pid in closed:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    assert backend() not in closed


def test_replaced_connections_leave_the_pool_as_large_as_it_was(admin):
    users = [connection.copy() for _ in range(connection.pool.max_size)]
    closed = take(users)
    for pid in closed:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    assert take(users).isdisjoint(closed)


def test_readable_connections_are_checked_by_a_query_and_kept(admin):
    pids = all_backends()
    for _ in range(2 * connection.pool.max_size):
        with connection.cursor() as cursor:
            cursor.execute("LISTEN something")
        connection.close()
    admin.execute("NOTIFY something")

    assert all_backends() == pids


def test_connections_are_not_checked_by_a_query_before_each_use(admin):
    pids = list(all_backends())
    last_queries = "SELECT pid, query_start FROM pg_stat_activity WHERE pid = ANY(%s) ORDER BY pid"
    before = admin.execute(last_queries, [pids]).fetchall()

    for _ in range(2 * connection.pool.max_size):
        connection.ensure_connection()
        connection.close()

    assert admin.execute(last_queries, [pids]).fetchall() == before


def test_a_server_that_does_not_answer_is_given_up(settings, monkeypatch, admin):
    """Frozen or cut off, it does not end the statement itself, as this one's ``statement_timeout`` would not yet."""
    with connection.cursor() as cursor, monkeypatch.context() as patch:
        cursor.execute("SELECT pg_backend_pid()")
        pid = cursor.fetchone()[0]
        settings.QUERY_TIMEOUT = 100
        patch.setattr("utils.postgresql.base.MARGIN_SECONDS", 0.1)
        with pytest.raises(OperationalError, match="stopped responding"):
            cursor.execute("SELECT pg_sleep(20)")
        settings.QUERY_TIMEOUT = 30_000
    connection.close()
    admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    assert backend() != pid


def test_after_a_timeout_the_next_are_short_until_a_connection_can_be_taken(monkeypatch):
    wrapper, patience = connection.copy(), 0.5
    others = [connection.copy() for _ in range(connection.pool.max_size)]
    for other in others:
        other.ensure_connection()
    monkeypatch.setattr(connection.pool, "timeout", patience)
    for _ in range(3):
        with pytest.raises(OperationalError):
            wrapper.ensure_connection()
        assert wrapper.pool.timeout == SHORT_TIMEOUT_SECONDS
    for other in others:
        other.close()

    wrapper.ensure_connection()

    assert wrapper.pool.timeout == patience
    wrapper.close()


def test_a_single_query_has_a_connection_for_itself_which_goes_back_at_once():
    backend()

    assert connection.fetch(
        "SELECT %s::int, moment FROM (VALUES ('2026-11-28 10:00Z'::timestamptz)) row(moment)", [1]
    ) == [(1, "2026-11-28 10:00:00+00")]

    assert is_all_there()


def test_a_single_query_of_who_has_a_connection_needs_no_other():
    connection.ensure_connection()

    assert connection.fetch("SELECT pg_backend_pid()", []) == [(connection.connection.info.backend_pid,)]


def test_a_single_query_whose_pool_was_replaced_has_its_result():
    backend()
    pool = connection.pool
    query = "SELECT 'answer' FROM pg_advisory_xact_lock(1, 1)"

    with (
        uncommitted("SELECT pg_advisory_xact_lock(1, 1)") as lock,
        in_background(lambda: connections["default"].fetch(query, [])) as answer,
    ):
        lock.wait_for_one()
        connection.close_pool()
        lock.open()

    assert answer.result() == [("answer",)]
    assert connection.pool is not pool


def test_reading_timestamps_as_text_does_not_affect_other_cursors():
    query = "SELECT '2026-11-29 10:00Z'::timestamptz"
    assert connection.fetch(query, []) == [("2026-11-29 10:00:00+00",)]
    with connection.pool.connection() as pooled:
        assert pooled.execute(query).fetchone() == (datetime(2026, 11, 29, 10, tzinfo=UTC),)


def test_a_single_query_may_be_the_first_of_its_process():
    connection.close()
    connection.close_pool()

    assert connection.fetch("SELECT 1", []) == [(1,)]


def test_a_single_query_in_a_transaction_is_part_of_it():
    with transaction.atomic():
        user = UserFactory()

        assert connection.fetch("SELECT id FROM accounts_user", []) == [(user.pk,)]


def test_a_single_query_does_not_leave_a_transaction_whose_connection_broke(admin):
    with transaction.atomic():
        User.objects.count()
        connection.close()

        with pytest.raises(ProgrammingError, match="atomic"):
            connection.fetch("SELECT 1", [])
        transaction.set_rollback(False)
        with pytest.raises(ProgrammingError, match="new connection"):
            connection.fetch("SELECT 1", [])
        transaction.set_rollback(True)


def test_a_single_query_in_a_failed_transaction_is_refused():
    with transaction.atomic():
        transaction.set_rollback(True)

        with pytest.raises(TransactionManagementError):
            connection.fetch("SELECT 1", [])


def test_a_single_query_that_fails_in_a_transaction_is_an_error_of_djangos():
    with pytest.raises(DataError, match=r"^division by zero$"), transaction.atomic():
        connection.fetch("SELECT 1 / %s::int", [0])

    assert connection.fetch("SELECT 1", []) == [(1,)]


def test_a_connection_in_use_is_no_other_threads():
    connection.ensure_connection()
    wrapper = connections["default"]

    with ThreadPoolExecutor(1) as others, pytest.raises(DatabaseError, match="thread"):
        others.submit(wrapper.fetch, "SELECT 1", []).result(5)


def test_a_single_query_that_fails_is_an_error_of_djangos_and_gives_its_connection_back():
    backend()
    with pytest.raises(ProgrammingError, match="nowhere"):
        connection.fetch("SELECT 1 FROM nowhere", [])
    with pytest.raises(DataError, match=r"^division by zero$"):
        connection.fetch("SELECT 1 / %s::int", [0])

    assert is_all_there()


def test_a_single_query_on_a_connection_that_the_server_has_closed_has_another(admin):
    for pid in all_backends():
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    assert connection.fetch("SELECT 1", []) == [(1,)]


def test_a_single_query_is_counted_where_queries_are(settings):
    settings.DEBUG = True
    backend()
    reset_queries()

    connection.fetch("SELECT 1", [])

    assert [query["sql"] for query in connection.queries] == ["SELECT 1"]


def test_a_single_query_is_seen_by_those_who_watch():
    seen = []
    backend()

    with connection.execute_wrapper(lambda execute, sql, *args: seen.append(sql) or execute(sql, *args)):
        connection.fetch("SELECT 1", [])

    assert seen == ["SELECT 1"]


def test_a_single_query_opens_no_transaction_on_a_connection_that_broke_in_one(caplog):
    users = [connection.copy() for _ in range(connection.pool.max_size)]
    for user in users:
        user.ensure_connection()
        user.set_autocommit(False)
        user.close()

    with caplog.at_level(logging.WARNING):
        connection.fetch("SELECT 1", [])

    assert caplog.messages == []
    assert is_all_there()
