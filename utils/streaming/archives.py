"""Zip archives that are generated while they are sent.

Files are read in pieces and sent in chunks, so memory does not grow with the archive's size. Only its central
directory grows, by some hundred bytes for each file.
"""

import io
from collections.abc import Iterable, Iterator
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from utils.http.errors import Unavailable
from utils.personal_data import File
from utils.streaming.slots import ConcurrencyLimiter

CHUNK_BYTES = 64 * 1024
RETRY_AFTER_SECONDS = 30


class TooManyExports(Unavailable):
    """The user has an export running in this process, or the process runs its maximum number of exports."""

    code = "too_many_exports"
    detail = "Too many exports are running. Try again later."

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


limiter = ConcurrencyLimiter(TooManyExports, per_user=1)


class _ChunkBuffer(io.RawIOBase):
    """Buffers what the archive has written until it is sent. Not seekable, so ``ZipFile`` writes sequentially."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        self.size += len(data)
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        self.size = 0
        return taken


def zip_chunks(files: Iterable[File]) -> Iterator[bytes]:
    """Yield an archive of these files in chunks of about ``CHUNK_BYTES``."""
    buffer = _ChunkBuffer()
    with ZipFile(buffer, "w", ZIP_DEFLATED) as archive:
        for name, pieces in files:
            with archive.open(name, "w", force_zip64=True) as file:
                for piece in pieces:
                    file.write(piece)
                    if buffer.size >= CHUNK_BYTES:
                        yield buffer.take()
    yield buffer.take()
