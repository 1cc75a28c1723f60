"""A request as its bytes come, and whether all of it is there."""

import re
from enum import Enum
from http import HTTPStatus

from NoteAssist_AI.uploads import max_upload_bytes

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 2 * 1024 * 1024
"""As ``settings.MAX_BODY_BYTES``: the application refuses what is longer without reading it."""
MAX_FRAMING_BYTES = 256 * 1024
"""How many bytes a chunked body may have besides its content."""

_REQUEST_LINE = re.compile(rb"([A-Z]{1,10}) ([^ ?]{1,100})(?:\?[^ ]*)? HTTP/1\.[01]\r\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:[^\r\n]*chunked")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*\r\n")
_LONGEST_LENGTH = 18
"""Digits. Python counts in longer ones, too, but not for nothing."""


class Missing(Enum):
    """What a request still lacks."""

    HEAD = "head"
    BODY = "body"


class RequestTooLarge(Exception):
    """What came is more than is looked through for the end of a request."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class ArrivingRequest:
    """The bytes that have come on a connection since its last request.

    Tells only when a thread may begin, so that no thread waits for a slow client. What the bytes mean, gunicorn's
    parser says: it is given what came, and nothing that is misjudged here changes where a request ends.
    """

    def __init__(self, received: bytes = b"") -> None:
        self.received = bytearray(received)
        self.is_cut = False
        """Whether the body is too long for the application, which is not given all of it."""
        self.is_upload = False
        """Whether the body carries files: the application reads it as it comes, and need not wait for it."""
        self._searched = 0
        self._body_at = 0
        self._end: int | None = None
        self._chunk_at: int | None = None
        self._content_bytes = 0

    def missing(self) -> Missing | None:
        """Looks only at what came since it was last asked. Raises ``RequestTooLarge``."""
        if not self._body_at:
            end = self.received.find(b"\r\n\r\n", max(0, self._searched - 3))
            self._searched = len(self.received)
            if max(end, 0) > MAX_HEAD_BYTES or (end < 0 and len(self.received) > MAX_HEAD_BYTES):
                raise RequestTooLarge(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
            if end < 0:
                return Missing.HEAD
            self._body_at = end + 4
            head = bytes(self.received[: self._body_at])
            self.is_upload = _is_upload(head)
            if not self.is_upload:
                self._read_head(head.lower())
        if self._chunk_at is not None:
            return None if self._has_all_chunks(self._chunk_at) else Missing.BODY
        return None if self._end is None or len(self.received) >= self._end else Missing.BODY

    @property
    def awaits_continue(self) -> bool:
        """Whether the client sends its body only after ``100 Continue``."""
        head = bytes(self.received[: self._body_at]).lower()
        return b" http/1.1\r\n" in head and b"\r\nexpect: 100-continue\r\n" in head

    def _read_head(self, head: bytes) -> None:
        """A head that gunicorn refuses, as one with two lengths or another coding, needs no body to be refused."""
        is_coded = b"\r\ntransfer-encoding:" in head
        lengths = head.count(b"\r\ncontent-length:")
        if not lengths and _CHUNKED.search(head):
            self._chunk_at = self._body_at
        elif lengths == 1 and not is_coded and (found := _LENGTH.search(head)):
            length = int(found[1][:_LONGEST_LENGTH])
            self.is_cut = length > MAX_BODY_BYTES
            self._end = None if self.is_cut else self._body_at + length

    def _has_all_chunks(self, at: int) -> bool:
        """Whether the last chunk is there, or more than the application takes, or a chunk that gunicorn refuses."""
        content = 0  # of a chunk that has come in part
        while (line_end := self.received.find(b"\r\n", at)) >= 0:
            try:
                size = int(self.received[at:line_end].partition(b";")[0], 16)
            except ValueError:
                return True
            if size < 0 or (size == 0 and self.received.find(b"\r\n\r\n", line_end) >= 0):
                return True
            data_at = line_end + 2
            if size == 0 or data_at + size + 2 > len(self.received):
                content = min(size, len(self.received) - data_at)
                break
            self._content_bytes += size
            at = self._chunk_at = data_at + size + 2
        content += self._content_bytes
        self.is_cut = content > MAX_BODY_BYTES
        if len(self.received) - self._body_at - content > MAX_FRAMING_BYTES:
            raise RequestTooLarge(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return self.is_cut


def _is_upload(head: bytes) -> bool:
    line = _REQUEST_LINE.match(head)
    return line is not None and max_upload_bytes(line[1].decode(), line[2].decode("latin-1")) is not None
