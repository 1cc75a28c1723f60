"""Scripts go to Redis together, and each answer finds its way back."""

import pytest

from utils.redis import Script, ScriptCall, redis_guard, run_together


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
