"""The connections to Redis and PostgreSQL of an event loop."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from utils.postgresql.base import Params, Row
from utils.postgresql.batches import QueryBatches
from utils.redis.batches import Batches
from utils.redis.scripts import ScriptCall


class LoopClients:
    """What functions in an event loop wait for: see :class:`utils.event_loop.Clients`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._scripts = Batches()
        self._queries = QueryBatches(loop)

    def run_scripts(self, scripts: Sequence[ScriptCall]) -> Awaitable[list[Any]]:
        return self._scripts.run(scripts)

    def run_script_later(self, script: ScriptCall) -> None:
        self._scripts.run_later(script)

    def fetch(self, sql: str, params: Params) -> Awaitable[list[Row]]:
        return self._queries.fetch(sql, params)

    async def close(self) -> None:
        """Run the scripts that wait, and disconnect. The thread of the queries ends after those that wait."""
        self._queries.close()
        await self._scripts.close()
