"""Carries out an import: each file in its own transaction, so that another worker can continue after a crash."""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import IO
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from psycopg_pool import PoolTimeout

from notes.importers import CannotImport, FileReport, ImportContext, SourceFile, import_order, importer_for
from notes.markdown import joplin
from notes.markdown.archives import (
    ArchiveEntry,
    UnreadableArchive,
    UnreadableEntry,
    UnsafeArchive,
    opened_tar,
    opened_zip,
)
from notes.markdown.foreign_files import title_in
from notes.markdown.links import Index
from notes.services import background_jobs
from notes.services.background_jobs import end, renew
from notes.services.imports.formats import import_joplin_note, read_text, remember_file
from notes.transfers import ImportedFile, JobStatus, NoteImport
from utils import storage
from utils.http.errors import ApplicationError, Unavailable
from utils.page_cache.invalidation import changing_pages_of

logger = logging.getLogger(__name__)

NAME_SHOWN_MAX = 500
_RENEWED_EVERY = 50
_PIECE = 1024 * 1024
_UNFORESEEN = "Something went wrong on our side with this file. Nothing was imported from it."
_NOT_IMPORTED = "Files of this kind cannot be imported."
_ATTACHED = "It is an attachment of the notes that show it."
_HIDDEN = ("__MACOSX",)
_OF_OUR_EXPORT = "trash/"
_EXPORTED_ATTACHMENTS = "attachments/"
_OUTAGES = (OperationalError, InterfaceError, PoolTimeout, Unavailable)
"""Errors that are not the file's fault: the job is released, and continues with the file later."""


class _Stopped(Exception):  # not an error
    """The import was cancelled, or another worker has claimed it."""


def carry_out_import(import_id: UUID) -> None:
    """Import the job's remaining files. Does nothing if another worker has the job, or it is finished."""
    job = background_jobs.claim(NoteImport, import_id)
    if job is None:
        return
    try:
        with _sent_file(job) as content, _opened(job, content) as files:
            _import_files(job, files)
    except _Stopped:
        return
    except UnsafeArchive as error:
        end(job, JobStatus.FAILED, code="unsafe_archive", detail=str(error))
    except UnreadableArchive as error:
        end(job, JobStatus.FAILED, code="unreadable_archive", detail=str(error))
    except storage.FileMissing:
        end(job, JobStatus.FAILED, code="file_missing", detail="The uploaded file no longer exists.")
    except _OUTAGES as error:
        logger.warning("Import %s waits: %s: %s", job.pk, type(error).__name__, error)
        # Without the database, this fails, and the lease expires instead. An OperationalError may be the job's fault.
        background_jobs.release(job, is_counted=isinstance(error, OperationalError))
    except Exception:
        end(job, JobStatus.FAILED, code="internal_error", detail="Something went wrong on our side.")
        raise
    else:
        end(job, JobStatus.SUCCEEDED)


@contextmanager
def _sent_file(job: NoteImport) -> Iterator[IO[bytes]]:
    """A copy of the file on the disk, as archives need random access."""
    with TemporaryFile() as local:
        with storage.read(job.file) as stored:
            while piece := stored.read(_PIECE):
                local.write(piece)
        local.seek(0)
        yield local


@contextmanager
def _opened(job: NoteImport, content: IO[bytes]) -> Iterator["_Files"]:
    match PurePosixPath(job.name).suffix.lower():
        case ".zip":
            with opened_zip(content) as entries:
                yield _PlainFiles(entries)
        case ".jex":
            with opened_tar(content) as entries:
                yield _JoplinFiles(entries)
        case _:
            yield _PlainFiles([_single(job, content)])


def _single(job: NoteImport, content: IO[bytes]) -> ArchiveEntry:
    size = content.seek(0, 2)

    def open_again() -> IO[bytes]:
        content.seek(0)
        return _Unclosed(content)  # type: ignore[return-value]  # only read() is called

    return ArchiveEntry(job.name, size, open_again)


class _Unclosed:
    """A wrapper of a file that ``with`` does not close."""

    def __init__(self, file: IO[bytes]) -> None:
        self.read = file.read

    def __enter__(self) -> "_Unclosed":
        return self

    def __exit__(self, *_: object) -> None:
        pass


