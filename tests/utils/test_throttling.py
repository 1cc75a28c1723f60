"""Limits are exact, and a Redis that is away does not lift them."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
import time_machine

from utils.admission import throttling
from utils.admission.gate import Subject, admit
from utils.admission.throttling import Limit, LocalCounters, limits_of, parse_rate

BURST = Limit("burst", 60, 60)


@pytest.fixture
def subject(alice):
    subject = Subject(alice.pk, 1, alice.token_version)
    admit(subject, staff_as_read=False)
    return subject


def test_of_200_parallel_requests_60_pass_a_limit_of_60(subject):
    with ThreadPoolExecutor(16) as threads:
        admissions = list(threads.map(lambda _: admit(subject, limits=[BURST]), range(200)))

    assert sum(admission.denied is None for admission in admissions) == 60


def test_a_denied_request_counts_against_no_limit(subject):
    narrow, wide = Limit("narrow", 1, 60), Limit("wide", 10, 60)
    admit(subject, limits=[narrow, wide])

    denied = admit(subject, limits=[narrow, wide])

    assert denied.denied.limit == narrow
    assert [usage.used for usage in denied.usage] == [1, 1]
    assert denied.page.outcome == "none"


def test_local_counters_hold_the_same_limit():
    counters = LocalCounters()

    answers = [counters.count("alice", [Limit("burst", 2, 60)])[0] for _ in range(3)]

    assert [denied is None for denied in answers] == [True, True, False]
    assert counters.count("charlie", [Limit("burst", 2, 60)])[0] is None


def test_local_counters_begin_a_new_window_when_one_has_ended(monkeypatch):
    limits = [Limit("burst", 1, 60)]
    counters = LocalCounters()
    now = time.monotonic()
    denied = []
    for seconds in (0, 59, 60, 61):
        monkeypatch.setattr(throttling.time, "monotonic", lambda seconds=seconds: now + seconds)
        denied.append(counters.count("alice", limits)[0] is not None)

    assert denied == [False, True, False, True]


def test_local_counters_stay_bounded():
    counters = LocalCounters(max_keys=10)
    kept = []
    for number in range(100):
        counters.count(number, [BURST])
        kept.append(len(counters))

    assert kept[:12] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 1]
    assert max(kept) == 11


@pytest.mark.parametrize(
    ("rate", "limit"),
    [("60/min", (60, 60)), ("20/hour", (20, 3600)), ("1000/day", (1000, 86400)), ("3/s", (3, 1))],
)
def test_rates_are_spelled_as_in_rest_framework(rate, limit):
    parsed = parse_rate("x", rate)

    assert (parsed.count, parsed.seconds) == limit


def test_a_scope_without_a_rate_has_no_limit(no_limits):
    assert limits_of(["burst", "sustained"]) == []


@pytest.mark.parametrize("redis", ["alive", "dead"])
def test_the_61st_request_of_a_minute_is_refused_with_the_time_to_wait(alice_client, redis, request):
    if redis == "dead":
        request.getfixturevalue("dead_redis")

    with time_machine.travel(datetime.now(UTC), tick=False):
        answers = [alice_client.get("/api/ai/request-types/") for _ in range(61)]

    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert answers[0]["RateLimit-Limit"] == "60"
    assert answers[0]["RateLimit-Remaining"] == "59"
    assert answers[0]["RateLimit-Reset"] == "60"
    assert answers[60].json()["code"] == "throttled"
    assert 0 < int(answers[60]["Retry-After"]) <= 60
