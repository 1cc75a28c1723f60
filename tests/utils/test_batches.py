"""Scripts of many requests in one round trip: each gets its own replies, whatever becomes of the others."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import psutil
import pytest
import redis

from tests.refusing_redis import refusing_writes
from utils.monitoring.context import current_request_id
from utils.redis.batches import Batches
from utils.redis.client import EPOCH_KEY, RedisUnavailable, breaker
from utils.redis.scripts import Script

ECHO = Script("return ARGV[1]")
WRITE = Script("return redis.call('SET', KEYS[1], 'value')")
SLOW = Script(
    """
local function now() local time = redis.call('TIME'); return time[1] * 1000 + time[2] / 1000 end
local until_ms = now() + 100
while now() < until_ms do end
return ARGV[1]
"""
)
BROKEN = Script("return nothing.at_all")


def echo(text: str) -> list[Any]:
    return [ECHO.call(args=[text])]


def run(steps: Callable[[Batches], Awaitable[Any]]) -> Any:
    async def with_batches() -> Any:
        batches = Batches()
        try:
            return await steps(batches)
        finally:
            await batches.close()

    return asyncio.run(with_batches())


@pytest.fixture
def operator(own_redis) -> Iterator[redis.Redis]:
    """Somebody else's connection to the test's own Redis."""
    with redis.Redis.from_url(own_redis.url) as client:
        yield client


def connections_made(operator: redis.Redis) -> int:
    return operator.info("stats")["total_connections_received"]


def test_each_request_gets_its_own_replies_on_one_connection(operator):
    before = connections_made(operator)

    async def many(batches: Batches) -> list[Any]:
        asked = [batches.run([ECHO.call(args=[f"a{number}"]), ECHO.call(args=[f"b{number}"])]) for number in range(200)]
        return [*await asyncio.gather(*asked), await batches.run(echo("later"))]

    *replies, later = run(many)

    assert replies == [[b"a%d" % number, b"b%d" % number] for number in range(200)]
    assert later == [b"later"]
    assert connections_made(operator) == before + 1


def test_scripts_that_the_server_has_forgotten_are_sent_again(operator):
    async def asked_twice(batches: Batches) -> list[Any]:
        first = await batches.run(echo("first"))
        operator.script_flush()
        return [*first, *await batches.run([*echo("second"), *echo("third")])]

    assert run(asked_twice) == [b"first", b"second", b"third"]


def test_a_mistake_in_one_script_is_an_error_of_its_request_alone(empty_redis):
    async def both(batches: Batches) -> list[Any]:
        return await asyncio.gather(batches.run([BROKEN.call()]), batches.run(echo("good")), return_exceptions=True)

    mistake, good = run(both)

    assert type(mistake) is redis.ResponseError
    assert good == [b"good"]
    assert not breaker.is_open


def test_a_script_whose_reply_is_not_needed_is_run(empty_redis, caplog):
    async def later(batches: Batches) -> None:
        for script in (WRITE.call(keys=["stored"]), BROKEN.call()):
            batches.run_later(script)

    run(later)

    assert empty_redis.get("stored") == b"value"
    assert [record.getMessage() for record in caplog.records if record.name == "utils.redis.batches"] == [
        "A script failed."
    ]


def test_a_script_whose_reply_is_not_needed_is_lost_without_redis(dead_redis, breakers_stay_open, caplog):
    async def later(batches: Batches) -> None:
        batches.run_later(WRITE.call(keys=["lost"]))

    run(later)

    assert breaker.is_open
    assert {record.levelname for record in caplog.records} == {"WARNING"}


def test_a_request_whose_client_has_gone_takes_no_other_one_along(empty_redis):
    async def one_is_cancelled(batches: Batches) -> list[Any]:
        gone, stays = batches.run(echo("gone")), batches.run(echo("stays"))
        await asyncio.sleep(0)
        gone.cancel()
        return await asyncio.gather(gone, stays, return_exceptions=True)

    gone, stays = run(one_is_cancelled)

    assert isinstance(gone, asyncio.CancelledError)
    assert stays == [b"stays"]


def test_all_who_wait_are_told_that_redis_is_away(dead_redis, breakers_stay_open):
    async def many(batches: Batches) -> list[Any]:
        return await asyncio.gather(*(batches.run(echo("x")) for _ in range(200)), return_exceptions=True)

    assert {type(error) for error in run(many)} == {RedisUnavailable}
    assert breaker.is_open


def test_the_log_line_of_a_batch_names_no_single_request(dead_redis, breakers_stay_open):
    named: list[str] = []
    watching = logging.Handler()
    watching.emit = lambda record: named.append(current_request_id.get())  # type: ignore[method-assign]
    logging.getLogger("utils.redis.batches").addHandler(watching)

    async def for_a_request(batches: Batches) -> None:
        current_request_id.set("one of many")
        await asyncio.gather(batches.run(echo("lost")), return_exceptions=True)

    try:
        run(for_a_request)
    finally:
        logging.getLogger("utils.redis.batches").removeHandler(watching)

    assert named == [""]


def test_a_redis_that_does_not_answer_is_given_up(own_redis, settings, breakers_stay_open):
    server = psutil.Process(int(own_redis.pid_path.read_text()))

    async def while_it_sleeps(batches: Batches) -> list[Any]:
        before = await batches.run(echo("before"))
        server.send_signal(signal.SIGSTOP)
        settings.REDIS_TIMEOUT_SECONDS = 0.2
        try:
            [error] = await asyncio.gather(batches.run(echo("lost")), return_exceptions=True)
        finally:
            server.send_signal(signal.SIGCONT)
        settings.REDIS_TIMEOUT_SECONDS = 30
        return [before, error, await batches.run(echo("after"))]

    before, error, after = run(while_it_sleeps)

    assert (before, type(error), after) == ([b"before"], RedisUnavailable, [b"after"])  # nobody gets a late reply
    assert breaker.is_open


def test_an_event_loop_that_stood_still_blames_no_redis(own_redis, settings):
    """What it answered meanwhile has not been read yet."""
    settings.REDIS_TIMEOUT_SECONDS = 0.3

    async def stand_still(batches: Batches) -> Any:
        await batches.run(echo("connected"))
        asked = batches.run([SLOW.call(args=["slow"])])
        await asyncio.sleep(0.01)
        time.sleep(0.6)
        return await asked

    assert run(stand_still) == [b"slow"]
    assert not breaker.is_open


def test_a_connection_that_was_cut_while_nothing_happened_is_made_anew(operator):
    async def cut_between(batches: Batches) -> list[Any]:
        first = await batches.run(echo("first"))
        operator.client_kill_filter(_type="normal", skipme=True)
        while len(operator.client_list()) > 1:  # the operator's own stays
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)  # the loop sees the end of the connection
        return [first, await batches.run(echo("second"))]

    assert run(cut_between) == [[b"first"], [b"second"]]
    assert not breaker.is_open


def test_a_redis_that_refuses_writes_counts_as_away(own_redis, breakers_stay_open):
    async def writes(batches: Batches) -> list[Any]:
        good = await batches.run([WRITE.call(keys=["key"])])
        with refusing_writes(own_redis, "READONLY"):
            [error] = await asyncio.gather(batches.run([WRITE.call(keys=["key"])]), return_exceptions=True)
        return [good, error]

    good, error = run(writes)

    assert good == [b"OK"]
    assert type(error) is RedisUnavailable
    assert breaker.is_open


def test_the_first_connection_to_another_server_sets_a_new_epoch(operator):
    operator.set(EPOCH_KEY, "restored from a snapshot")

    assert run(lambda batches: batches.run(echo("x"))) == [b"x"]

    assert operator.get(EPOCH_KEY) != b"restored from a snapshot"
