"""Environment variables are read by type, and a bad one is named."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from NoteAssist_AI import env


@pytest.mark.parametrize(
    ("value", "expected"), [("true", True), ("1", True), ("Yes", True), ("off", False), ("0", False)]
)
def test_a_boolean_has_several_spellings(monkeypatch, value, expected):
    monkeypatch.setenv("FLAG", value)

    assert env.boolean("FLAG", default=not expected) is expected


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (lambda: env.boolean("BAD", default=False), "maybe"),
        (lambda: env.integer("BAD", 1), "1.5"),
        (lambda: env.integer("BAD", 1, minimum=1), "0"),
        (lambda: env.seconds("BAD", 1), "nan"),
        (lambda: env.choice("BAD", ("a", "b"), "a"), "c"),
        (lambda: env.origins("BAD"), "app.example.com"),
        (lambda: env.origins("BAD"), "https://app.example.com/"),
        (lambda: env.url("BAD", ("redis",)), "http://user:hunter2@host"),
        (lambda: env.rate("BAD", "1/min"), "often"),
        (lambda: env.rate("BAD", "1/min"), "0/min"),
        (lambda: env.secret("BAD"), "short"),
        (lambda: env.secret("BAD"), "a" * 64),
    ],
)
def test_a_bad_value_stops_the_process_and_names_the_variable(monkeypatch, read, value):
    monkeypatch.setenv("BAD", value)

    with pytest.raises(ImproperlyConfigured, match="BAD") as stop:
        read()

    assert "hunter2" not in str(stop.value)


def test_an_empty_value_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("EMPTY", " ")

    assert env.integer("EMPTY", 7) == 7
    with pytest.raises(ImproperlyConfigured, match="EMPTY"):
        env.text("EMPTY")


def test_a_rate_of_none_lifts_a_limit(monkeypatch):
    monkeypatch.setenv("RATE", "none")

    assert env.rate("RATE", "1/min") is None
