"""Converts links between files of one import to links between the imported notes.

Only links that Markdown recognizes are changed, so code stays unchanged. The text of a link is kept.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pyromark

from notes.markdown.outline import OPTIONS

_WIKI = OPTIONS | pyromark.Options.ENABLE_WIKILINKS
_CALLOUT = re.compile(rb"^([ \t]*(?:>[ \t]?)+)\[!(\w[\w-]*)\][+-]?[ \t]*([^\r\n]*)", re.MULTILINE)
_SIZE = re.compile(r"\d+(?:x\d+)?")
"""The size of an image in Obsidian, which takes the place of the link's label."""
_PLAIN = re.compile(r"[^\[\]|\n]+")


@dataclass(slots=True)
class Index:
    """The files of one import: titles of notes by path, and the paths of all other files."""

    titles: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    """Paths of files that are not notes, by path and by name, both in lower case."""
    _by_path: dict[str, str] = field(default_factory=dict)
    _by_name: dict[str, str] = field(default_factory=dict)

    def add_note(self, path: str, title: str, *names: str) -> None:
        """Add a note. ``names`` are other names by which links refer to it."""
        self.titles[path] = title
        plain = path.rpartition(".")[0] or path
        for name in (path, plain):
            self._by_path.setdefault(name.lower(), path)
        for name in (PurePosixPath(path).name, PurePosixPath(plain).name, title, *names):
            self._by_name.setdefault(name.lower(), path)

    def add_other(self, path: str) -> None:
        self.others[path.lower()] = path
        self.others.setdefault(PurePosixPath(path).name.lower(), path)

    def title_of(self, target: str, *, near: str = "") -> str | None:
        """The title of the note to which a link in the file ``near`` refers."""
        key = target.lower()
        path = self._by_path.get(_joined(near, target).lower()) or self._by_path.get(key) or self._by_name.get(key)
        return None if path is None else self.titles[path]

    def other(self, target: str, *, near: str = "") -> str | None:
        """The path of the file to which a link in the file ``near`` refers."""
        return self.others.get(_joined(near, target).lower()) or self.others.get(target.lower())


Attach = Callable[[str, str], str | None]
"""Takes a file's path and the link's text; returns the Markdown of its attachment, or None without one."""


def rewrite(text: str, *, path: str, index: Index, attach: Attach) -> tuple[str, list[str]]:
    """The text of the file at ``path`` with its links converted, and a list of links that were left unchanged."""
    content = text.encode()
    changes: list[tuple[int, int, str]] = []
    warnings: list[str] = []
    for tag, target, label, start, end in _links(text, content):
        source = content[start:end].decode()
        new = _changed(tag, target, label, source, path=path, index=index, attach=attach, warnings=warnings)
        if new is not None and (not changes or start >= changes[-1][1]):
            changes.append((start, end, new))
    for start, end, new in reversed(changes):
        content = content[:start] + new.encode() + content[end:]
    return content.decode(), warnings


def simplify_callouts(text: str) -> tuple[str, bool]:
    """Convert callouts of Obsidian and GitHub to quotes with a bold title; also return whether there were any."""
    if "[!" not in text:
        return text, False
    spans = _code_spans(text)
    starts = [start for start, _ in spans]

    def bold(found: re.Match[bytes]) -> bytes:
        before = bisect_right(starts, found.start()) - 1
        if before >= 0 and found.start() < spans[before][1]:
            return found[0]
        title = found[3].strip()
        return found[1] + b"**" + found[2].capitalize() + (b": " + title if title else b"") + b"**"

    simple = _CALLOUT.sub(bold, text.encode()).decode()
    return simple, simple != text


def _changed(
    tag: str, target: str, label: str, source: str, *, path: str, index: Index, attach: Attach, warnings: list[str]
) -> str | None:
    if source.startswith(("[[", "![[")):
        name, _, heading = target.partition("#")
        title = index.title_of(name, near=path) if name else None
        if title is not None:
            inner = title + (f"#{heading}" if heading else "")
            alias = f"|{label}" if label and label != target else ""
            return f"[[{inner}{alias}]]" if _PLAIN.fullmatch(title) else None
    else:
        if not _is_path(target):
            return None
        name = unquote(target.partition("#")[0])
        title = index.title_of(name, near=path) if name and tag == "Link" else None
        if title is not None and _PLAIN.fullmatch(title) and _PLAIN.fullmatch(label):
            return f"[[{title}]]" if label == title else f"[[{title}|{label}]]"
    if title is None and name and (other := index.other(name, near=path)):
        if (attached := attach(other, label)) is not None:
            return attached
        warnings.append(f"{other} was not imported: the link to it stays as it is.")
    return None


def _is_path(target: str) -> bool:
    """Whether a link's target is a path, not a URL."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return False
    return not (parts.scheme or parts.netloc or target.startswith("/"))


def _links(text: str, content: bytes) -> Iterator[tuple[str, str, str, int, int]]:
    """Each link and image: its kind, target, unchanged label, and its start and end in bytes."""
    for event, span in pyromark.events_with_range(text, options=_WIKI):
        match event:
            case {"Start": {"Link": link}}:
                tag = "Link"
            case {"Start": {"Image": link}}:
                tag = "Image"
            case _:
                continue
        start, end = span["start"], span["end"]
        source = content[start:end].decode(errors="replace")
        if source.startswith(("[[", "![[")):
            inner = source[source.index("[[") + 2 : -2]
            target, _, label = (part.strip() for part in inner.partition("|"))
            if tag == "Image" and _SIZE.fullmatch(label):
                label = ""
            yield tag, target, label, start, end
        elif _kind(link) == "Inline":
            label = source[source.index("[") + 1 : source.rindex("](")] if "](" in source else ""
            yield tag, link["dest_url"], label, start, end


def _kind(link: dict[str, Any]) -> str:
    kind = link["link_type"]
    return kind if isinstance(kind, str) else next(iter(kind))


def _code_spans(text: str) -> list[tuple[int, int]]:
    """The starts and ends of code, in bytes, in order."""
    spans = []
    for event, span in pyromark.events_with_range(text, options=OPTIONS):
        match event:
            case {"Code": _} | {"Start": {"CodeBlock": _}}:
                spans.append((span["start"], span["end"]))
    return spans


def _joined(near: str, target: str) -> str:
    """The path to which a relative link in a file refers."""
    parts = list(PurePosixPath(near).parent.parts)
    for part in PurePosixPath(target).parts:
        if part == "..":
            if parts:
                parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
