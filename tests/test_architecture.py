"""The contracts of imports hold: ``lint-imports`` finds what goes the wrong way and what has no place yet."""

import ast
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from django.conf import settings

from tests.processes import BIN, RUN_SECONDS

CONFIGURATION = Path(settings.BASE_DIR, "pyproject.toml")
LINTER = tomllib.loads(CONFIGURATION.read_text())["tool"]["importlinter"]
APPS = ["accounts", "notes", "notifications", "ai_tasks", "study"]

WRONG = [
    ("accounts/services/users.py", "ai_tasks.ledger", "accounts imports no app above it"),
    ("notes/services/notes.py", "notifications.services", "notes imports no app above it"),
    ("notifications/views/stream.py", "ai_tasks.views", "notifications imports no app above it"),
    ("ai_tasks/models.py", "study.models", "ai_tasks imports no app above it"),
    ("study/models.py", "notifications.models", "study imports no notifications"),
    ("study/memory.py", "study.models", "The memory model knows no table and no request"),
    ("accounts/tokens.py", "accounts.services", "Imports go down in accounts"),
    ("notes/models.py", "notes.services", "Imports go down in notes"),
    ("notifications/models.py", "notifications.inbox", "Imports go down in notifications"),
    ("ai_tasks/models.py", "ai_tasks.ledger", "Imports go down in ai_tasks"),
    ("study/models.py", "study.services", "Imports go down in study"),
    ("utils/redis/client.py", "utils.streaming.sse", "Imports go down in utils"),
    ("utils/redis/client.py", "NoteAssist_AI.env", "Nothing in utils and in the apps imports NoteAssist_AI"),
    ("study/pictures.py", "NoteAssist_AI.urls", "Nothing in utils and in the apps imports NoteAssist_AI"),
    ("utils/redis/client.py", "notes.models", "Nothing in utils but its two façades imports an app"),
    ("utils/admin.py", "notes.models", "Nothing in utils but its two façades imports an app"),
    ("notes/services/notes.py", "utils.query_optimization", "Only views use the façades"),
    ("study/anki/exporting.py", "utils.async_optimization", "Only views use the façades"),
    (
        "notes/blocks/splitting.py",
        "notes.blocks.stored",
        "No two modules of a package import each other, by whatever way",
    ),
    ("ai_tasks/answering.py", "ai_tasks.models", "Answering knows no Redis, no web request and no task row"),
]
"""A module, an import that it may not have, and the contract that finds it."""


def linted(copy: Path) -> tuple[int, str]:
    """The exit code and the output of ``lint-imports`` in a copy of the product."""
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache"],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path) -> Path:
    for package in LINTER["root_packages"]:
        shutil.copytree(
            Path(settings.BASE_DIR, package), tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(CONFIGURATION, tmp_path)
    return tmp_path


@pytest.mark.parametrize(("module", "imported", "broken"), WRONG)
def test_an_import_that_goes_up_or_against_the_arrows_is_found(copy, module, imported, broken):
    with Path(copy, module).open("a") as source:
        source.write(f"import {imported}\n")

    code, output = linted(copy)

    assert code == 1, output
    assert f"{broken} BROKEN" in output


def test_a_new_module_of_utils_or_of_an_app_needs_a_place_among_the_layers(copy):
    for package in ("utils", *APPS):
        Path(copy, package, "brand_new.py").write_text("")

    code, output = linted(copy)

    assert code == 1, output
    assert [package for package in ("utils", *APPS) if f"Imports go down in {package} KEPT" in output] == []


def test_every_contract_finds_something():
    untested = {contract["name"] for contract in LINTER["contracts"]} - {broken for _, _, broken in WRONG}
    assert not untested, f"WRONG above: add an import that breaks {untested}."


def test_what_is_done_after_a_commit_is_robust():
    """Else a failure would turn a committed request into a 500. Django logs a ``__qualname__``: a partial has none."""
    calls = {
        f"{path.relative_to(settings.BASE_DIR)}:{node.lineno}": node
        for package in LINTER["root_packages"]
        for path in Path(settings.BASE_DIR, package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "on_commit"
    }

    wrong = [place for place, call in calls.items() if not _is_robust(call) or not isinstance(call.args[0], ast.Lambda)]

    assert len(calls) > 5
    assert not wrong, f"Write transaction.on_commit(lambda: ..., robust=True) at {', '.join(wrong)}."


def _is_robust(call: ast.Call) -> bool:
    return any(keyword.arg == "robust" and ast.unparse(keyword.value) == "True" for keyword in call.keywords)
