"""Which code imports which kind of file. Apps register theirs in ``AppConfig.ready()``.

An importer is called for one file, inside the transaction that records what became of it, so that it writes all or
nothing. In a dry run that transaction is undone. What takes long, or must not be one transaction, it may begin before.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Literal

from django.core import checks

from notes.markdown.links import Index

Outcome = Literal["created", "updated", "unchanged", "conflict", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to import. ``name`` is shown, ``path`` says which file it is the next time that it is sent."""

    name: str
    path: str
    read: Callable[[int], bytes]
    """Its content, cut after so many bytes."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """Whose import it is, and what else is in it."""

    user_id: int
    dry_run: bool = False
    index: Index = field(default_factory=Index)
    others: Mapping[str, SourceFile] = field(default_factory=dict)
    """Files that nobody imports, by path: what notes may show."""
    exported_attachments: Mapping[str, str] = field(default_factory=dict)
    """The paths of those that an export of ours has as attachments, by their ids there."""
    attached: set[str] = field(default_factory=set)
    """The paths of those that became attachments."""
    notes: dict[int, int] = field(default_factory=dict)
    """The notes that became of those in an export of ours, by their ids there."""
    topics: dict[int, int] = field(default_factory=dict)
    """The topics that became of those in an export of ours, by their ids there."""
    moved_attachments: dict[str, str] = field(default_factory=dict)
    """The ids of attachments that became of those in an export of ours, by their ids there."""


@dataclass(slots=True)
class FileReport:
    """What became of a file."""

    outcome: Outcome
    note_id: int | None = None
    warnings: list[str] = field(default_factory=list)


class CannotImport(ValueError):
    """The file cannot be imported; the text says why. Nothing of it was written."""


Begin = Callable[[ImportContext, SourceFile], AbstractContextManager[Callable[[], FileReport]]]
"""Entered before the transaction; what it gives is called in it. What is written before stays, whatever becomes of the
file, so in a dry run nothing is, and a second time finds it done."""


@dataclass(frozen=True, slots=True)
class Importer:
    """``run`` and ``begin`` may raise :class:`CannotImport`, and an ``ApplicationError`` whose text is for people.

    One with ``begin`` needs no ``run``.
    """

    name: str
    extensions: tuple[str, ...]
    """Lower case, with their dot."""
    run: Callable[[ImportContext, SourceFile], FileReport] | None
    begin: Begin | None = None
    paths: tuple[str, ...] = ()
    """Of files in an account's export, which are imported after all others and in the order of registration."""

    def begun(self, context: ImportContext, file: SourceFile) -> AbstractContextManager[Callable[[], FileReport]]:
        """What is to be called in the transaction; enter it before that."""
        if self.begin is not None:
            return self.begin(context, file)
        assert self.run is not None
        return nullcontext(partial(self.run, context, file))


_registered: list[Importer] = []


def register(importer: Importer) -> None:
    if importer not in _registered:
        _registered.append(importer)


def importer_for(name: str) -> Importer | None:
    """The importer of files that are called so."""
    extension = PurePosixPath(name).suffix.lower()
    mine = (importer for importer in _registered if name in importer.paths or extension in importer.extensions)
    return next(mine, None)


def turn(name: str) -> int:
    """When a file's turn is: 0 for notes and the like, more for a file of an account's export."""
    return next((number for number, importer in enumerate(_registered, 1) if name in importer.paths), 0)


def extensions() -> list[str]:
    return sorted(extension for importer in _registered for extension in importer.extensions)


def claimed_twice(importers: Iterable[Importer]) -> list[tuple[str, str, str]]:
    """Extensions that two importers claim, with the names of both."""
    owners: dict[str, str] = {}
    twice = []
    for importer in importers:
        for extension in (*importer.extensions, *importer.paths):
            if extension in owners:
                twice.append((extension, owners[extension], importer.name))
            owners.setdefault(extension, importer.name)
    return twice


@checks.register
def one_importer_for_each_kind(**_kwargs: Any) -> list[checks.CheckMessage]:
    """Refuse to start with two importers for one kind of file, as only one of them would ever run."""
    return [
        checks.Error(f"Files {extension} are imported by both {first} and {second}.", id="notes.E001")
        for extension, first, second in claimed_twice(_registered)
    ]
