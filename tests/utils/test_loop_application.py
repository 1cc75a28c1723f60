"""What an event loop leaves to threads, and to its end."""

import asyncio
import gc
from typing import Any
from weakref import ref

from NoteAssist_AI.loop_application import EventLoopApplication, Response, Threads
from utils.event_loop import Clients
from utils.redis.scripts import Script

WRITE = Script("return redis.call('SET', KEYS[1], 'value')")


class Large:
    """Something that takes much memory."""


def test_a_thread_without_work_keeps_nothing_of_its_last_call():
    async def left() -> Large | None:
        threads: Threads[Large] = Threads(1, asyncio.get_running_loop())
        made = ref(await threads.run(Large))
        await asyncio.sleep(0.1)  # until the thread waits again
        gc.collect()
        found = made()
        threads.stop()
        return found

    assert asyncio.run(left()) is None


class Request:
    """A request, as far as a fast read needs one."""

    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/notes/"}

    async def respond(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        assert (status, body) == (200, b"{}")


class LeavesAScript:
    """Fast reads that store something after their response, as a page of the cache."""

    async def respond_in_event_loop(self, environ: dict[str, Any], clients: Clients) -> Response:
        clients.run_script_later(WRITE.call(keys=["stored"]))
        return 200, [], b"{}"


def test_what_requests_left_to_redis_is_done_before_the_event_loop_stops(empty_redis):
    async def serve() -> None:
        application = EventLoopApplication(None, 1, LeavesAScript())
        application.start(asyncio.get_running_loop())
        await application.handle(Request())
        await application.stop()

    asyncio.run(serve())

    assert empty_redis.get("stored") == b"value"
