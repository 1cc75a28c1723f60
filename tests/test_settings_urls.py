"""What URLs of PostgreSQL and of the web client mean."""

import os
import subprocess
import sys

import pytest
from django.conf import settings as ours

from tests.processes import RUN_SECONDS
from tests.test_settings import PRODUCTION, read

__all__ = ["read"]  # the fixture

# --- The URL of PostgreSQL --------------------------------------------------------------------------------------------

OURS = "-c statement_timeout=30000"


@pytest.mark.parametrize(
    ("query", "options"),
    [
        ("", OURS),
        ("?options=-c search_path=tenant", f"{OURS} -c search_path=tenant"),
        ("?options=-c%20search_path%3Dtenant", f"{OURS} -c search_path=tenant"),
        ("?sslmode=require&options=endpoint%3Dep-cool-1", f"{OURS} endpoint=ep-cool-1"),
        ("?options=-c%20statement_timeout%3D5000", f"{OURS} -c statement_timeout=5000"),
    ],
)
def test_options_of_the_url_come_after_ours(read, query, options):
    found = read(**{**PRODUCTION, "DATABASE_URL": f"postgresql://u:p@h/notes{query}"})

    assert found["DATABASES"]["default"]["OPTIONS"]["options"] == options


def test_parameters_of_the_url_count_more_than_ours(read):
    url = "postgresql://u:p%2F@H:5433/my%20notes?sslmode=verify-full&connect_timeout=3&application_name=notes+1"

    database = read(**{**PRODUCTION, "DATABASE_URL": url})["DATABASES"]["default"]

    assert {name: database[name] for name in ("HOST", "PORT", "NAME", "USER", "PASSWORD")} == {
        "HOST": "H", "PORT": "5433", "NAME": "my notes", "USER": "u", "PASSWORD": "p/",
    }  # fmt: skip
    assert {name: database["OPTIONS"][name] for name in ("sslmode", "connect_timeout", "application_name")} == {
        "sslmode": "verify-full", "connect_timeout": "3", "application_name": "notes+1",
    }  # fmt: skip


def test_the_path_of_a_socket_keeps_its_case(read):
    found = read(**{**PRODUCTION, "DATABASE_URL": "postgresql://u@%2FVar%2FPostgres:5432/notes"})

    assert found["DATABASES"]["default"]["HOST"] == "/Var/Postgres"


@pytest.mark.parametrize(
    ("port", "given", "pooler"),
    [("5432", "", "none"), ("6543", "", "transaction"), ("6432", "transaction", "transaction"),
     ("6543", "session", "session"), ("6543", "none", "none")],
)  # fmt: skip
def test_a_pooler_is_named_or_known_by_its_port(read, port, given, pooler):
    found = read(**{**PRODUCTION, "DATABASE_URL": f"postgresql://u:p@h:{port}/notes", "DATABASE_POOLER": given})

    options = found["DATABASES"]["default"]["OPTIONS"]
    assert found["DATABASE_POOLER"] == pooler
    assert options["options"] == (OURS if pooler == "none" else "")
    assert options["prepare_threshold"] == (None if pooler == "transaction" else 2)
    assert found["DATABASES"]["default"]["DISABLE_SERVER_SIDE_CURSORS"] is True


# --- PUBLIC_URL -------------------------------------------------------------------------------------------------------

SECURE = ("SECURE_SSL_REDIRECT", "SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "SECURE_HSTS_SECONDS")
COOKIES = ("SESSION_COOKIE_NAME", "CSRF_COOKIE_NAME")


@pytest.mark.parametrize("url", ["", "https://notes.example.com", "HTTPS://Notes.example.com:443"])
def test_production_is_served_over_https(read, url):
    found = read(**{**PRODUCTION, "PUBLIC_URL": url})

    assert [found[name] for name in SECURE] == [True, True, True, 31_536_000]
    assert [found[name] for name in COOKIES] == ["__Host-sessionid", "__Host-csrftoken"]
    assert not {"SESSION_COOKIE_DOMAIN", "SESSION_COOKIE_PATH", "CSRF_COOKIE_DOMAIN", "CSRF_COOKIE_PATH"} & found.keys()
    assert found["PUBLIC_URL"] == ("https://notes.example.com" if url else "")


@pytest.mark.parametrize(
    "url",
    ["http://192.168.1.5:8080", "http://10.0.0.1", "http://172.31.0.1", "http://127.0.0.1:8000", "http://[::1]",
     "http://[fd00::1]", "http://localhost", "http://notes.local", "http://server.lan:81"],
)  # fmt: skip
def test_a_server_at_home_may_be_served_without_a_certificate(read, url):
    found = read(**{**PRODUCTION, "PUBLIC_URL": url})

    assert [name for name in (*SECURE, *COOKIES) if name in found] == []  # browsers would refuse such names
    assert "SECURE_PROXY_SSL_HEADER" not in found
    assert found["CSRF_TRUSTED_ORIGINS"] == [url]


def test_the_page_may_read_event_streams_of_another_host(read):
    assert read(**PRODUCTION)["CORS_ALLOWED_ORIGINS"] == ["https://app.example.com"]
    assert read(**{**PRODUCTION, "PUBLIC_URL": "https://notes.example.com"})["CORS_ALLOWED_ORIGINS"] == [
        "https://app.example.com",
        "https://notes.example.com",
    ]


def test_a_server_without_a_certificate_says_so_once_as_it_boots():
    environment = {**os.environ, **PRODUCTION, "PUBLIC_URL": "http://notes.lan"}

    booted = subprocess.run(
        [sys.executable, "-c", "import NoteAssist_AI.wsgi"],
        env=environment, cwd=ours.BASE_DIR, capture_output=True, text=True, timeout=RUN_SECONDS, check=True,
    )  # fmt: skip

    assert booted.stderr.count("PUBLIC_URL begins with http://") == 1