class _Files:
    """The files of an import in order. ``scan`` is called for each file before the first one is imported."""

    def __init__(self, entries: list[ArchiveEntry]) -> None:
        self.entries = [entry for entry in entries if not _is_hidden(entry.name)]
        self.index = Index()
        self.others: dict[str, SourceFile] = {}

    def scan(self, entry: ArchiveEntry) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Called after ``scan``. Files to which notes may refer are moved after the notes."""
        self.entries.sort(key=lambda entry: (entry.name in self.others, import_order(entry.name)))

    def begun(self, context: ImportContext, entry: ArchiveEntry) -> AbstractContextManager[Callable[[], FileReport]]:
        """A context to enter before the transaction; it yields the function that imports the file inside it."""
        return nullcontext(partial(self.run, context, entry))

    def run(self, context: ImportContext, entry: ArchiveEntry) -> FileReport:
        raise NotImplementedError

    def remember(self, context: ImportContext, entry: ArchiveEntry, note_id: int) -> None:
        """Called instead of ``begun`` for a file that an earlier worker has imported, with its note."""

    def name(self, entry: ArchiveEntry) -> str:
        return entry.name


class _PlainFiles(_Files):
    def scan(self, entry: ArchiveEntry) -> None:
        importer = importer_for(entry.name)
        if importer is None:
            self.index.add_other(entry.name)
            self.others[entry.name] = _source(entry)
        elif importer.name == "markdown":
            try:
                text, _ = read_text(_source(entry))
            except (CannotImport, UnreadableEntry):
                return  # reported when it is imported
            self.index.add_note(entry.name, title_in(text, path=entry.name))

    def begun(self, context: ImportContext, entry: ArchiveEntry) -> AbstractContextManager[Callable[[], FileReport]]:
        importer = importer_for(entry.name)
        if importer is None:
            return nullcontext(partial(_report_of_other, context, entry.name))
        if entry.name.startswith(_OF_OUR_EXPORT):
            return nullcontext(partial(FileReport, "skipped", warnings=["It was in the trash."]))
        return importer.begun(context, _source(entry))

    def remember(self, context: ImportContext, entry: ArchiveEntry, note_id: int) -> None:
        remember_file(context, _source(entry), note_id)


class _JoplinFiles(_Files):
    def __init__(self, entries: list[ArchiveEntry]) -> None:
        super().__init__(entries)
        self._notebook = joplin.Notebook()
        self._notes: dict[str, joplin.Item] = {}
        self._resources: dict[str, str] = {}
        """The names of files, by their ids."""

    def scan(self, entry: ArchiveEntry) -> None:
        if not joplin.is_item(entry.name):
            return
        try:
            text, _ = read_text(_source(entry))
        except (CannotImport, UnreadableEntry):
            return
        item = joplin.parse(text)
        if item is None:
            return
        if item.kind == joplin.NOTE:
            # The text is read again when the note is imported.
            self._notes[entry.name] = replace(item, body="")
            self.index.add_note(entry.name, item.title, f":/{item.properties['id']}")
        else:
            self._notebook.add(item)
            if item.kind == joplin.RESOURCE:
                path = f":/{item.properties['id']}"
                self.index.add_other(path)
                self._resources[item.properties["id"]] = item.title

    def start(self) -> None:
        """Keep only notes and resources, as users know no other files; Joplin's items with metadata are dropped."""
        others = [entry for entry in self.entries if entry.name not in self._notes and not joplin.is_item(entry.name)]
        notes = [entry for entry in self.entries if entry.name in self._notes]
        self.entries = notes + others
        for entry in others:
            resource_id = PurePosixPath(entry.name).stem
            if resource_id in self._resources:
                name = self._resources[resource_id] or entry.name
                self.others[f":/{resource_id}"] = SourceFile(name, entry.name, entry.read)

    def run(self, context: ImportContext, entry: ArchiveEntry) -> FileReport:
        if entry.name not in self._notes:
            return _report_of_other(context, f":/{PurePosixPath(entry.name).stem}")
        text, warnings = read_text(_source(entry))
        item = joplin.parse(text)
        if item is None:
            raise CannotImport("This is not a Joplin note.")
        tags = self._notebook.names_of_tags(item.properties["id"])
        return import_joplin_note(context, _source(entry), item, tags, warnings)

    def name(self, entry: ArchiveEntry) -> str:
        return self._notebook.path(self._notes[entry.name]) if entry.name in self._notes else entry.name


