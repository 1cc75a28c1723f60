"""Titles and addresses on one line of Markdown, and back exactly.

What Markdown would read as markup gets a backslash; what cannot be seen, or would end the line, becomes a numeric
character reference. Both are standard Markdown, so any program shows the text as it was.
"""

import re
import unicodedata

_MARKUP = re.compile(
    r"""[\\`*\[\]<]
    | (?<![^\s\#])\#                # of a heading's beginning or end
    | (?<![^\W_])_ | _(?![^\W_])    # but not inside of words
    | ~(?=~) | (?<=~)~
    | &(?=\#|\w+;)                  # of a character reference
    """,
    re.VERBOSE,
)
_MARKUP_IN_ADDRESS = re.compile(r"[\\<>]|&(?=#|\w+;)")
_PLAIN_ADDRESS = re.compile(r"[^\s()<>\\&\x00-\x1f\x7f]+(?:&(?!#|\w+;)[^\s()<>\\&\x00-\x1f\x7f]*)*")
_ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])|&#[xX]([0-9a-fA-F]{1,6});")
_JOINERS = "\u200c\u200d"
_LAST_CHARACTER = 0x10FFFF
_NO_CHARACTERS = {0, *range(0xD800, 0xE000)}
"""What no text can have."""


def escape_title(text: str) -> str:
    """The text as the inline content of one line."""
    return _references(_MARKUP.sub(r"\\\g<0>", text))


def escape_address(url: str) -> str:
    """The URL as a link's destination."""
    if _PLAIN_ADDRESS.fullmatch(url):
        return url
    return f"<{_references(_MARKUP_IN_ADDRESS.sub(_backslash, url))}>"


def unescape(text: str) -> str:
    """The text that was escaped by one of the functions above."""
    return _ESCAPED.sub(_unescaped, text)


def _backslash(found: re.Match[str]) -> str:
    return "\\" + found[0]


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return found[1]
    number = int(found[2], 16)
    return found[0] if number > _LAST_CHARACTER or number in _NO_CHARACTERS else chr(number)


def _references(text: str) -> str:
    return "".join(
        f"&#x{ord(character):X};" if _is_invisible(text, index) else character for index, character in enumerate(text)
    )


def _is_invisible(text: str, index: int) -> bool:
    """Whether the character at this place cannot be seen, or would not be kept where it stands."""
    character = text[index]
    if " " < character <= "~":
        return False
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if character == " ":
        return not before or not after or before == " "
    if character in _JOINERS:  # parts of emoji and of words in many scripts
        return not (before > "~" and after > "~")
    return character != "\u3000" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
