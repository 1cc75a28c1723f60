"""Front matter: YAML between two lines of ``---`` at the beginning of a Markdown file."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

import yaml
from django.utils.dateparse import parse_date, parse_datetime

FRONT_MATTER_MAX = 64 * 1024
"""The maximum length in characters; longer front matter is treated as text."""
_DEPTH_MAX = 20
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LINE = re.compile(r"---[ \t]*\r?\n")
_END = re.compile(r"^(?:---|\.\.\.)[ \t]*\r?(?:\n|\Z)", re.MULTILINE)
_NO_CHARACTER = re.compile(r"[\0\ud800-\udfff]")
_UNSAFE_ON_A_LINE = re.compile(r"[^\x20-\x7e\xa1-\xac\xae-\u200a\u2010-\u2027\u2030-\u205f\u2070-\ud7ff\ue000-\ufefe]")


class _Dumper(yaml.SafeDumper):
    """Writes each value on one line, without escaping characters of other scripts."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: _Dumper, text: str) -> yaml.Node:
    style = '"' if _UNSAFE_ON_A_LINE.search(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _list(dumper: _Dumper, values: list[Any]) -> yaml.Node:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", values, flow_style=True)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(list, _list)


@dataclass(frozen=True, slots=True)
class FrontMatter:
    """Parsed front matter. All values are texts, as YAML's types would read ``no`` as false and ``1_0`` as ten."""

    values: Mapping[str, Any]
    source: str
    """The YAML itself."""


def timestamp_of(value: Any) -> datetime | None:
    """Parse a timestamp, UTC unless it names another zone; None if the value is invalid."""
    if not isinstance(value, str):
        return None
    try:
        found = parse_datetime(value.strip())
        if found is None and (day := parse_date(value.strip())):
            found = datetime.combine(day, time())
    except ValueError:
        return None
    if found is None:
        return None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    try:
        found = found.astimezone(UTC)
    except OverflowError:
        return None
    return found if _EARLIEST <= found <= datetime.now(UTC) else None


def dump(values: Mapping[str, Any]) -> str:
    """Front matter with these values, its two lines included."""
    body = yaml.dump(
        dict(values), Dumper=_Dumper, allow_unicode=True, default_flow_style=False, sort_keys=False, width=1_000_000
    )
    return f"---\n{body}---\n"


def split(text: str) -> tuple[FrontMatter | None, str]:
    """Split a file into its front matter and the rest. Front matter must be a YAML mapping; anything else is text."""
    start = _LINE.match(text)
    if not start:
        return None, text
    end = _END.search(text, start.end(), start.end() + FRONT_MATTER_MAX)
    if not end:
        return None, text
    source = text[start.end() : end.start()]
    values = _parse(source)
    if values is None:
        return None, text
    return FrontMatter(values, source), text[end.end() :]


def _parse(source: str) -> dict[str, Any] | None:
    """Parse a YAML mapping; None if it is invalid, uses anchors (which can make a small text huge) or nests deeply.

    Also None if an escape names a code point that a text cannot contain.
    """
    try:
        depth = 0
        for event in yaml.parse(source, Loader=yaml.BaseLoader):
            if isinstance(event, yaml.AliasEvent):
                return None
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH_MAX:
                return None
        values = yaml.load(source, Loader=yaml.BaseLoader)  # texts, lists and mappings only
    except (yaml.YAMLError, ValueError, OverflowError):  # the last two: too large numbers
        return None
    if _NO_CHARACTER.search("".join(_scalars(values))):
        return None
    if values is None or values == "":
        return {}
    return {str(key): value for key, value in values.items()} if isinstance(values, dict) else None


def _scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for pair in value.items():
            for part in pair:
                yield from _scalars(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _scalars(part)
    elif isinstance(value, str):
        yield value
