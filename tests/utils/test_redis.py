"""Scripts go to Redis together, and each answer finds its way back; connections are kept at hand."""

import logging
import os
import time

import pytest

from utils import redis_scripts
from utils.redis import RedisUnavailable, breaker, redis_guard
from utils.redis_scripts import Script, ScriptCall, run_later, run_together, waiting

ECHO = Script("return ARGV[1]")
PUSH = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
WRONG = Script("return redis.call('LLEN', KEYS[1])")


@pytest.fixture
def unhurried(monkeypatch) -> None:
    """What may wait waits until there is a round trip."""
    monkeypatch.setattr(redis_scripts, "LATER_SECONDS", 3600)
    monkeypatch.setattr(redis_scripts, "waiting", redis_scripts.WaitingCalls())


def test_two_scripts_are_one_round_trip(empty_redis):
    first, second = Script("return ARGV[1]"), Script("return redis.call('SET', KEYS[1], ARGV[1])")

    with redis_guard() as client:
        calls = first.call(args=["a"]), second.call(keys=["key"], args=["b"])
        assert run_together(client, *calls) == [b"a", b"OK"]  # the server had to be told both
        assert run_together(client, *calls) == [b"a", b"OK"]

    assert empty_redis.get("key") == b"b"


def test_a_script_that_fails_leaves_no_answer_behind_for_the_next(empty_redis):
    empty_redis.set("text", "no list")
    wrong, right = Script("return redis.call('LLEN', KEYS[1])"), Script("return ARGV[1]")

    with redis_guard() as client:
        with pytest.raises(Exception, match="WRONGTYPE"):
            run_together(client, wrong.call(keys=["text"]), right.call(args=["a"]))

        assert right.run(client, args=["b"]) == b"b"


def test_a_call_that_was_prepared_before_a_flush_still_runs(empty_redis):
    call: ScriptCall = Script("return ARGV[1]").call(args=["a"])
    empty_redis.script_flush()

    with redis_guard() as client:
        assert run_together(client, call) == [b"a"]


def test_what_nobody_waits_for_goes_with_the_next_round_trip_and_before_it(empty_redis, unhurried):
    run_later(PUSH.call(keys=["list"], args=["later"]))
    assert empty_redis.lrange("list", 0, -1) == []

    with redis_guard() as client:
        PUSH.run(client, keys=["list"], args=["now"])  # the server knows the script from here on
        empty_redis.delete("list")
        run_later(PUSH.call(keys=["list"], args=["first"]))
        run_later(PUSH.call(keys=["list"], args=["second"]))
        assert run_together(client, PUSH.call(keys=["list"], args=["third"]), ECHO.call(args=["a"])) == [3, b"a"]

    assert empty_redis.lrange("list", 0, -1) == [b"first", b"second", b"third"]


def test_what_nobody_waits_for_is_sent_soon_without_any_other_round_trip(empty_redis):
    for number in range(2):
        run_later(PUSH.call(keys=["list"], args=[number]))

        until = time.monotonic() + 10
        while empty_redis.llen("list") <= number and time.monotonic() < until:
            time.sleep(0.005)
        assert not waiting._has_calls.is_set()  # its thread rests

    assert empty_redis.lrange("list", 0, -1) == [b"0", b"1"]


def test_no_more_than_a_few_wait(empty_redis, unhurried):
    for number in range(redis_scripts._MOST_WAITING + 1):
        assert empty_redis.llen("list") == 0
        run_later(PUSH.call(keys=["list"], args=[number]))

    assert empty_redis.llen("list") == redis_scripts._MOST_WAITING + 1


def test_what_nobody_waits_for_is_lost_without_redis(dead_redis):
    for _ in range(2):  # the second time nobody asks
        run_later(ECHO.call(args=["a"]))
        waiting.run()

        assert breaker.is_open
        assert waiting.take() == []


def test_a_mistake_in_what_nobody_waits_for_is_logged(empty_redis, unhurried, caplog):
    empty_redis.set("text", "no list")
    run_later(WRONG.call(keys=["text"]))

    with caplog.at_level(logging.ERROR):
        redis_scripts.waiting.run()

    assert "WRONGTYPE" in caplog.text
    assert not breaker.is_open


def test_a_connection_is_used_again(empty_redis):
    with redis_guard() as client:
        ECHO.run(client, args=["a"])
        [connection] = client.connection_pool._at_hand
        socket = connection._sock
        ECHO.run(client, args=["a"])

        assert list(client.connection_pool._at_hand) == [connection]
    assert connection._sock is socket


def test_connections_that_the_server_has_closed_are_replaced_unnoticed(own_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        taken = [pool.take() for _ in range(pool.max_connections)]
        for connection in taken:
            pool.give_back(connection)
    own_redis.stop()
    own_redis.run()

    for connection in [pool.take() for _ in taken]:
        connection.send_command("PING")
        assert connection.read_response() == b"PONG"


def test_a_connection_with_an_answer_that_nobody_read_is_not_used_again(empty_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        connection = pool.take()
        connection.send_command("PING")
        assert connection.can_read(timeout=5)
        pool.give_back(connection)

        assert ECHO.run(client, args=["a"]) == b"a"


def test_half_of_the_connections_are_at_hand_and_the_rest_for_everybody(empty_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        for connection in [pool.take() for _ in range(pool.max_connections)]:
            pool.give_back(connection)

        others = [pool.get_connection() for _ in range(pool.max_connections - pool.max_connections // 2)]
        assert ECHO.run(client, args=["a"]) == b"a"
        for connection in others:
            pool.release(connection)


def test_a_failed_connection_is_given_back(own_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        ECHO.run(client, args=["a"])
    own_redis.stop()

    for _ in range(2 * pool.max_connections):
        breaker.close()
        with pytest.raises(RedisUnavailable) as failure, redis_guard() as client:
            ECHO.run(client, args=["a"])
        assert "No connection available" not in str(failure.value)


def test_a_forked_process_uses_no_connection_of_its_parent(empty_redis, monkeypatch):
    with redis_guard() as client:
        ECHO.run(client, args=["a"])
        [theirs] = client.connection_pool._at_hand
        monkeypatch.setattr(os, "getpid", lambda: -1)

        assert client.connection_pool.take() is not theirs
