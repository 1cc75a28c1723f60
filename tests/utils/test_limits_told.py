"""What is told of a limit: how much of it is left and when it ends; counted in Redis or in this process."""

import pytest

from utils.admission import throttling
from utils.admission.counting import count_request
from utils.admission.gate import Subject, admit
from utils.admission.throttling import Limit, LimitUsage, LocalCounters, rate_limit_headers, too_many_requests
from utils.http.errors import TooManyRequests

BURST, SUSTAINED = Limit("burst", 60, 60), Limit("sustained", 1000, 86_400)


@pytest.fixture
def at(monkeypatch):
    """Set the clock of the counters of this process, in seconds."""
    return lambda seconds: monkeypatch.setattr(throttling.time, "monotonic", lambda: seconds)


def test_the_headers_tell_of_each_limit_and_the_older_ones_of_that_with_the_fewest_requests_left():
    headers = rate_limit_headers([LimitUsage(BURST, 10, 30_000), LimitUsage(SUSTAINED, 999, 5_001)])

    assert headers == {
        "RateLimit-Policy": '"burst";q=60;w=60, "sustained";q=1000;w=86400',
        "RateLimit": '"burst";r=50;t=30, "sustained";r=1;t=6',
        "RateLimit-Limit": "1000",
        "RateLimit-Remaining": "1",
        "RateLimit-Reset": "6",
    }


def test_of_limits_with_as_few_requests_left_the_first_is_told():
    headers = rate_limit_headers([LimitUsage(BURST, 60, 30_000), LimitUsage(SUSTAINED, 1000, 40_000)])

    assert (headers["RateLimit-Limit"], headers["RateLimit-Remaining"], headers["RateLimit-Reset"]) == ("60", "0", "30")


def test_a_request_without_limits_has_no_headers():
    assert rate_limit_headers([]) == {}


def test_a_limit_that_is_used_up_and_about_to_end_has_none_left_and_a_second_to_wait():
    usage = LimitUsage(BURST, 61, 0)

    assert (usage.remaining, usage.reset_seconds) == (0, 1)


def test_a_refusal_names_the_limit_its_scope_and_the_time_to_wait():
    refusal = too_many_requests(LimitUsage(BURST, 60, 1_001))

    assert refusal.detail == "The limit of 60 requests per 60 seconds is reached."
    assert (refusal.headers, refusal.extra) == ({"Retry-After": "2"}, {"scope": "burst"})


def test_redis_counts_each_limit_of_a_request_and_says_which_one_is_exceeded(alice):
    subject = Subject(alice.pk, 1, alice.token_version)
    wide, narrow = Limit("wide", 10, 60), Limit("narrow", 1, 3600)

    admit(subject, limits=[wide], staff_as_read=False)
    first = admit(subject, limits=[wide, narrow])
    second = admit(subject, limits=[wide, narrow])

    assert (first.verdict, first.denied, first.extra_reply) == ("admitted", None, None)
    assert [(usage.limit, usage.used) for usage in first.usage] == [(wide, 2), (narrow, 1)]
    assert first.usage[0].reset_ms <= 60_000 < first.usage[1].reset_ms <= 3_600_000
    assert second.denied == second.usage[1]
    assert [usage.used for usage in second.usage] == [2, 1]


def test_this_process_counts_each_limit_of_a_request_and_says_when_it_ends(at):
    counters, wide, narrow = LocalCounters(), Limit("wide", 10, 60), Limit("narrow", 1, 3600)

    at(1000.0)
    assert counters.count("alice", [wide, narrow]) == (
        None,
        [LimitUsage(wide, 1, 60_000), LimitUsage(narrow, 1, 3_600_000)],
    )
    at(1001.5)
    denied, usage = counters.count("alice", [wide, narrow])
    assert usage == [LimitUsage(wide, 1, 58_500), LimitUsage(narrow, 1, 3_598_500)]
    assert denied == usage[1]


def test_full_counters_of_this_process_drop_the_windows_that_have_ended_and_keep_the_others(at):
    counters, short, long = LocalCounters(max_keys=2), Limit("short", 10, 50), Limit("long", 10, 100)
    at(1000.0)
    counters.count("alice", [short])
    counters.count("bob", [long])
    counters.count("charlie", [short])

    at(1050.0)
    counters.count("dora", [long])

    assert len(counters) == 2
    _, [usage] = counters.count("bob", [long])
    assert (usage.used, usage.reset_ms) == (2, 50_000)


@pytest.mark.parametrize("redis", ["alive", "dead"])
def test_requests_of_an_address_are_counted_for_the_whole_window_and_then_refused(rf, settings, redis, request):
    settings.REST_FRAMEWORK = {**settings.REST_FRAMEWORK, "DEFAULT_THROTTLE_RATES": {"shares": "2/hour"}}
    if redis == "dead":
        request.getfixturevalue("dead_redis")
    seen = []

    def count(address: str) -> None:
        seen.append(rf.get("/"))
        count_request(seen[-1], scope="shares", subject=address)

    count("192.0.2.1")
    count("192.0.2.1")
    with pytest.raises(TooManyRequests) as refusal:
        count("192.0.2.1")
    count("192.0.2.2")

    [usages] = zip(*(each.admission.usage for each in seen), strict=True)
    assert [usage.used for usage in usages] == [1, 2, 2, 1]
    assert {usage.limit for usage in usages} == {Limit("shares", 2, 3600)}
    assert all(3_000_000 < usage.reset_ms <= 3_600_000 for usage in usages)
    assert [each.admission.denied for each in seen] == [None, None, usages[2], None]
    assert 3000 < int(refusal.value.headers["Retry-After"]) <= 3600


def test_a_scope_without_a_rate_counts_nothing(rf, no_limits, empty_redis):
    request = rf.get("/")

    count_request(request, scope="shares", subject="192.0.2.1")

    assert not hasattr(request, "admission")
    assert empty_redis.keys() == []
