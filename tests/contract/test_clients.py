"""Clients that generators of others make of docs/openapi.yaml do a student's round against the live product.

Each registers, refreshes, makes a note, renames a topic and the note, asks AI, reads the task's stream and finds the
notification; and a rename changes nothing but the name.
"""

import shutil
from pathlib import Path

import pytest

from notes.models import Topic
from tests.contract.tools import HERE, OPENAPI, node_modules, python_programs, run, running_product

# What they are installed from comes from the network once, and stays in the checkout.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2000)]


@pytest.fixture
def workshop(tmp_path) -> Path:
    """A folder with the description and the programs."""
    directory = tmp_path / "workshop"
    shutil.copytree(HERE / "clients", directory)
    shutil.copy(OPENAPI, directory / "openapi.yaml")
    return directory


@pytest.mark.django_db(transaction=True)
def test_typescript_clients_compile_strictly_and_do_the_round(workshop, tmp_path):
    modules = node_modules()
    (workshop / "node_modules").symlink_to(modules)
    (workshop / "package.json").write_text('{"type": "module"}')
    run([modules / ".bin/openapi-typescript", "openapi.yaml", "-o", "schema.d.ts"], cwd=workshop)
    run([modules / ".bin/openapi-ts"], cwd=workshop)
    run([modules / ".bin/tsc"], cwd=workshop)

    with running_product(tmp_path) as url:
        assert run(["node", "out/fetch.js", url], cwd=workshop).endswith("fetch: ok\n")
        assert run(["node", "out/hey.js", url], cwd=workshop).endswith("hey: ok\n")
    assert set(Topic.objects.values_list("title", "explanation", "code", "code_language")) == {
        ("For loops", "A loop repeats.", "for n in x: pass", "Python")
    }


@pytest.mark.django_db(transaction=True)
def test_a_python_client_passes_mypy_and_does_the_round(workshop, tmp_path):
    programs = python_programs()
    generate = [programs / "openapi-python-client", "generate", "--path", "openapi.yaml", "--meta", "none"]
    generate += ["--output-path", "note_assist_ai_client", "--config", "openapi-python-client.yaml"]
    output = run([*generate, "--fail-on-warning"], cwd=workshop)
    assert "WARNING" not in output
    run([programs / "mypy", "--strict", "note_assist_ai_client", "client.py"], cwd=workshop)

    with running_product(tmp_path) as url:
        assert run([programs / "python", "client.py", url], cwd=workshop).endswith("python: ok\n")
    assert set(Topic.objects.values_list("title", "explanation", "code", "code_language")) == {
        ("For loops", "A loop repeats.", "for n in x: pass", "Python")
    }
