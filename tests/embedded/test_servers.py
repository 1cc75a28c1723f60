"""What the embedded engines are, and how they say what is wrong."""

import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from NoteAssist_AI.embedded import EngineError, Engines
from tests.embedded.conftest import PROJECT, environment_of


@pytest.fixture
def running(engines):
    engines.attach()
    yield engines
    engines.leave()


def test_postgresql_sorts_and_folds_by_unicode_and_is_durable(running):
    with psycopg.connect(running.postgres.url) as connection:
        assert connection.execute("SELECT upper('äé'), 'Z' < 'a', 'z' < 'ä'").fetchone() == ("ÄÉ", True, True)
        shown = {
            name: connection.execute(f"SHOW {name}").fetchone()[0]
            for name in ("server_encoding", "fsync", "synchronous_commit", "timezone", "listen_addresses")
        }
    assert shown == {
        "server_encoding": "UTF8",
        "fsync": "on",
        "synchronous_commit": "on",
        "timezone": "UTC",
        "listen_addresses": "",
    }


def test_redis_is_bounded_as_in_production(running):
    with redis.from_url(running.redis.url) as client:
        config = client.config_get("*")
    assert {name: config[name] for name in ("maxmemory", "maxmemory-policy", "databases", "port", "save")} == {
        "maxmemory": str(256 * 1024 * 1024),
        "maxmemory-policy": "volatile-lru",
        "databases": "64",
        "port": "0",
        "save": "",
    }


def test_data_in_postgresql_outlives_its_processes(engines):
    engines.attach()
    with psycopg.connect(engines.postgres.url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS value")
    engines.leave()

    engines.attach()
    with psycopg.connect(engines.postgres.url) as connection:
        assert connection.execute("SELECT value FROM kept").fetchone() == (7,)
        connection.execute("DROP TABLE kept")
    engines.leave()


def test_redis_is_not_ready_before_its_id_is_in_its_pid_file(running):
    written = running.redis.pid_path.read_text()

    running.redis.pid_path.write_text("")
    assert not running.redis.is_ready()
    running.redis.pid_path.write_text(written)
    assert running.redis.is_ready()


def test_nobody_else_can_enter_the_directory_of_the_sockets(running):
    assert running.sockets.stat().st_mode & 0o777 == 0o700


def test_a_directory_of_sockets_that_others_can_enter_is_refused(engines):
    engines.sockets.mkdir(exist_ok=True)
    engines.sockets.chmod(0o755)

    with pytest.raises(EngineError, match="only you can enter"):
        engines.attach()
    engines.leave()

    shutil.rmtree(engines.sockets)


def test_a_link_in_place_of_the_directory_of_sockets_is_refused(new_engines, tmp_path):
    new_engines.sockets.symlink_to(tmp_path)

    with pytest.raises(EngineError, match="only you can enter"):
        new_engines.attach()
    new_engines.leave()

    new_engines.sockets.unlink()


def test_a_socket_path_too_long_for_the_kernel_is_named(tmp_path):
    engines = Engines(tmp_path, sockets=Path("/tmp", "s" * 100))

    with pytest.raises(EngineError, match=r"limited to 103 bytes.*s{100}"):
        engines.attach()
    engines.leave()


def test_an_engine_that_does_not_start_shows_the_end_of_its_log(new_engines):
    new_engines.postgres.data.mkdir(parents=True)

    with pytest.raises(EngineError, match=r"(?s)postgresql did not start.*is not a database cluster directory"):
        new_engines.attach()

    new_engines.leave()
    assert not new_engines.redis.is_alive()


@pytest.mark.parametrize("module", ["NoteAssist_AI.wsgi", "NoteAssist_AI.celery"])
def test_production_refuses_to_boot_without_urls_and_starts_nothing(new_engines, module):
    secret = "abcdefghijklmnopqrstuvwxyz-0123456789-{}"
    answer = subprocess.run(
        [sys.executable, "-c", f"from django.conf import settings; import {module}; settings.DATABASES"],
        cwd=PROJECT,
        env=environment_of(
            new_engines,
            ENVIRONMENT="production",
            DEBUG="false",
            SECRET_KEY=secret.format("django"),
            JWT_SIGNING_KEY=secret.format("tokens"),
            ALLOWED_HOSTS="api.example.com",
        ),
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert answer.returncode == 3
    assert "DATABASE_URL is not set: expected" in answer.stderr
    assert not new_engines.root.exists()
