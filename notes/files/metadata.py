"""Copies images without metadata: location, camera, names, texts and previews are left out.

Only the container format is parsed; the pixels are copied unchanged. Data after the end of an image is left out: some
cameras put a second image there, with its own metadata. Each function writes the copy, keeps an orientation other than
1, and returns the number of frames. It raises ``Malformed``.
"""

import re
import struct
from collections.abc import Callable
from mmap import mmap
from typing import IO
from zlib import crc32

from PIL import Image

_ORIENTATION = 0x0112

# A marker in the pixels of a JPEG. 0xFF is also followed by a stuffed zero, a restart or a fill byte, which are not.
_MARKER = re.compile(rb"\xff+([\x01-\xcf\xd8-\xfe])")
_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_KEPT_SEGMENTS = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
"""Application segments that define colours, and the first bytes of each."""
_COMMENT = 0xFE

_PNG_CHUNKS = {
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"cHRM", b"gAMA", b"iCCP", b"sBIT", b"sRGB", b"cICP", b"bKGD", b"hIST",
    b"pHYs", b"sPLT", b"acTL", b"fcTL", b"fdAT",
}  # fmt: skip
_WEBP_CHUNKS = {b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ICCP"}
_WEBP_PIXELS = {b"VP8 ", b"VP8L", b"ALPH"}
_WEBP_HEAD, _WEBP_FRAME_HEAD = 10, 16
"""The length in bytes of VP8X, and of a frame's header before its chunks."""
_HAS_EXIF, _HAS_XMP = 0x08, 0x04
_GIF_EXTENSIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
"""Extensions with the number of repetitions of an animation."""


class Malformed(Exception):
    """The file does not have the format that its first bytes name."""


def _exif(orientation: int) -> bytes:
    """EXIF data with only the orientation, including its ``Exif`` header."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return exif.tobytes()


def _unpack(layout: str, data: mmap, at: int) -> int:
    try:
        (value,) = struct.unpack_from(layout, data, at)
    except struct.error as error:
        raise Malformed from error
    return value


def copy_jpeg(data: mmap, target: IO[bytes], orientation: int) -> int:
    target.write(b"\xff\xd8")
    at, is_marked = 2, orientation == 1
    while True:
        found = _MARKER.match(data, at)
        if found is None:
            raise Malformed
        marker, at = found[1][0], found.end()
        if marker == _END:
            target.write(b"\xff\xd9")
            return 1
        if marker == 0x01 or marker == _START:
            raise Malformed
        end = at + _unpack(">H", data, at)
        if end < at + 2 or end > len(data):
            raise Malformed
        if not is_marked and marker != 0xE0:  # JFIF must come first
            exif = _exif(orientation)
            target.write(b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif)
            is_marked = True
        if _is_kept(marker, data[at + 2 : at + 16]):
            target.write(b"\xff" + bytes([marker]) + data[at:end])
        at = end
        if marker == _SCAN:
            # Some cameras write no end marker, and viewers accept their files.
            following = _MARKER.search(data, at)
            stop = len(data) if following is None else following.start()
            target.write(data[at:stop])
            if following is None:
                target.write(b"\xff\xd9")
                return 1
            at = stop


def _is_kept(marker: int, start: bytes) -> bool:
    if marker in _KEPT_SEGMENTS:
        return start.startswith(_KEPT_SEGMENTS[marker])
    return marker != _COMMENT and not 0xE0 <= marker <= 0xEF


def copy_png(data: mmap, target: IO[bytes], orientation: int) -> int:
    target.write(data[:8])
    at, frames = 8, 0
    while True:
        size = _unpack(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + size
        if end > len(data):
            raise Malformed
        if kind in _PNG_CHUNKS:
            target.write(data[at:end])
        if kind == b"IHDR" and orientation != 1:
            exif = _exif(orientation).removeprefix(b"Exif\0\0")
            target.write(struct.pack(">I", len(exif)) + b"eXIf" + exif + struct.pack(">I", crc32(b"eXIf" + exif)))
        frames += kind == b"fcTL"
        if kind == b"IEND":
            return max(1, frames)
        at = end


def copy_webp(data: mmap, target: IO[bytes], orientation: int) -> int:
    end = 8 + _unpack("<I", data, 4)
    if end > len(data):
        raise Malformed
    exif = b"" if orientation == 1 else _exif(orientation).removeprefix(b"Exif\0\0")
    target.write(data[:12])
    at, frames = 12, 0
    while at + 8 <= end:
        kind, size = data[at : at + 4], _unpack("<I", data, at + 4)
        following = at + 8 + size + size % 2
        if following > end + 1:
            raise Malformed
        if kind == b"VP8X":
            if size < _WEBP_HEAD:
                raise Malformed
            flags = data[at + 8] & ~(_HAS_EXIF | _HAS_XMP) | (_HAS_EXIF if exif else 0)
            target.write(data[at : at + 8] + bytes([flags]) + data[at + 9 : following])
        elif kind == b"ANMF":
            pixels = _pixels_of_frame(data, at + 8, at + 8 + size)
            target.write(kind + struct.pack("<I", len(pixels)) + pixels)
            frames += 1
        elif kind in _WEBP_CHUNKS:
            target.write(data[at:following])
        at = following
    if exif:
        target.write(b"EXIF" + struct.pack("<I", len(exif)) + exif + b"\0" * (len(exif) % 2))
    size = target.tell() - 8
    target.seek(4)
    target.write(struct.pack("<I", size))
    target.seek(0, 2)
    return max(1, frames)


def _pixels_of_frame(data: mmap, at: int, end: int) -> bytes:
    """A frame with only its chunks of pixels; other chunks may contain any data."""
    kept = [data[at : at + _WEBP_FRAME_HEAD]]
    at += _WEBP_FRAME_HEAD
    while at + 8 <= end:
        size = _unpack("<I", data, at + 4)
        following = at + 8 + size + size % 2
        if following > end + 1:
            raise Malformed
        if data[at : at + 4] in _WEBP_PIXELS:
            kept.append(data[at:following])
        at = following
    return b"".join(kept)


def copy_gif(data: mmap, target: IO[bytes], orientation: int) -> int:
    """Copy a GIF. ``orientation`` is ignored, as the format has none."""
    at, frames = 13 + _colours(_unpack("B", data, 10)), 0
    target.write(data[:at])
    while True:
        match data[at : at + 1]:
            case b";":
                target.write(b";")
                return max(1, frames)
            case b",":
                head = 10 + _colours(_unpack("B", data, at + 9)) + 1
                end = _end_of_blocks(data, at + head)
                target.write(data[at:end])
                frames += 1
            case b"!":
                end = _end_of_blocks(data, at + 2)
                label = _unpack("B", data, at + 1)
                if label == 0xF9 or (label == 0xFF and data[at + 3 : at + 14] in _GIF_EXTENSIONS):
                    target.write(data[at:end])
            case _:
                raise Malformed
        at = end


def _colours(flags: int) -> int:
    """The length in bytes of a colour table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _end_of_blocks(data: mmap, at: int) -> int:
    try:
        while size := data[at]:
            at += size + 1
    except IndexError as error:
        raise Malformed from error
    return at + 1


COPIERS: dict[str, Callable[[mmap, IO[bytes], int], int]] = {
    "JPEG": copy_jpeg,
    "PNG": copy_png,
    "WEBP": copy_webp,
    "GIF": copy_gif,
}
