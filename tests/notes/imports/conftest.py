"""Imports need a storage for their uploads."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _stored(files: Path) -> Path:
    return files
