"""Queries of many requests in one round trip, for an event loop, which must not wait for PostgreSQL."""

import asyncio
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

from django.db import connection

from utils.event_loop import NeedsThread
from utils.postgresql.base import Params, QueryFailed, Row, is_silence

_BATCH_MAX = 32
"""Queries."""

_Waiting = tuple[str, Params, "asyncio.Future[list[Row]]"]


class QueryBatches:
    """Runs the queries of an event loop in a thread, on a connection of the pool. Queries that arrive during a round
    trip wait for the next one.

    If the server fails or a query takes too long, the queries of the batch fail; if the server is silent, also those
    that wait, which would otherwise wait for one time-out after the other. If a query fails in any other way, a thread
    must run each by itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[_Waiting] = []
        self._is_running = self._is_closed = False
        self._batches: SimpleQueue[list[_Waiting]] = SimpleQueue()
        threading.Thread(target=self._work, name="queries", daemon=True).start()

    def fetch(self, sql: str, params: Params) -> "asyncio.Future[list[Row]]":
        """The rows of a query, with timestamps as text. Raises the database's errors, and ``NeedsThread``."""
        fetched: asyncio.Future[list[Row]] = self._loop.create_future()
        self._waiting.append((sql, params, fetched))
        if not self._is_running:
            self._is_running = True
            self._loop.call_soon(self._run_waiting)  # after what else is ready, which may have queries, too
        return fetched

    def close(self) -> None:
        """End the thread after the queries that wait."""
        self._is_closed = True
        if not self._is_running:
            self._run_waiting()

    def _run_waiting(self) -> None:
        """Give the thread its next batch. An empty one ends it."""
        batch, self._waiting = self._waiting[:_BATCH_MAX], self._waiting[_BATCH_MAX:]
        self._is_running = bool(batch)
        if batch or self._is_closed:
            self._batches.put(batch)

    def _work(self) -> None:
        while batch := self._batches.get():
            results = _run(batch)
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._answer, batch, results)
            del batch, results  # which would be kept while there is nothing to do

    def _answer(self, batch: Sequence[_Waiting], results: Sequence[list[Row] | BaseException]) -> None:
        if is_silence(results[0]):
            batch, self._waiting = [*batch, *self._waiting], []
            results = [results[0]] * len(batch)
        for (_, _, fetched), result in zip(batch, results, strict=True):
            if fetched.done():  # its client has disconnected
                continue
            if isinstance(result, BaseException):
                fetched.set_exception(result)
            else:
                fetched.set_result(result)
        self._run_waiting()


def _run(batch: Sequence[_Waiting]) -> Sequence[list[Row] | BaseException]:
    """The rows of each query, or its error."""
    database: Any = connection
    queries = [(sql, params) for sql, params, _ in batch]
    try:
        return database.fetch_together(queries) if len(batch) > 1 else [database.fetch(*queries[0])]
    except QueryFailed:
        return [NeedsThread() for _ in batch]
    except Exception as error:  # noqa: BLE001  # raised where the rows are awaited
        return [error for _ in batch]
