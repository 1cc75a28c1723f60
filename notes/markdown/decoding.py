"""Decodes text files of unknown encodings."""

import codecs

from charset_normalizer import from_bytes

_SAMPLE = 64 * 1024
"""The number of bytes from which an encoding is guessed."""
_MARKS = [  # UTF-32 first, as its marks begin with those of UTF-16
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
]
_LEGACY = [  # the most common first
    "cp1252", "cp1250", "cp1251", "shift_jis", "gb18030", "cp949", "big5", "euc_jp", "koi8_r", "cp1253", "cp1254",
    "cp1255", "cp1256", "cp1257",
]  # fmt: skip


class NotText(ValueError):
    """The bytes are not a text in any supported encoding."""


def decode(content: bytes) -> tuple[str, list[str]]:
    """The text, and a warning if its encoding was guessed. Raises :class:`NotText`."""
    text, warnings = _decode(content)
    if "\0" in text:
        raise NotText("This is not a text file.")
    return text, warnings


def _decode(content: bytes) -> tuple[str, list[str]]:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            try:
                return content[len(mark) :].decode(encoding), []
            except UnicodeDecodeError as error:
                raise NotText(f"This file has a byte order mark but is not valid {encoding.upper()}.") from error
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = ""
    if text and "\0" not in text:
        return text, []
    return _guess(content) if content else ("", [])


def _guess(content: bytes) -> tuple[str, list[str]]:
    for encoding in (_utf_16(content), _likely(content), _LEGACY[0]):
        if encoding is None:
            continue
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return text, [f"Its encoding is not stated. It was read as {encoding}: check its letters."]
    raise NotText("The text encoding of this file is not supported.")


def _likely(content: bytes) -> str | None:
    """The encoding in which the text looks most like a language; among equals the most common."""
    matches = from_bytes(content[:_SAMPLE], cp_isolation=_LEGACY)
    best = matches.best()
    if best is None:
        return None
    equal = {
        name
        for match in matches
        if (match.chaos, match.coherence) == (best.chaos, best.coherence)
        for name in match.could_be_from_charset
    }
    return next((name for name in _LEGACY if name in equal), best.encoding)


def _utf_16(content: bytes) -> str | None:
    """Decode UTF-16 without a mark, recognized by the null byte next to each ASCII character."""
    sample = content[:_SAMPLE]
    if len(content) % 2 or b"\0" not in sample:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < len(sample) // 20:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"
