"""Ordinary functions in an event loop: they wait without blocking it, and what would block it needs a thread."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any
from weakref import ref

import pytest

from utils.event_loop import LoopCall, NeedsThread, loop_call, pause, require_thread
from utils.redis.client import redis_guard
from utils.redis.scripts import Script, run_surely

CLIENTS: Any = None
"""These functions ask neither Redis nor PostgreSQL through an event loop."""
name: ContextVar[str] = ContextVar("name", default="")


def called(function: Callable[[], Any]) -> Awaitable[Any]:
    return LoopCall(function, CLIENTS).result()


def wait_for(event: asyncio.Event) -> None:
    call = loop_call()
    assert call is not None
    call.wait_for(event.wait())


def test_a_function_waits_while_others_go_on():
    async def both() -> list[str]:
        first_waits, second_came = asyncio.Event(), asyncio.Event()
        steps: list[str] = []

        def first() -> None:
            steps.append("first begins")
            first_waits.set()
            wait_for(second_came)
            steps.append("first ends")

        def second() -> None:
            wait_for(first_waits)
            steps.append("second")
            second_came.set()

        await asyncio.gather(called(second), called(first))
        return steps

    assert asyncio.run(both()) == ["first begins", "second", "first ends"]


def test_what_a_function_returns_or_raises_is_its_result():
    async def results() -> list[Any]:
        return await asyncio.gather(called(lambda: "good"), called(lambda: 1 // 0), return_exceptions=True)

    good, error = asyncio.run(results())

    assert good == "good"
    assert isinstance(error, ZeroDivisionError)


def test_an_error_of_what_is_awaited_is_raised_where_the_function_waits():
    async def fail() -> None:
        raise LookupError

    def function() -> str:
        try:
            LoopCall.wait_for(fail())
        except LookupError:
            return "caught"
        return "missed"

    assert asyncio.run(called(function)) == "caught"


def test_calls_one_after_the_other_share_nothing():
    """Their greenlets are kept for the next calls, a hundred at once are more than are kept."""

    def function() -> str:
        before = name.get()
        name.set("somebody's")
        pause(0)
        return before

    async def many() -> list[str]:
        await asyncio.gather(*(called(function) for _ in range(100)))
        return await asyncio.gather(*(called(function) for _ in range(100)))

    assert asyncio.run(many()) == [""] * 100


class Large:
    """Something that takes much memory."""


@pytest.mark.parametrize("fails", [False, True])
def test_a_kept_greenlet_keeps_nothing_of_its_last_call(fails):
    made: list[ref[Large]] = []

    def function() -> Large:
        large = Large()
        made.append(ref(large))
        pause(0)
        if fails:
            raise ValueError
        return large

    async def call() -> None:
        await asyncio.gather(called(function), return_exceptions=True)

    async def left() -> Large | None:
        await call()
        await asyncio.sleep(0)
        gc.collect()
        return made[0]()

    assert asyncio.run(left()) is None


def test_a_function_knows_the_context_of_its_call():
    async def of_somebody() -> str:
        name.set("mine")
        found: str = await called(name.get)
        return found

    assert asyncio.run(of_somebody()) == "mine"


def test_a_call_that_is_cancelled_ends_its_function():
    ended: list[str] = []

    def function() -> None:
        try:
            pause(3600)
        finally:
            ended.append("ended")

    async def cancelled() -> str:
        task = asyncio.ensure_future(called(function))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found: str = await called(lambda: "the next one works")
        return found

    assert asyncio.run(cancelled()) == "the next one works"
    assert ended == ["ended"]


def test_a_thread_is_no_event_loop():
    assert loop_call() is None
    require_thread()
    pause(0)


BLOCKING: dict[str, Callable[[], Any]] = {
    "a command of Redis": lambda: redis_guard().__enter__().get("key"),
    "a script that must be run": lambda: run_surely(Script("return 1").call()),
}


@pytest.mark.parametrize("what", BLOCKING)
def test_what_would_block_the_event_loop_needs_a_thread(what):
    def function() -> None:
        try:
            BLOCKING[what]()
        except Exception as error:
            raise AssertionError("It is no error that a handler of errors may take.") from error

    with pytest.raises(NeedsThread):
        asyncio.run(called(function))
