"""Environment variables are read by type, and a bad one is named."""

import os

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings
from hypothesis import strategies as st

from NoteAssist_AI import env

READERS = [
    (lambda name: env.boolean(name, default=True), True),
    (lambda name: env.integer(name, 7), 7),
    (lambda name: env.seconds(name, 1.5), 1.5),
    (lambda name: env.port(name, 8000), 8000),
    (lambda name: env.choice(name, ("a", "b"), "a"), "a"),
    (lambda name: env.hosts(name, ("localhost",), wildcards=True), ["localhost"]),
    (env.origins, []),
    (env.public_origin, ""),
    (env.http_url, ""),
    (env.sentry_dsn, ""),
    (lambda name: env.redis_url(name, "redis://h"), "redis://h"),
    (lambda name: env.postgres_url(name, "postgresql://h/n"), "postgresql://h/n"),
    (lambda name: env.mail_url(name, "console://"), "console://"),
    (lambda name: env.mail_address(name, "a@b.co"), "a@b.co"),
    (env.token, ""),
    (lambda name: env.rate(name, "1/min"), "1/min"),
]


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("1", True), ("Yes", True), ("off", False), ("0", False)]
)
def test_a_boolean_has_several_spellings(monkeypatch, value, expected):
    monkeypatch.setenv("FLAG", value)

    assert env.boolean("FLAG", default=not expected) is expected


def test_an_empty_value_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("EMPTY", " ")

    assert env.integer("EMPTY", 7) == 7
    env.stop_if_wrong()
    assert env.text("EMPTY") == ""
    with pytest.raises(ImproperlyConfigured, match=r"^EMPTY is not set: expected a value\.$"):
        env.stop_if_wrong()


@given(st.text().map(str.strip).filter(lambda value: value and "\0" not in value))
@settings(deadline=None, max_examples=300)
def test_whatever_is_in_a_variable_its_reader_takes_it_or_answers_with_the_default(value):
    try:
        os.environ["ANY"] = value
    except UnicodeEncodeError:  # half of a surrogate pair, which no environment holds
        return
    for read, default in READERS:
        answer = read("ANY")
        if is_refused():
            assert answer == default
    del os.environ["ANY"]


def is_refused() -> bool:
    try:
        env.stop_if_wrong()
    except ImproperlyConfigured:
        return True
    return False


def test_a_rate_of_none_lifts_a_limit(monkeypatch):
    monkeypatch.setenv("RATE", "none")

    assert env.rate("RATE", "1/min") is None
