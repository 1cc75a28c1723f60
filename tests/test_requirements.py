"""What is installed is what the code imports, pinned with hashes; the documents beside it are complete."""

import ast
import gc
import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from django.conf import settings
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

BASE = Path(settings.BASE_DIR)
PACKAGES = ("NoteAssist_AI", "accounts", "notes", "ai_tasks", "study", "notifications", "utils")
COMPILED = (
    "requirements.txt", "requirements-dev.txt", "benchmarks/requirements.txt", "tests/gateways/llmock.txt",
    "tests/gateways/litellm.txt", "tests/gateways/mocktopus.txt", "tests/mutants/requirements.txt",
    "tests/requirements-contract.txt",
)  # fmt: skip
DEVELOPMENT_ONLY = (
    "NoteAssist_AI/embedded/launcher.py",
    "NoteAssist_AI/embedded/launcher.py",
    "notes/management/commands/seed_demo.py",
    "notes/management/commands/seed_load.py",
)
"""Modules that run in development only: production refuses them."""
DOCUMENTED = {
    "_meta",
    "_default_manager",
    "_base_manager",
    "_db",
    "_state",
    "_exit",
    "_asdict",
    "_fields",
    "_make",
    "_replace",
}
"""Names with an underscore that their libraries document."""


def named(file: str) -> dict[str, str]:
    """The version of each package that an ``.in`` file names."""
    requirements = [
        Requirement(line.partition(" #")[0])
        for line in (BASE / file).read_text().splitlines()
        if line and not line.startswith(("#", "-"))
    ]
    return {canonicalize_name(r.name): str(r.specifier) for r in requirements}


def compiled(file: str) -> dict[str, Requirement]:
    lines = re.findall(r"^([A-Za-z0-9].*?) \\$", (BASE / file).read_text(), flags=re.MULTILINE)
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


@cache
def trees() -> dict[Path, ast.Module]:
    """The syntax of every module of the product, by path from the project's folder."""
    files = [path for package in PACKAGES for path in (BASE / package).rglob("*.py") if "migrations" not in path.parts]
    files += [*BASE.glob("gunicorn*.conf.py"), BASE / "granian_server.py", BASE / "manage.py"]
    # Python 3.11 raises SystemError if a destructor that the collector runs meanwhile parses, too, as tracebacks do.
    gc.collect()
    gc.disable()
    try:
        return {path.relative_to(BASE): ast.parse(path.read_text()) for path in files}
    finally:
        gc.enable()


def imported(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("file", COMPILED)
def test_every_package_is_pinned_with_hashes_and_no_host_is_named(file):
    text = (BASE / file).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]

    assert [block for block in blocks if "==" not in block or "--hash=sha256:" not in block] == []
    assert len(blocks) == len(compiled(file)) > 0
    assert re.findall(r"://|--(?:extra-)?index-url|--find-links|--trusted-host", text) == []


@pytest.mark.parametrize("file", COMPILED)
def test_what_an_in_file_names_is_in_its_compiled_file_in_that_version(file):
    pins = compiled(file)

    for name, version in named(file.replace(".txt", ".in")).items():
        assert version.startswith("=="), name
        assert str(pins[name].specifier) == version


def test_development_and_production_have_the_same_versions():
    development = compiled("requirements-dev.txt")

    assert {name: str(development[name].specifier) for name in compiled("requirements.txt")} == {
        name: str(pin.specifier) for name, pin in compiled("requirements.txt").items()
    }


@pytest.mark.parametrize("only", [False, True])
def test_each_import_is_declared_where_it_is_used(only):
    declared = named("requirements.in") | (named("requirements-dev.in") if only else {})
    providers = metadata.packages_distributions()
    used: dict[str, set[str]] = {}
    for path, tree in trees().items():
        if (path.as_posix() in DEVELOPMENT_ONLY) is only:
            for module in imported(tree):
                used.setdefault(module, set()).add(path.as_posix())

    missing = {
        module: files
        for module, files in used.items()
        if module in providers and not {canonicalize_name(name) for name in providers[module]} & declared.keys()
    }

    # The toolbar is a setting of development alone, and named in a condition.
    assert missing.pop("debug_toolbar", {"NoteAssist_AI/urls.py"}) == {"NoteAssist_AI/urls.py"}
    assert missing == {}


def test_production_declares_nothing_that_it_does_not_use():
    """An import, or a name in the settings; the rest are packages that others load by themselves."""
    loaded_by_others = {"psycopg", "packaging", "drf-spectacular-sidecar", "soupsieve", "tzdata"}
    text = "\n".join(path.read_text() for path in (BASE / "NoteAssist_AI").rglob("*.py"))
    text += "".join((BASE / name).read_text() for name in ("Procfile", "notes/pdf/process.py"))  # fonts are files
    modules = {module for tree in trees().values() for module in imported(tree)}
    provided: dict[str, set[str]] = {}
    for module, distributions in metadata.packages_distributions().items():
        for distribution in distributions:
            provided.setdefault(canonicalize_name(distribution), set()).add(module)

    unused = [
        name
        for name in named("requirements.in")
        if name not in loaded_by_others
        and not any(module in modules or re.search(rf"\b{module}\b", text) for module in provided[name])
    ]

    assert unused == []


def test_the_list_of_licences_is_complete():
    rows = re.findall(r"^\| (\S+) +\| (\S+) +\| (\S.*?) +\|$", (BASE / "docs/licenses.md").read_text(), re.MULTILINE)
    listed = {canonicalize_name(name): version for name, version, _ in rows[1:]}
    expected = {
        name: str(pin.specifier).removeprefix("==")
        for name, pin in compiled("requirements.txt").items()
        if pin.marker is None or pin.marker.evaluate()
    }

    assert listed == expected
    assert [name for name, _, licence in rows if licence in ("UNKNOWN", "")] == []


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in DOCUMENTED


def own_names() -> set[str]:
    """Every name that our code defines."""
    found = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            match node:
                case (
                    ast.FunctionDef(name=name)
                    | ast.AsyncFunctionDef(name=name)
                    | ast.ClassDef(name=name)
                    | ast.arg(arg=name)
                ):
                    found.add(name)
                case ast.Name(id=name, ctx=ast.Store()):
                    found.add(name)
                case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                    found.add(name)
    return found


def private_names_used() -> Iterator[str]:
    ours = own_names()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in ours:
                yield node.attr
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] not in PACKAGES:
                yield from filter(is_private, [*node.module.split("."), *(alias.name for alias in node.names)])


def private_names_overridden() -> Iterator[str]:
    """What a class of ours defines and a library's class above it does, too."""
    defined = {
        (node.name, item.name)
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for item in node.body
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) and is_private(item.name)
    }
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" in module.name:
                continue
            for owner in vars(importlib.import_module(module.name)).values():
                if inspect.isclass(owner) and owner.__module__.partition(".")[0] in PACKAGES:
                    theirs = [base for base in owner.__mro__ if base.__module__.partition(".")[0] not in PACKAGES]
                    names = {name for base in theirs for name in vars(base)}
                    yield from (name for name in names if (owner.__name__, name) in defined)


def test_every_private_name_of_a_library_is_listed_with_the_test_that_guards_it():
    table = re.findall(
        r"^\| `(_\w+)` \| .* \| `(test_\w+)` \|$", (BASE / "docs/upgrading.md").read_text(), re.MULTILINE
    )
    tests = "".join(path.read_text() for path in (BASE / "tests").rglob("test_*.py"))

    assert {name for name, _ in table} == {*private_names_used(), *private_names_overridden()}
    assert [test for _, test in table if f"def {test}(" not in tests] == []
