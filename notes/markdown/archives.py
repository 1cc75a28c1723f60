"""Reads uploaded archives within limits.

An archive with an unsafe entry is refused as a whole, before any entry is read.
"""

import lzma
import re
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from tempfile import TemporaryFile
from typing import IO

ENTRIES_MAX = 5000
UNPACKED_MAX = 500 * 1024 * 1024
RATIO_MAX = 100
SMALL = 1024 * 1024
"""Up to this size in bytes, the compression ratio of an entry is not limited."""
_PIECE = 1024 * 1024
_UTF_8_NAME = 0x800
_DRIVE = re.compile(r"[A-Za-z]:(?:/|\Z)")
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    RuntimeError,  # a password is required
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
    ArithmeticError,
    LookupError,
    struct.error,
)
"""Exceptions of Python's archive readers for malformed archives."""


class UnsafeArchive(ValueError):
    """An entry would leave the archive's folder, is not a plain file, or unpacks to too many bytes."""


class UnreadableArchive(ValueError):
    """The file is not an archive of this kind, or is damaged."""


class UnreadableEntry(ValueError):
    """One entry is damaged or encrypted."""


@dataclass(frozen=True, slots=True)
class ArchiveEntry:
    """A file in an archive. ``name`` is its path, in NFC, with ``/`` between folders."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]

    def read(self, at_most: int) -> bytes:
        """The content, truncated to ``at_most`` bytes. Raises :class:`UnreadableEntry`."""
        try:
            with self.open() as file:
                return file.read(at_most)
        except _DAMAGED as error:
            raise UnreadableEntry("This entry is damaged, encrypted or packed in an unknown way.") from error


class _Bounds:
    """The limits for all archives of one upload together."""

    def __init__(self) -> None:
        self._entries = 0
        self._bytes = 0

    def add(self, size: int, packed: int) -> None:
        self._entries += 1
        self._bytes += size
        if self._entries > ENTRIES_MAX:
            raise UnsafeArchive(f"The archive has more than {ENTRIES_MAX} entries.")
        if self._bytes > UNPACKED_MAX:
            raise UnsafeArchive(f"The archive unpacks to more than {UNPACKED_MAX} bytes.")
        if size > SMALL and size > RATIO_MAX * max(1, packed):
            raise UnsafeArchive(f"An entry of the archive unpacks to more than {RATIO_MAX} times its size.")


@contextmanager
def opened_zip(file: IO[bytes]) -> Iterator[list[ArchiveEntry]]:
    """The files in a zip, and in zips inside it (as Notion makes), in the order of their names.

    Raises :class:`UnsafeArchive` and :class:`UnreadableArchive`.
    """
    with ExitStack() as files:
        bounds = _Bounds()
        entries = []
        for entry in _of_zip(files, bounds, file):
            if entry.name.lower().endswith(".zip"):
                entries += _of_zip(files, bounds, files.enter_context(_unpacked(entry)))
            else:
                entries.append(entry)
        yield _sorted(entries)


@contextmanager
def opened_tar(file: IO[bytes]) -> Iterator[list[ArchiveEntry]]:
    """The files in a tar that is not compressed. Raises :class:`UnsafeArchive` and :class:`UnreadableArchive`."""
    with ExitStack() as files:
        try:
            entries = _of_tar(files.enter_context(tarfile.open(fileobj=file, mode="r:")))
        except (UnsafeArchive, UnreadableArchive):
            raise
        except _DAMAGED as error:
            raise UnreadableArchive("This archive cannot be read.") from error
        yield _sorted(entries)


def _of_tar(archive: tarfile.TarFile) -> list[ArchiveEntry]:
    bounds = _Bounds()
    entries = []
    for member in archive:
        name = _safe_name(_readable(member.name))
        if not (member.isfile() or member.isdir()) or member.issparse():
            raise UnsafeArchive("The archive has an entry that is neither a file nor a folder.")
        if member.size < 0:  # with which Python goes back and reads the same entries again
            raise UnreadableArchive("An entry of the archive has an impossible size.")
        bounds.add(member.size, member.size)
        if name and member.isfile():
            entries.append(ArchiveEntry(name, member.size, lambda member=member: _tar_file(archive, member)))  # type: ignore[misc]
    return entries


def _tar_file(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(member)
    if file is None:
        raise OSError("no file")
    return file


def _of_zip(files: ExitStack, bounds: _Bounds, file: IO[bytes]) -> list[ArchiveEntry]:
    try:
        archive = files.enter_context(zipfile.ZipFile(file))
    except _DAMAGED as error:
        raise UnreadableArchive("This zip file cannot be read.") from error
    entries = []
    for info in archive.infolist():
        name = _safe_name(_name(info))
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise UnsafeArchive("The archive has an entry that is neither a file nor a folder.")
        bounds.add(info.file_size, info.compress_size)
        if name and not info.is_dir():
            entries.append(ArchiveEntry(name, info.file_size, lambda info=info: archive.open(info)))  # type: ignore[misc]
    return entries


@contextmanager
def _unpacked(entry: ArchiveEntry) -> Iterator[IO[bytes]]:
    with TemporaryFile() as file:
        try:
            with entry.open() as source:
                while piece := source.read(_PIECE):
                    file.write(piece)
        except _DAMAGED as error:
            raise UnreadableArchive("An archive in the archive cannot be read.") from error
        file.seek(0)
        yield file


def _name(info: zipfile.ZipInfo) -> str:
    """The name of a zip entry. Many programs write UTF-8 without the flag for it, and Python then reads CP437."""
    if info.flag_bits & _UTF_8_NAME:
        return info.filename
    try:
        return info.filename.encode("cp437").decode()
    except UnicodeError:
        return info.filename


def _readable(name: str) -> str:
    """The name of a tar entry, in which Python represents invalid UTF-8 by surrogates."""
    return name.encode(errors="surrogateescape").decode(errors="replace")


def _safe_name(name: str) -> str:
    """The name with ``/`` between folders, in NFC. Raises :class:`UnsafeArchive` if it leads out of the archive."""
    normal = unicodedata.normalize("NFC", name.replace("\\", "/"))
    parts = PurePosixPath(normal).parts
    if normal.startswith("/") or ".." in parts or "\0" in normal or _DRIVE.match(normal):
        raise UnsafeArchive("The archive has an entry whose name points outside the archive.")
    return "/".join(parts)


def _sorted(entries: list[ArchiveEntry]) -> list[ArchiveEntry]:
    """Sort by name. Entries with the same name as an earlier one get a unique number."""
    taken = {entry.name for entry in entries}
    counts: dict[str, int] = {}
    found = []
    for entry in entries:
        name = entry.name
        count = counts[name] = counts.get(name, 0) + 1
        if count > 1:
            while (numbered := _numbered(name, count)) in taken:
                count += 1
            counts[name] = count
            taken.add(numbered)
            name = numbered
        found.append(ArchiveEntry(name, entry.size, entry.open))
    return sorted(found, key=lambda entry: entry.name)


def _numbered(name: str, number: int) -> str:
    path = PurePosixPath(name)
    return str(path.with_name(f"{path.stem} ({number}){path.suffix}"))
