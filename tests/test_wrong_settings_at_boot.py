"""How each process tells what is wrong with its environment."""

import os
import subprocess

import pytest
from django.conf import settings as ours

from NoteAssist_AI import env
from tests.processes import BIN, RUN_SECONDS, free_port
from tests.test_settings import PRODUCTION, RATE, REDIS

WRONG = {"THROTTLE_BURST": "foo", "THROTTLE_LOGIN": "²/min", "REDIS_URL": "redis://:pa/hunter2@h", "PORT": "x"}

LINES = [
    "The environment is not right:",
    "PORT is wrong: expected a whole number from 1 to 65535.",
    f"REDIS_URL is wrong: expected {REDIS}.",
    f"THROTTLE_BURST is wrong: expected {RATE}.",
    f"THROTTLE_LOGIN is wrong: expected {RATE}.",
]


@pytest.mark.parametrize(
    "command",
    [
        ["python", "manage.py", "check"],
        ["python", "manage.py", "seed_demo"],
        ["gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"],
        ["gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn_events.conf.py"],
        ["python", "granian_server.py"],
        ["python", "-m", "NoteAssist_AI.consumers"],
        ["celery", "-A", "NoteAssist_AI", "beat"],
        ["python", "-m", "NoteAssist_AI.embedded.launcher"],
    ],
    ids=" ".join,
)
def test_every_process_tells_and_ends_without_a_traceback(command):
    environment = {**os.environ, **PRODUCTION, **WRONG, "DJANGO_SETTINGS_MODULE": "NoteAssist_AI.settings"}

    ended = subprocess.run(
        [BIN / command[0], *command[1:]],
        env=environment, cwd=ours.BASE_DIR, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip

    assert ended.returncode == env.BOOT_FAILED
    assert ended.stderr.splitlines() == LINES


@pytest.mark.parametrize(
    "command",
    [
        ["gunicorn", "NoteAssist_AI.wsgi:application", "-c", "gunicorn.conf.py"],
        ["python", "granian_server.py"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        ({"THROTTLE_BURST": "foo"}, f"THROTTLE_BURST is wrong: expected {RATE}."),
        ({"AI_MODELS": '{"ask": "m", "sing": "m"}'}, "AI_MODELS.sing is wrong: expected default or a request type: "),
    ],
)
def test_a_server_stops_where_only_its_workers_can_know(command, wrong, line):
    """A setting, and what an app knows of one."""
    environment = {**os.environ, **PRODUCTION, **wrong, "PORT": str(free_port()), "WEB_CONCURRENCY": "1"}

    ended = subprocess.run(
        [BIN / command[0], *command[1:]],
        env=environment, cwd=ours.BASE_DIR, capture_output=True, text=True, timeout=RUN_SECONDS, check=False,
    )  # fmt: skip

    assert ended.returncode == env.BOOT_FAILED
    assert f"The environment is not right:\n{line}" in ended.stderr
    assert "Traceback" not in ended.stderr
