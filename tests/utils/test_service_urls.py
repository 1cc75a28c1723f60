"""A URL that is taken means the same to every client that reads it."""

import smtplib
import string
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import psycopg
import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kombu import Connection
from psycopg.conninfo import conninfo_to_dict

from NoteAssist_AI import service_urls
from NoteAssist_AI.service_urls import Unusable

RAW = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=1, max_size=12)
"""Passwords as people paste them into a URL."""
ENCODED = st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=1, max_size=12)


def redis_clients(url: str) -> list[tuple[Any, ...]]:
    """What redis-py and Celery's transport understand: password, host, port, database."""
    pool = redis.ConnectionPool.from_url(url).connection_kwargs
    broker = Connection(url)
    return [
        (pool.get("password"), pool.get("host"), pool.get("port", 6379), str(pool.get("db", 0))),
        (broker.password, broker.hostname, broker.port or 6379, broker.virtual_host.strip("/") or "0"),
    ]


@given(RAW)
@example("pa/ss")
@example("pa#ss")
@example("pa?ss")
@example("pa[ss")
@example("1/ss")
@example("a;ss")
@example("[::1]:")
@example("%80")
@settings(deadline=None, max_examples=300)
def test_a_password_in_a_url_of_redis_is_refused_or_the_same_for_all(password):
    url = f"redis://:{password}@cache.example.com:6380/2"
    try:
        service_urls.check_redis(url)
    except Unusable:
        return

    assert redis_clients(url) == [(unquote(password), "cache.example.com", 6380, "2")] * 2


@given(ENCODED.filter(lambda password: "\0" not in password))
@settings(deadline=None, max_examples=200)
def test_a_password_that_is_percent_encoded_is_taken_and_is_itself(password):
    encoded = quote(password, safe="")

    redis_url = f"redis://:{encoded}@cache.example.com:6380/2"
    assert service_urls.check_redis(redis_url) == redis_url
    assert redis_clients(redis_url) == [(password, "cache.example.com", 6380, "2")] * 2
    postgres = f"postgresql://{encoded}:{encoded}@db.example.com:5433/{encoded}?sslmode=require"
    assert service_urls.check_postgres(postgres) == postgres
    assert service_urls.postgres_settings(postgres) == {
        "HOST": "db.example.com", "PORT": "5433", "NAME": password, "USER": password, "PASSWORD": password,
        "OPTIONS": {"sslmode": "require"},
    }  # fmt: skip
    libpq = conninfo_to_dict(postgres)
    assert (libpq["user"], libpq["password"], libpq["dbname"]) == (password,) * 3


@given(RAW)
@example("%80")
@settings(deadline=None, max_examples=300)
def test_a_password_in_a_url_of_postgresql_is_refused_or_what_libpq_reads(password):
    url = f"postgresql://user:{password}@db.example.com:5433/notes"
    try:
        service_urls.check_postgres(url)
    except Unusable:
        return

    ours = service_urls.postgres_settings(url)
    assert (ours["USER"], ours["PASSWORD"], ours["HOST"]) == ("user", unquote(password), "db.example.com")
    try:
        libpq = conninfo_to_dict(url)
    except psycopg.ProgrammingError:  # it refuses a % that encodes nothing; to us it stands for itself
        assert "%" in password
        return
    if "@" not in password:  # libpq takes the first for the end of a password, we the last
        assert (libpq["password"], libpq["host"]) == (ours["PASSWORD"], ours["HOST"])


@given(st.text(string.printable, min_size=1, max_size=8))
@settings(deadline=None, max_examples=300)
def test_a_mail_password_is_refused_or_can_be_sent(password):
    url = f"smtp+tls://me:{quote(password, safe='')}@mail.example.com"
    if "\0" not in password:
        assert service_urls.check_mail(url, console=False) == url
        server = smtplib.SMTP()
        server.user, server.password = "me", unquote(urlsplit(url).password or "")
        assert server.auth_plain() == f"\0me\0{password}"
        assert server.auth_plain().encode("ascii")


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "-a", "a-", "a b", "1.2.3", "1.2.3.4.5", "0x7f.1", "[::1", "é"])
def test_an_invalid_host_is_refused_in_every_variable(host):
    for check in (
        lambda: service_urls.check_redis(f"redis://{host}:6379/0"),
        lambda: service_urls.check_postgres(f"postgresql://{host}:5432/notes"),
        lambda: service_urls.check_http(f"https://{host}/v1"),
        lambda: service_urls.check_mail(f"smtp://{host}", console=False),
        lambda: service_urls.check_host(host, wildcards=False),
        lambda: service_urls.origin(f"https://{host}"),
    ):
        with pytest.raises(Unusable):
            check()


@pytest.mark.parametrize("name", ["user", "password", "host", "port", "dbname"])
def test_what_a_url_of_postgresql_says_twice_is_refused_as_libpq_and_django_take_different_ones(name):
    url = f"postgresql://someone:pass@db.example.com:5433/name?{name}=5434"
    assert conninfo_to_dict(url)[name] == "5434"
    with pytest.raises(Unusable, match=f"^{name} in the URL itself or as an option, not both$"):
        service_urls.check_postgres(url)


def test_a_host_that_stands_in_the_options_alone_is_one():
    url = "postgresql:///name?host=/run/postgresql&user=someone"

    assert service_urls.check_postgres(url) == url


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_a_password_of_redis_that_stands_where_the_user_does_is_refused(scheme):
    with pytest.raises(Unusable, match="redis://:password@host"):
        service_urls.check_redis(f"{scheme}://secret@cache.example.com:6379/0")
