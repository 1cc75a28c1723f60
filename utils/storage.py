"""Files in the storage of ``STORAGE_URL``, which every process reaches.

A file is stored before its row is committed, and deleted after the row's deletion is committed. So at worst a crash
leaves a file without a row, which ``find_strays`` finds. Several rows may name one file; it is deleted with the last.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import PurePosixPath
from typing import IO, NamedTuple
from uuid import uuid4

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db.models import Model
from django.utils import timezone

from utils.http.errors import NotFound, Unavailable
from utils.models import FileToDelete

logger = logging.getLogger(__name__)

NAME_MAX_LENGTH = 100
UNCOMMITTED = timedelta(hours=1)
"""A younger file may still get its row, so it is not a stray."""
_BATCH_SIZE = 200


class StorageNotConfigured(Unavailable):
    """No file storage is configured. Only operations with files are affected."""

    code = "storage_not_configured"
    detail = "This server has no file storage configured (STORAGE_URL)."

    def __init__(self) -> None:
        super().__init__(retry_after=3600)


class StorageUnavailable(Unavailable):
    code = "storage_unavailable"
    detail = "The file storage does not respond. Try again later."


class FileMissing(NotFound):
    """A row names a file that the storage does not have."""


class FileColumn(NamedTuple):
    """A column that names files. Its table has the trigger of ``utils.migrations.0003_files_to_delete``."""

    kind: str
    """The folder of these files."""
    model: type[Model]
    column: str = "file"


_columns: list[FileColumn] = []


def register(column: FileColumn) -> None:
    """Include this column's files in deletion and in ``find_strays``. For ``AppConfig.ready``."""
    _columns.append(column)


def new_name(kind: str) -> str:
    """A random name for a new file, in one of 256 folders, so that folders stay small."""
    name = uuid4().hex
    return f"{kind}/{name[:2]}/{name}"


def require_storage() -> None:
    """Raises :class:`StorageNotConfigured`."""
    if not settings.FILES_ARE_KEPT:
        raise StorageNotConfigured


def store(name: str, content: IO[bytes]) -> None:
    """Write a file from its start, in pieces. Raises :class:`StorageNotConfigured`, :class:`StorageUnavailable`."""
    require_storage()
    content.seek(0)
    with _failures(name):
        default_storage.save(name, File(content))


def read(name: str) -> IO[bytes]:
    """Open a file, which the caller closes. It is seekable, and on the disk rather than in memory.

    Raises :class:`FileMissing`, :class:`StorageNotConfigured`, :class:`StorageUnavailable`.
    """
    require_storage()
    with _failures(name):
        file = default_storage.open(name)
        file.seek(0)  # S3's storage sends its request only now
        return file


def discard(name: str) -> None:
    """Delete a file that got no row. If that fails, it is a stray file, which is reported to operators."""
    try:
        with _failures(name):
            default_storage.delete(name)
    except StorageUnavailable:
        logger.warning("The file %s, which has no row, could not be deleted", name)


def delete_marked() -> int:
    """Delete the files whose rows were deleted; return how many. Failures are retried at the next call.

    If another row still names the file, only its ``FileToDelete`` is deleted: that row's deletion writes a new one.
    """
    deleted = 0
    while settings.FILES_ARE_KEPT and (marked := list(FileToDelete.objects.order_by("pk")[:_BATCH_SIZE])):
        named = names_in_use([mark.name for mark in marked])
        for mark in marked:
            if mark.name not in named:
                with _failures(mark.name):
                    default_storage.delete(mark.name)
                deleted += 1
        FileToDelete.objects.filter(pk__in=[mark.pk for mark in marked]).delete()
    return deleted


def names_in_use(names: Sequence[str]) -> set[str]:
    """Which of these names are in use by rows."""
    return {
        name
        for column in _columns
        for name in column.model._default_manager.filter(**{f"{column.column}__in": names}).values_list(
            column.column, flat=True
        )
    }


class Strays(NamedTuple):
    """Files without a row, and names in rows without a file."""

    files: list[str]
    rows: list[str]


def find_strays() -> Iterator[Strays]:
    """Compare files and rows, one folder at a time. Raises :class:`StorageUnavailable`."""
    require_storage()
    for column in _columns:
        rows = column.model._default_manager
        for folder in (f"{column.kind}/{number:02x}" for number in range(256)):
            # Rows are read before files: a file is written before its row and deleted after it.
            named = set(
                rows.filter(**{f"{column.column}__startswith": f"{folder}/"}).values_list(column.column, flat=True)
            )
            with _failures(folder):
                found = {str(PurePosixPath(folder, name)) for name in _files_in(folder)}
            missing = sorted(named - found)
            if missing:  # check again: rows may have been deleted meanwhile
                missing = sorted(names_in_use(missing))
            files = [name for name in sorted(found - named) if _is_stray(name)]
            if files or missing:
                yield Strays(files, missing)


def _files_in(folder: str) -> Sequence[str]:
    try:
        return default_storage.listdir(folder)[1]
    except FileNotFoundError:
        return []


def _is_stray(name: str) -> bool:
    """Whether no row names the file, or will, and no deletion of it is pending."""
    if names_in_use([name]) or FileToDelete.objects.filter(name=name).exists():
        return False
    try:
        with _failures(name):
            return default_storage.get_modified_time(name) < timezone.now() - UNCOMMITTED
    except FileMissing:
        return False


@contextmanager
def _failures(name: str) -> Iterator[None]:
    """Convert the storage's exceptions to our own."""
    try:
        yield
    except FileNotFoundError as error:
        logger.error("The storage has no file %s", name)
        raise FileMissing from error
    except _errors() as error:
        logger.warning("The storage failed at %s: %s: %s", name, type(error).__name__, error)
        raise StorageUnavailable from error


def _errors() -> tuple[type[Exception], ...]:
    if not settings.STORAGES["default"]["BACKEND"].startswith("storages."):
        return (OSError,)
    from boto3.exceptions import Boto3Error  # not at import: processes without S3 need not load it
    from botocore.exceptions import BotoCoreError, ClientError

    return OSError, Boto3Error, BotoCoreError, ClientError
