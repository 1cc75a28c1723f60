"""The contracts of imports hold: ``lint-imports`` finds what goes the wrong way."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.conf import settings

from tests.processes import BIN, RUN_SECONDS

CONFIGURATION = Path(settings.BASE_DIR, "pyproject.toml")


WRONG = [
    ("accounts/services/users.py", "ai_tasks.ledger", "accounts imports no app above it"),
    ("notes/services/notes.py", "notifications.services", "notes imports no app above it"),
    ("notifications/views/stream.py", "ai_tasks.views", "notifications imports no app above it"),
    ("ai_tasks/models.py", "study.models", "ai_tasks imports no app above it"),
    ("study/models.py", "notifications.models", "study imports no notifications"),
    ("study/memory.py", "study.models", "The memory model knows no table and no request"),
    ("notes/models.py", "notes.services", "Imports go down in every app"),
    ("utils/redis/client.py", "notes.models", "utils imports no app, but for its two façades"),
    ("utils/redis/client.py", "utils.streaming.sse", "The packages of utils build on each other"),
    (
        "notes/services/notes.py",
        "utils.query_optimization",
        "Only views use the façades",
    ),
    ("ai_tasks/answering.py", "ai_tasks.models", "Answering knows no Redis, no web request and no task row"),
]
"""A module, an import that it may not have, and the contract that finds it."""


@pytest.mark.parametrize(("module", "imported", "broken"), WRONG)
def test_an_import_that_goes_up_or_against_the_arrows_is_found(tmp_path, module, imported, broken):
    for package in tomllib.loads(CONFIGURATION.read_text())["tool"]["importlinter"]["root_packages"]:
        shutil.copytree(
            Path(settings.BASE_DIR, package), tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(CONFIGURATION, tmp_path)
    with Path(tmp_path, module).open("a") as source:
        source.write(f"import {imported}\n")

    linted = subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )

    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert f"{broken} BROKEN" in linted.stdout


def test_every_contract_finds_something():
    contracts = tomllib.loads(CONFIGURATION.read_text())["tool"]["importlinter"]["contracts"]
    untested = {contract["name"] for contract in contracts} - {broken for _, _, broken in WRONG}
    assert not untested, f"WRONG above: add an import that breaks {untested}."
