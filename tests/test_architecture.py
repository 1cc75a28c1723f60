"""The contracts of imports hold: ``lint-imports`` finds what goes the wrong way."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.conf import settings

from tests.processes import BIN

CONFIGURATION = Path(settings.BASE_DIR, "pyproject.toml")


@pytest.mark.parametrize(
    ("module", "imported", "broken"),
    [
        ("accounts/services/users.py", "ai_tasks.ledger", "Apps depend along the arrows of their models"),
        ("notes/services/notes.py", "notifications.services", "Apps depend along the arrows of their models"),
        ("notifications/views.py", "ai_tasks.views", "Apps depend along the arrows of their models"),
        ("notes/models.py", "notes.services", "The floors of the house"),
    ],
)
def test_an_import_that_goes_up_or_against_the_arrows_is_found(tmp_path, module, imported, broken):
    for package in tomllib.loads(CONFIGURATION.read_text())["tool"]["importlinter"]["root_packages"]:
        shutil.copytree(
            Path(settings.BASE_DIR, package), tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(CONFIGURATION, tmp_path)
    with Path(tmp_path, module).open("a") as source:
        source.write(f"import {imported}\n")

    linted = subprocess.run(
        [BIN / "lint-imports", "--no-cache"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )

    assert linted.returncode == 1, linted.stdout + linted.stderr
    assert f"{broken} BROKEN" in linted.stdout
