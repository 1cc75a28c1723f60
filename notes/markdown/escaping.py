"""Escapes titles and addresses for one line of Markdown, and reverses that exactly.

Characters that Markdown would read as markup get a backslash. Invisible characters, and those that would end the line,
become numeric character references. Both are standard Markdown, so any program shows the original text.
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
"""Code points that a text cannot contain."""


def escape_title(text: str) -> str:
    """Escape a text as the inline content of one line."""
    return _references(_MARKUP.sub(r"\\\g<0>", text))


def escape_address(url: str) -> str:
    """Escape a URL as a link's destination."""
    if _PLAIN_ADDRESS.fullmatch(url):
        return url
    return f"<{_references(_MARKUP_IN_ADDRESS.sub(_backslash, url))}>"


def unescape(text: str) -> str:
    """Reverse the functions above."""
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
    """Whether the character at this index is invisible, or would be lost at this position."""
    character = text[index]
    if " " < character <= "~":
        return False
    before, after = text[index - 1 : index], text[index + 1 : index + 2]
    if character == " ":
        return not before or not after or before == " "
    if character in _JOINERS:  # needed in emoji and in words of many scripts
        return not (before > "~" and after > "~")
    return character != "\u3000" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
