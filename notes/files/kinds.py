"""Kinds of files, detected from their content: names and declared types are not trusted."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from tempfile import TemporaryFile
from typing import IO

from PIL import Image, UnidentifiedImageError

from notes.files.metadata import COPIERS, Malformed
from notes.models import Attachment
from utils.http.errors import ApplicationError

PIXELS_MAX = 64_000_000
"""The maximum in one image; a client that shows it needs four bytes for each."""
ALL_PIXELS_MAX = 1_000_000_000
"""The maximum in all frames of an animation together."""
_COPY_BYTES = 64 * 1024
_HEAD_BYTES = 30
_ORIENTATION = 0x0112

FileKind = Attachment.ContentType
_FORMATS = {FileKind.PNG: "PNG", FileKind.JPEG: "JPEG", FileKind.GIF: "GIF", FileKind.WEBP: "WEBP"}
"""Pillow's names of the kinds."""


class UnsupportedFile(ApplicationError):
    code = "unsupported_file"
    status_code = 415
    detail = "Only PNG, JPEG, GIF, WebP and PDF files are accepted."


class UnreadableFile(ApplicationError):
    code = "unreadable_file"
    detail = "This file is damaged."


class ImageTooLarge(ApplicationError):
    code = "image_too_large"
    detail = f"This image has too many pixels: at most {PIXELS_MAX // 1_000_000} million are allowed."


def kind_of(head: bytes) -> FileKind:
    """The kind of a file, by its first bytes. Raises :class:`UnsupportedFile`."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return FileKind.PNG
    if head.startswith(b"\xff\xd8\xff"):
        return FileKind.JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return FileKind.GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return FileKind.WEBP
    if head.startswith(b"%PDF-"):
        return FileKind.PDF
    raise UnsupportedFile


@contextmanager
def cleaned(source: IO[bytes]) -> Iterator[tuple[FileKind, IO[bytes]]]:
    """The kind of a file, and a copy of it on the disk, in which images have no metadata.

    Pixels are not decoded, so the quality is unchanged, and memory and time are small. The colour profile and the
    orientation are kept. A PDF is copied unchanged. Raises :class:`UnsupportedFile`, :class:`UnreadableFile` and
    :class:`ImageTooLarge`.
    """
    source.seek(0)
    kind = kind_of(source.read(_HEAD_BYTES))
    with TemporaryFile() as target:
        if kind in _FORMATS:
            orientation, pixels = _read_header(source, _FORMATS[kind])
            with mmap(source.fileno(), 0, access=ACCESS_READ) as data:
                try:
                    frames = COPIERS[_FORMATS[kind]](data, target, orientation)
                except Malformed as error:
                    raise UnreadableFile from error
            if frames * pixels > ALL_PIXELS_MAX:
                raise ImageTooLarge
        else:
            source.seek(0)
            while part := source.read(_COPY_BYTES):
                target.write(part)
        target.flush()
        yield kind, target


def _read_header(source: IO[bytes], image_format: str) -> tuple[int, int]:
    """The orientation of an image, 1 by default, and its number of pixels. Reads only the header."""
    source.seek(0)
    if image_format == "WEBP":  # Pillow's decoder allocates memory for all pixels on open
        _check_pixels(*_size_of_webp(source.read(_HEAD_BYTES)))
    try:
        with Image.open(source, formats=[image_format]) as image:
            size, raw = image.size, image.info.get("exif", b"")
            _check_pixels(*size)
            exif = Image.Exif()
            exif.load(raw)
            orientation = exif.get(_ORIENTATION, 1)
    except Image.DecompressionBombError as error:
        raise ImageTooLarge from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, struct.error) as error:
        raise UnreadableFile from error
    return orientation if orientation in range(2, 9) else 1, size[0] * size[1]


def _check_pixels(width: int, height: int) -> None:
    if width * height > PIXELS_MAX:
        raise ImageTooLarge


def _size_of_webp(head: bytes) -> tuple[int, int]:
    """See https://developers.google.com/speed/webp/docs/riff_container."""
    if len(head) < _HEAD_BYTES:
        raise UnreadableFile
    match head[12:16]:
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
        case b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    raise UnreadableFile
