"""Threads that carry out what an event loop leaves to them."""

import asyncio
import gc
from weakref import ref

from NoteAssist_AI.loop_application import Threads


class Response:
    """Something that takes much memory."""


def test_a_thread_without_work_keeps_nothing_of_its_last_call():
    async def left() -> Response | None:
        threads: Threads[Response] = Threads(1, asyncio.get_running_loop())
        made = ref(await threads.run(Response))
        await asyncio.sleep(0.1)  # until the thread waits again
        gc.collect()
        found = made()
        threads.stop()
        return found

    assert asyncio.run(left()) is None