def _import_files(job: NoteImport, files: _Files) -> None:
    for number, entry in enumerate(files.entries):
        if number % _RENEWED_EVERY == 0 and not renew(job):
            raise _Stopped
        try:
            files.scan(entry)
        except Exception:  # the outcome is reported when the file is imported
            logger.exception("Import %s: %s cannot be read", job.pk, entry.name)
    files.start()
    done = dict(job.files.values_list("position", "note_id"))
    NoteImport.objects.filter(pk=job.pk, attempt=job.attempt).update(total=len(files.entries))
    exported = {PurePosixPath(name).stem: name for name in files.others if name.startswith(_EXPORTED_ATTACHMENTS)}
    context = ImportContext(job.user_id, job.dry_run, files.index, files.others, exported)
    for position, entry in enumerate(files.entries):
        if position not in done:
            _import_file(job, context, files, position, entry)
        elif (note_id := done[position]) is not None:
            files.remember(context, entry, note_id)


def _import_file(job: NoteImport, context: ImportContext, files: _Files, position: int, entry: ArchiveEntry) -> None:
    """Import one file and record its outcome, in one transaction. Raises :class:`_Stopped`.

    An unexpected error rolls that transaction back and is recorded as the file's outcome; the other files continue.
    """
    try:
        with _begun(context, files, entry) as run, _holding(job):
            _record(job, position, files.name(entry), _report_of(job, files, run))
    except (_Stopped, UnsafeArchive, UnreadableArchive, *_OUTAGES):
        raise
    except Exception:
        logger.exception("Import %s: %s failed", job.pk, entry.name)
        with _holding(job):
            _record(job, position, entry.name, FileReport("failed", warnings=[_UNFORESEEN]))


@contextmanager
def _holding(job: NoteImport) -> Iterator[None]:
    """A transaction that locks the job, so that a cancel waits for its end. Raises :class:`_Stopped`."""
    with transaction.atomic():
        if not renew(job):
            raise _Stopped
        yield


@contextmanager
def _begun(context: ImportContext, files: _Files, entry: ArchiveEntry) -> Iterator[Callable[[], FileReport]]:
    """Yield the function that imports the file. If ``begin`` failed, the function raises its error."""
    with ExitStack() as stack:
        try:
            run = stack.enter_context(files.begun(context, entry))
        except _OUTAGES:
            raise
        except (ApplicationError, CannotImport, UnreadableEntry, UnreadableArchive, UnsafeArchive) as error:
            run = partial(_fail, error)
        yield run


def _fail(error: Exception) -> FileReport:
    raise error


def _report_of(job: NoteImport, files: _Files, run: Callable[[], FileReport]) -> FileReport:
    try:
        with changing_pages_of(job.user_id):
            report = run()
            if job.dry_run:
                raise _Undone(report)
            return report
    except _Undone as undone:
        report = undone.report
        if report.outcome in ("created", "conflict"):
            report.note_id = None
        return report
    except (CannotImport, UnreadableEntry) as error:
        return FileReport("failed", warnings=[str(error)])
    except (UnsafeArchive, UnreadableArchive) as error:
        if len(files.entries) == 1:
            raise  # the only file fails, so the whole import fails
        return FileReport("failed", warnings=[str(error)])
    except Unavailable:
        raise
    except ApplicationError as error:  # over a budget, or over a limit of notes
        return FileReport("failed", warnings=[error.detail])


def _record(job: NoteImport, position: int, name: str, report: FileReport) -> None:
    ImportedFile.objects.create(
        note_import=job,
        position=position,
        name=name[:NAME_SHOWN_MAX],
        outcome=report.outcome,
        note_id=report.note_id,
        warnings=list(dict.fromkeys(report.warnings))[:50],
    )


class _Undone(Exception):  # not an error
    """Rolls back the writes of a dry run."""

    def __init__(self, report: FileReport) -> None:
        super().__init__()
        self.report = report


def _report_of_other(context: ImportContext, path: str) -> FileReport:
    """The outcome of a file that is not a note."""
    return FileReport("skipped", warnings=[_ATTACHED if path in context.attached else _NOT_IMPORTED])


def _source(entry: ArchiveEntry) -> SourceFile:
    return SourceFile(entry.name, entry.name, entry.read)


def _is_hidden(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part in _HIDDEN for part in parts)
