"""Responses with a stored file: whole or in part, revalidated by ETag, in a browser sandbox."""

import re
import time
from collections.abc import Iterator
from typing import IO, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import content_disposition_header

from utils import storage
from utils.http.errors import ApplicationError, Unavailable
from utils.page_cache.fast_reads import opaque_etags
from utils.streaming.slots import ConcurrencyLimiter, Download

CONTENT_SECURITY_POLICY = "sandbox; default-src 'none'"
FILES_OF_A_READER = 6
"""The number of files that a browser requests at a time."""
WAIT_SECONDS = 0.5
_CHUNK_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")


class TooManyDownloads(Unavailable):
    """This process, or this reader, already has the maximum number of downloads."""

    code = "too_many_downloads"
    detail = "Too many downloads are running. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class RangeNotSatisfiable(ApplicationError):
    code = "range_not_satisfiable"
    status_code = 416
    detail = "The requested range is outside the file."


limiter = ConcurrencyLimiter(TooManyDownloads, per_user=FILES_OF_A_READER)


class ServedFile(NamedTuple):
    """A file to send, before it is opened. ``etag`` identifies its content, which never changes."""

    file: str
    name: str
    content_type: str
    size: int
    etag: str
    is_inline: bool
    """Whether a browser shows the file; if not, it saves it."""


def file_response(request: HttpRequest, stored: ServedFile, *, reader: int, cache_control: str) -> HttpResponseBase:
    """Send a file, or the part that ``Range`` names. ``reader`` is a number that identifies the reader.

    Raises :class:`RangeNotSatisfiable`, :class:`TooManyDownloads`, and what ``storage.read`` raises.
    """
    headers = {
        "ETag": f'"{stored.etag}"',
        "Cache-Control": cache_control,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": CONTENT_SECURITY_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cross-Origin-Resource-Policy": "cross-origin",  # other sites may show images by a signed link
        "Content-Disposition": content_disposition_header(not stored.is_inline, stored.name) or "",
    }
    known = opaque_etags(request.headers.get("If-None-Match", ""))
    if stored.etag in known or "*" in known:
        return HttpResponseNotModified(headers=headers)
    start, stop = _part(request, stored)
    headers["Content-Length"] = str(stop - start)
    status = 200
    if (start, stop) != (0, stored.size):
        status = 206
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    if request.method == "HEAD":
        return HttpResponse(status=status, content_type=stored.content_type, headers=headers)
    body = _FileDownload(request, stored, start, stop, reader)
    return StreamingHttpResponse(body, status=status, content_type=stored.content_type, headers=headers)


class _FileDownload(Download):
    """A part of a file. Waits briefly for its slot, as an HTML page requests all its images at once."""

    def __init__(self, request: HttpRequest, stored: ServedFile, start: int, stop: int, reader: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                super().__init__(request, (), user_id=reader, limiter=limiter, at_most=settings.FILES_AT_ONCE)
                break
            except TooManyDownloads:
                if time.monotonic() > deadline:
                    raise
                time.sleep(WAIT_SECONDS / 10)
        try:
            self._file = storage.read(stored.file)
        except BaseException:
            super().close()
            raise
        self._chunks = _parts(self._file, start, stop)

    def close(self) -> None:
        self._file.close()
        super().close()


def _part(request: HttpRequest, stored: ServedFile) -> tuple[int, int]:
    """The start and end of the requested part. For several parts, the whole file, as HTTP allows."""
    whole = 0, stored.size
    asked = _RANGE.fullmatch(request.headers.get("Range", "").strip())
    condition = request.headers.get("If-Range")
    if asked is None or (condition is not None and condition.strip() != f'"{stored.etag}"'):
        return whole
    first, last = asked[1], asked[2]
    if not first and not last:
        return whole
    if first and last and int(last) < int(first):
        return whole
    start = int(first) if first else max(0, stored.size - int(last))
    stop = min(stored.size, int(last) + 1) if first and last else stored.size
    if start >= stop:
        raise RangeNotSatisfiable(headers={"Content-Range": f"bytes */{stored.size}"})
    return start, stop


def _parts(file: IO[bytes], start: int, stop: int) -> Iterator[bytes]:
    file.seek(start)
    while start < stop and (part := file.read(min(_CHUNK_BYTES, stop - start))):
        start += len(part)
        yield part
