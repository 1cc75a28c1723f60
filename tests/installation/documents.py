"""Dockerfile and compose.yaml as data. No image can be built where the tests run, so tests carry out what they say."""

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

BASE = Path(settings.BASE_DIR)
COMPOSE = (BASE / "compose.yaml").read_text()
_VARIABLE = re.compile(r"\$\$|\$\{([A-Z_]+)(?:(:-|:\?)([^}]*))?\}")


class Missing(Exception):
    """A variable that compose demands is not set; the message says which."""


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """As compose reads it: ``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}``, and ``$$`` for ``$``."""

    def replace(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        if name is None:
            return "$"
        value = environment.get(name, "")
        if not value and operator == ":?":
            raise Missing(f"{name}: {word}")
        return value or (word if operator == ":-" else "")

    return _VARIABLE.sub(replace, text)


def variables_of(text: str) -> set[str]:
    return {match[1] for match in _VARIABLE.finditer(text) if match[1]}


def services(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(interpolated(COMPOSE, environment))["services"]


def instructions() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile and its argument, on one line."""
    lines = [line for line in (BASE / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines()
    return [(name, argument) for name, _, argument in (line.partition(" ") for line in joined)]


def admitted() -> list[str]:
    """What ``.dockerignore`` lets into the image; all else stays out."""
    lines = [line for line in (BASE / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    assert lines[-1] == "**/__pycache__"
    return [line.removeprefix("!") for line in lines[1:-1]]


def copy_into(directory: Path) -> None:
    """What ``COPY . .`` puts there."""
    copy: dict[bool, Callable[..., Any]] = {
        True: lambda source, target: shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__")),
        False: shutil.copyfile,
    }
    for name in admitted():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        copy[(BASE / name).is_dir()](BASE / name, directory / name)
