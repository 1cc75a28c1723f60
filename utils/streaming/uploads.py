"""Receiving files: a form is streamed to the disk after its view has checked the request. Few run at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Protocol

from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import UnreadablePostError
from django.http.multipartparser import MultiPartParser, MultiPartParserError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from utils.http.errors import ApplicationError, Unavailable
from utils.http.json import BodyTooLarge
from utils.http.uploads import FORM_BYTES, max_upload_bytes
from utils.streaming.slots import ConcurrencyLimiter

UPLOADS_OF_A_USER = 2
RETRY_AFTER_SECONDS = 5
_CHUNK_BYTES = 64 * 1024
_END_BYTES = 100


class UploadTooSlow(ApplicationError):
    code = "upload_too_slow"
    status_code = 408
    detail = "The upload was too slow."


class TooManyUploads(Unavailable):
    """This process, or this user in it, already receives the maximum number of files."""

    code = "too_many_uploads"
    detail = "Too many uploads are running. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER_SECONDS)


limiter = ConcurrencyLimiter(TooManyUploads, per_user=UPLOADS_OF_A_USER)


@contextmanager
def upload_slot(user_id: int) -> Iterator[None]:
    """Hold one of the few threads that receive files. Raises :class:`TooManyUploads`."""
    limiter.acquire(user_id, at_most=settings.UPLOADS_AT_ONCE)
    try:
        yield
    finally:
        limiter.release(user_id)


class ReceivedFile(TemporaryUploadedFile):
    """A file on the disk, deleted when it is closed. ``digest`` is the SHA-256 of its bytes, in hex."""

    digest = ""


class _Stream(Protocol):
    def read(self, size: int) -> bytes: ...


class _BoundedStream:
    """The request's body up to a limit. Raises :class:`BodyTooLarge`, :class:`UploadTooSlow` and ``ParseError``."""

    def __init__(self, stream: _Stream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._received = 0
        self.end = b""
        """The last bytes read so far."""

    def read(self, size: int) -> bytes:
        try:
            data = self._stream.read(size)
        except (UnreadablePostError, OSError) as error:
            if isinstance(error, TimeoutError) or isinstance(error.__cause__, TimeoutError):
                raise UploadTooSlow from error
            raise ParseError("The request body ended too early.") from error
        self._received += len(data)
        self.end = (self.end + data)[-_END_BYTES:]
        if self._received > self._limit:
            raise BodyTooLarge(f"The request body is larger than {self._limit} bytes.")
        return data


class _OneFile(FileUploadHandler):
    """Writes the form's one file to the disk."""

    chunk_size = _CHUNK_BYTES

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self.received: ReceivedFile | None = None

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self.received is not None:
            raise ParseError("Send one file.")
        self.received = ReceivedFile(self.file_name or "", self.content_type, 0, self.charset, self.content_type_extra)
        self._hash = sha256()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > self._limit:
            raise BodyTooLarge(f"The file is larger than {self._limit} bytes.")
        assert self.received is not None
        self._hash.update(raw_data)
        self.received.write(raw_data)

    def file_complete(self, file_size: int) -> ReceivedFile:
        assert self.received is not None
        self.received.seek(0)
        self.received.size = file_size
        self.received.digest = self._hash.hexdigest()
        return self.received


class UploadParser(BaseParser):
    """Reads a form with one file. Its view holds an ``upload_slot`` when it asks for ``request.data``."""

    media_type = "multipart/form-data"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> dict[str, Any]:
        request: Request = parser_context["request"]
        limit = max_upload_bytes(request.method or "", request.path_info)
        assert limit is not None, "Name this path in utils.http.uploads."
        handler = _OneFile(limit - FORM_BYTES)
        meta = {**request.META, "CONTENT_TYPE": media_type}
        bounded = _BoundedStream(stream, limit)
        try:
            fields, files = MultiPartParser(meta, bounded, [handler]).parse()  # type: ignore[arg-type]
            if files and not bounded.end.rstrip().endswith(b"--"):
                raise ParseError("The form is incomplete.")  # Django takes what there is of it for the file
        except MultiPartParserError as error:
            _close(handler)
            raise ParseError("The form is malformed.") from error
        except BaseException:
            _close(handler)
            raise
        return _once({**dict(fields.lists()), **dict(files.lists())}, handler)


def _once(parts: Mapping[str, list[Any]], handler: _OneFile) -> dict[str, Any]:
    """Each part of the form by its name. Raises if a name is repeated."""
    if any(len(values) > 1 for values in parts.values()):
        _close(handler)
        raise ParseError("A field was sent twice.")
    return {name: values[0] for name, values in parts.items()}


def _close(handler: _OneFile) -> None:
    if handler.received is not None:
        handler.received.close()


def comparable(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a form, each file as its name and digest; equal forms have equal results."""
    return {
        name: {"name": value.name, "sha256": value.digest} if isinstance(value, ReceivedFile) else value
        for name, value in body.items()
    }
