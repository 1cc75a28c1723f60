"""Scripts go to Redis together, and each answer finds its way back."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Interrupted
from utils.redis.client import RedisUnavailable, breaker, redis_guard
from utils.redis.scripts import Script, ScriptCall, run_guarded

ECHO = Script("return ARGV[1]")
PUSH = Script("return redis.call('RPUSH', KEYS[1], ARGV[1])")
WRONG = Script("return redis.call('LLEN', KEYS[1])")


def test_two_scripts_are_one_round_trip(empty_redis):
    first, second = Script("return ARGV[1]"), Script("return redis.call('SET', KEYS[1], ARGV[1])")

    calls = first.call(args=["a"]), second.call(keys=["key"], args=["b"])
    assert run_guarded(*calls) == [b"a", b"OK"]  # the server had to be told both
    assert run_guarded(*calls) == [b"a", b"OK"]

    assert empty_redis.get("key") == b"b"


def test_a_script_that_fails_leaves_no_answer_behind_for_the_next(empty_redis):
    empty_redis.set("text", "no list")
    wrong, right = Script("return redis.call('LLEN', KEYS[1])"), Script("return ARGV[1]")

    with pytest.raises(Exception, match="WRONGTYPE"):
        run_guarded(wrong.call(keys=["text"]), right.call(args=["a"]))

    assert right.run(args=["b"]) == b"b"


def test_a_call_that_was_prepared_before_a_flush_still_runs(own_redis):
    call: ScriptCall = Script("return ARGV[1]").call(args=["a"])

    with redis_guard() as client:
        client.script_flush()
        assert run_guarded(call) == [b"a"]


def test_a_connection_is_used_again(empty_redis):
    with redis_guard() as client:
        first, second = client.client_id(), client.client_id()

    assert first == second


def test_connections_that_the_server_has_closed_are_replaced_unnoticed(own_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        taken = [pool.get_connection() for _ in range(pool.max_connections)]
        for connection in taken:
            pool.release(connection)
    own_redis.stop()
    own_redis.run()

    for connection in [pool.get_connection() for _ in taken]:
        connection.send_command("PING")
        assert connection.read_response() == b"PONG"


def test_a_connection_with_an_answer_that_nobody_read_is_not_used_again(empty_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        connection = pool.get_connection()
        connection.send_command("PING")
        assert connection.can_read(timeout=60)
        pool.release(connection)

        assert ECHO.run(args=["a"]) == b"a"


def test_who_finds_all_connections_in_use_waits_for_one(empty_redis, monkeypatch):
    with redis_guard() as client:
        pool = client.connection_pool
    monkeypatch.setattr(pool, "timeout", 60)  # for a machine that holds this thread up
    taken = [pool.get_connection() for _ in range(pool.max_connections)]

    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(ECHO.run, args=["a"])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.1)
        pool.release(taken.pop())

        assert waiting.result() == b"a"
    for connection in taken:
        pool.release(connection)


def test_a_failed_connection_is_given_back(own_redis):
    with redis_guard() as client:
        pool = client.connection_pool
        ECHO.run(args=["a"])
    own_redis.stop()

    for _ in range(2 * pool.max_connections):
        breaker.close()
        with pytest.raises(RedisUnavailable) as failure, redis_guard() as client:
            ECHO.run(args=["a"])
        assert "No connection available" not in str(failure.value)


def test_a_caller_that_is_killed_during_a_command_leaks_no_connection(redis_proxy, interrupt):
    def swallow(data: bytes) -> bytes:
        interrupt()
        return b""

    with redis_guard() as client:
        pool = client.connection_pool
        for _ in range(2 * pool.max_connections):
            ECHO.run(args=["a"])
            redis_proxy.send = swallow
            with pytest.raises(Interrupted):
                ECHO.run(args=["theirs"])
            del redis_proxy.send

        assert ECHO.run(args=["mine"]) == b"mine"


def test_a_reply_that_comes_after_its_caller_was_killed_is_read_by_no_other(redis_proxy, interrupt):
    ECHO.run(args=["known"])
    is_killed = threading.Event()

    def be_late(data: bytes) -> bytes:
        interrupt()
        is_killed.wait(60)
        return data

    redis_proxy.send = be_late
    with pytest.raises(Interrupted):
        ECHO.run(args=["theirs"])
    del redis_proxy.send
    is_killed.set()

    assert ECHO.run(args=["mine"]) == b"mine"


def test_a_forked_process_uses_no_connection_of_its_parent(empty_redis):
    with redis_guard() as client:
        PUSH.run(keys=["list"], args=["before"])
        parents = client.connection_pool.get_connection()
        client.connection_pool.release(parents)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with redis_guard() as client:
                taken = client.connection_pool.get_connection()
                client.connection_pool.release(taken)
                PUSH.run(keys=["list"], args=["the child's"])
            status = int(taken is parents)
        finally:
            os._exit(status)  # whatever happened: it must not go on as a second test run
    assert os.waitpid(child, 0)[1] == 0
    with redis_guard() as client:
        PUSH.run(keys=["list"], args=["the parent's"])

    assert empty_redis.lrange("list", 0, -1) == [b"before", b"the child's", b"the parent's"]
