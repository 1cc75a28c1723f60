"""Scripts go to Redis together, and each answer finds its way back; connections are kept at hand."""

import logging
import os
import time

import pytest
import redis

from utils import redis_scripts
from utils.redis import RedisUnavailable, breaker, redis_guard
from utils.redis_scripts import Script, ScriptCall, WaitingCalls, run_later, run_together, waiting

ECHO = Script("return ARGV[1]")
PUSH = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
WRONG = Script("return redis.call('LLEN', KEYS[1])")


START_THREAD = WaitingCalls._start_thread


@pytest.fixture
def threaded(monkeypatch) -> WaitingCalls:
    """What waits, with the thread that other tests do without."""
    monkeypatch.setattr(WaitingCalls, "_start_thread", START_THREAD)
    monkeypatch.setattr(redis_scripts, "waiting", WaitingCalls())
    return redis_scripts.waiting


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


def test_a_call_that_was_prepared_before_a_flush_still_runs(own_redis):
    call: ScriptCall = Script("return ARGV[1]").call(args=["a"])

    with redis_guard() as client:
        client.script_flush()
        assert run_together(client, call) == [b"a"]


def test_what_nobody_waits_for_goes_with_the_next_round_trip_and_before_it(empty_redis):
    run_later(PUSH.call(keys=["list"], args=["later"]))
    assert empty_redis.lrange("list", 0, -1) == []

    with redis_guard() as client:
        PUSH.run(client, keys=["list"], args=["now"])  # the server knows the script from here on
        empty_redis.delete("list")
        run_later(PUSH.call(keys=["list"], args=["first"]))
        run_later(PUSH.call(keys=["list"], args=["second"]))
        assert run_together(client, PUSH.call(keys=["list"], args=["third"]), ECHO.call(args=["a"])) == [3, b"a"]

    assert empty_redis.lrange("list", 0, -1) == [b"first", b"second", b"third"]


def test_what_nobody_waits_for_is_sent_soon_without_any_other_round_trip(empty_redis, threaded):
    for number in range(2):
        run_later(PUSH.call(keys=["list"], args=[number]))

        until = time.monotonic() + 10
        while empty_redis.llen("list") <= number and time.monotonic() < until:
            time.sleep(0.005)
        while threaded._has_calls.is_set() and time.monotonic() < until:
            time.sleep(0.005)
        assert not threaded._has_calls.is_set()  # its thread rests

    assert empty_redis.lrange("list", 0, -1) == [b"0", b"1"]


def test_no_more_than_a_few_wait(empty_redis):
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


def test_a_mistake_in_what_nobody_waits_for_is_logged(empty_redis, caplog):
    empty_redis.set("text", "no list")
    run_later(WRONG.call(keys=["text"]))

    with caplog.at_level(logging.ERROR), redis_guard() as client:
        assert ECHO.run(client, args=["a"]) == b"a"  # nobody else's mistake

    assert "WRONGTYPE" in caplog.text
    assert not breaker.is_open


def test_what_cannot_be_sent_fails_where_it_is_asked_for(empty_redis):
    with pytest.raises(TypeError):
        run_later(ECHO.call(args=[object()]))

    with redis_guard() as client:
        assert ECHO.run(client, args=["a"]) == b"a"


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
        assert not pool._at_hand


@pytest.mark.parametrize("where", ["can_read", "send_packed_command", "read_response"])
def test_who_is_ended_while_asking_takes_no_connection_along(empty_redis, monkeypatch, where):
    with redis_guard() as client:
        pool = client.connection_pool
        for _ in range(2 * pool.max_connections):
            ECHO.run(client, args=["a"])
            with monkeypatch.context() as patch:
                patch.setattr(redis.connection.AbstractConnection, where, _end)
                with pytest.raises(SystemExit):
                    ECHO.run(client, args=["theirs"])
            assert all(connection.is_connected for connection in pool._at_hand)

        assert ECHO.run(client, args=["mine"]) == b"mine"


def test_an_answer_that_comes_after_its_asker_was_ended_is_nobody_elses(empty_redis, monkeypatch):
    slow = Script(
        "local began = redis.call('TIME')"
        " repeat local now = redis.call('TIME')"
        " until (now[1] - began[1]) * 1000000 + now[2] - began[2] > 100000 return ARGV[1]"
    )
    with redis_guard() as client:
        slow.run(client, args=["known"])
        with monkeypatch.context() as patch:
            patch.setattr(redis.connection.AbstractConnection, "read_response", _end)
            with pytest.raises(SystemExit):
                slow.run(client, args=["theirs"])

        assert ECHO.run(client, args=["mine"]) == b"mine"


def _end(*args, **kwargs) -> None:
    raise SystemExit


@pytest.mark.parametrize("first", ["by the pool's own way", "at once"])
def test_a_forked_process_uses_no_connection_of_its_parent_and_sends_nothing_for_it(empty_redis, first):
    with redis_guard() as client:
        PUSH.run(client, keys=["list"], args=["before"])
        [connection] = client.connection_pool._at_hand
    run_later(PUSH.call(keys=["list"], args=["the parent's"]))
    child = os.fork()
    if child == 0:
        status = 1
        WaitingCalls._start_thread = START_THREAD  # in the child only
        try:
            with redis_guard() as client:
                if first != "at once":
                    client.set("key", "value")
                taken = client.connection_pool.take()
                client.connection_pool.give_back(taken)
                PUSH.run(client, keys=["list"], args=["the child's"])
                run_later(PUSH.call(keys=["list"], args=["the child's, later"]))
            time.sleep(0.2)
            status = int(taken is connection)
        finally:
            os._exit(status)  # whatever happened: it must not go on as a second test run
    assert os.waitpid(child, 0)[1] == 0
    waiting.run()

    assert sorted(empty_redis.lrange("list", 0, -1)) == [
        b"before",
        b"the child's",
        b"the child's, later",
        b"the parent's",
    ]
