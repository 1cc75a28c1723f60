"""The registry of importers by kind of file. Apps register theirs in ``AppConfig.ready()``.

An importer is called for one file, inside the transaction that also records the outcome, so it writes all or nothing.
In a dry run that transaction is rolled back. Slow work, and work in other transactions, is done before, by ``begin``.
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
    """A file to import. ``name`` is shown to the user; ``path`` identifies the file in later imports."""

    name: str
    path: str
    read: Callable[[int], bytes]
    """Returns the content, truncated to this many bytes."""


@dataclass(frozen=True, slots=True)
class ImportContext:
    """The state of one import, which its files share."""

    user_id: int
    dry_run: bool = False
    index: Index = field(default_factory=Index)
    others: Mapping[str, SourceFile] = field(default_factory=dict)
    """Files without an importer, by path; notes may refer to them."""
    exported_attachments: Mapping[str, str] = field(default_factory=dict)
    """For an export of this product: the paths of its attachments, by their ids in the export."""
    attached: set[str] = field(default_factory=set)
    """The paths of files that became attachments."""
    notes: dict[int, int] = field(default_factory=dict)
    """For an export of this product: the ids of the imported notes, by their ids in the export."""
    topics: dict[int, int] = field(default_factory=dict)
    """For an export of this product: the ids of the imported topics, by their ids in the export."""
    moved_attachments: dict[str, str] = field(default_factory=dict)
    """For an export of this product: the ids of the imported attachments, by their ids in the export."""


@dataclass(slots=True)
class FileReport:
    """The outcome of one file."""

    outcome: Outcome
    note_id: int | None = None
    warnings: list[str] = field(default_factory=list)


class CannotImport(ValueError):
    """The file cannot be imported; the text says why. Nothing was written."""


Begin = Callable[[ImportContext, SourceFile], AbstractContextManager[Callable[[], FileReport]]]
"""A context that is entered before the transaction; the function that it yields is called inside the transaction.

Writes made in the context are not rolled back. So it must write nothing in a dry run, and must be safe to repeat."""


@dataclass(frozen=True, slots=True)
class Importer:
    """Imports files with these extensions. An importer has ``run`` or ``begin``.

    Both may raise :class:`CannotImport`, and an ``ApplicationError``, whose text is shown to the user.
    """

    name: str
    extensions: tuple[str, ...]
    """Lower case, with the dot."""
    run: Callable[[ImportContext, SourceFile], FileReport] | None
    begin: Begin | None = None
    paths: tuple[str, ...] = ()
    """Paths of files in an account's export; they are imported after all others, in the order of registration."""

    def begun(self, context: ImportContext, file: SourceFile) -> AbstractContextManager[Callable[[], FileReport]]:
        """A context to enter before the transaction; it yields the function to call inside it."""
        if self.begin is not None:
            return self.begin(context, file)
        assert self.run is not None
        return nullcontext(partial(self.run, context, file))


_registered: list[Importer] = []


def register(importer: Importer) -> None:
    if importer not in _registered:
        _registered.append(importer)


def importer_for(name: str) -> Importer | None:
    """The importer of files with this name."""
    extension = PurePosixPath(name).suffix.lower()
    mine = (importer for importer in _registered if name in importer.paths or extension in importer.extensions)
    return next(mine, None)


def import_order(name: str) -> int:
    """The position of a file in the import order: 0 for most files, more for files of an account's export."""
    return next((number for number, importer in enumerate(_registered, 1) if name in importer.paths), 0)


def extensions() -> list[str]:
    return sorted(extension for importer in _registered for extension in importer.extensions)


def duplicate_extensions(importers: Iterable[Importer]) -> list[tuple[str, str, str]]:
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
        for extension, first, second in duplicate_extensions(_registered)
    ]
