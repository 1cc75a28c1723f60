"""Real collections of Anki, by its own package. It is needed for tests only."""

import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

pytest.importorskip("anki", reason="the package anki is not installed: make requirements")

from anki.collection import (
    Collection,
    ExportAnkiPackageOptions,
    ImportAnkiPackageOptions,
    ImportAnkiPackageRequest,
)


class Imported(NamedTuple):
    """How many notes came to what, by Anki's own log."""

    new: int
    updated: int
    duplicate: int
    conflicting: int


class AnkiCollection:
    """A collection in a folder of its own."""

    def __init__(self, path: Path) -> None:
        self.collection = Collection(str(path))

    def take(self, package: bytes, folder: Path, *, with_scheduling: bool = True) -> Imported:
        """Import a package as a person does."""
        path = folder / "in.apkg"
        path.write_bytes(package)
        options = ImportAnkiPackageOptions(with_scheduling=with_scheduling, merge_notetypes=False)
        log = self.collection.import_anki_package(ImportAnkiPackageRequest(package_path=str(path), options=options)).log
        return Imported(len(log.new), len(log.updated), len(log.duplicate), len(log.conflicting))

    def give(self, folder: Path, *, legacy: bool = False) -> bytes:
        """Export everything as a person does."""
        path = folder / f"out-{legacy}.apkg"
        options = ExportAnkiPackageOptions(
            with_scheduling=True, with_media=True, with_deck_configs=False, legacy=legacy
        )
        self.collection.export_anki_package(out_path=str(path), options=options, limit=None)
        return path.read_bytes()

    def rows(self, sql: str) -> list[list[Any]]:
        return self.collection.db.all(sql)

    @property
    def cards(self) -> int:
        return self.collection.card_count()

    @property
    def notes(self) -> int:
        return self.collection.note_count()


@contextmanager
def opened_collection(folder: Path, name: str = "collection") -> Iterator[AnkiCollection]:
    opened = AnkiCollection(folder / f"{name}.anki2")
    try:
        yield opened
    finally:
        opened.collection.close()


def files_of(package: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
