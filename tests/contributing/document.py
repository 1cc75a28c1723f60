"""The worked examples of CONTRIBUTING.md as steps: files to write, changes to make, commands to run."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

EXAMPLE = re.compile(r"^## Worked example\b")
COMMIT = re.compile(r"^### (?:\d+\. )?(.+)$")
FILE = re.compile(r"^`([^`]+)`, (new|at its end):$")


class Outdated(Exception):
    """CONTRIBUTING.md no longer fits the code; the text says where and what to do."""


@dataclass(frozen=True)
class Step:
    line: int
    """Where its block begins in CONTRIBUTING.md."""

    def outdated(self, why: str) -> Outdated:
        return Outdated(f"CONTRIBUTING.md, line {self.line}: {why}")


@dataclass(frozen=True)
class Commit(Step):
    """What was done since the one before is one commit."""

    subject: str


@dataclass(frozen=True)
class Write(Step):
    path: str
    text: str
    is_new: bool

    def apply(self, root: Path) -> None:
        file = root / self.path
        if self.is_new:
            if file.exists():
                raise self.outdated(f"{self.path} already exists. Choose another name in the example.")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(self.text)
        elif not file.exists():
            raise self.outdated(f"{self.path} no longer exists. Say where this code goes now.")
        else:
            file.write_text(file.read_text().rstrip("\n") + "\n\n\n" + self.text)


@dataclass(frozen=True)
class Change(Step):
    """A diff without line numbers: the old text of each part must be in the file exactly once."""

    path: str
    parts: tuple[tuple[str, str], ...]

    def apply(self, root: Path) -> None:
        file = root / self.path
        if not file.exists():
            raise self.outdated(f"{self.path} no longer exists. Say where this change goes now.")
        text = file.read_text()
        for old, new in self.parts:
            text, found = re.subn(f"(?m)^{re.escape(old)}", lambda _, new=new: new, text)
            if found != 1:
                raise self.outdated(
                    f"{self.path} contains the old lines of this diff {found} times, not once. Correct the diff:\n{old}"
                )
        file.write_text(text)


@dataclass(frozen=True)
class Run(Step):
    command: str


def read_steps(text: str) -> list[Step]:
    """The steps of all worked examples in their order. Raises ``Outdated`` for a block without an instruction."""
    steps: list[Step] = []
    lines = text.splitlines()
    is_example = False
    heading = FILE.match("")
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if line.startswith("## "):
            is_example = EXAMPLE.match(line) is not None
        elif is_example and (commit := COMMIT.match(line)):
            steps.append(Commit(number, commit[1]))
        elif line.startswith("```"):
            end = lines.index(line[: len(line) - len(line.lstrip("`"))], number)
            if is_example:
                steps += _block(number, line.lstrip("`"), lines[number:end], heading)
            number = end + 1
            heading = None
        elif line:
            heading = FILE.match(line)
    return steps


def _block(line: int, language: str, body: list[str], heading: re.Match[str] | None) -> Iterator[Step]:
    if language == "sh":
        yield from (Run(line + offset, command) for offset, command in enumerate(body, 1))
    elif language == "diff":
        path = body[0].removeprefix("+++ ")
        parts: list[tuple[list[str], list[str]]] = []
        for each in body[1:]:
            if each.startswith("@@"):
                parts.append(([], []))
            elif not parts or each[:1] not in (" ", "+", "-", ""):
                raise Outdated(f"CONTRIBUTING.md, line {line}: a diff is '+++ path', '@@', and lines with a mark each.")
            else:
                old, new = parts[-1]
                if not each.startswith("+"):
                    old.append(each[1:])
                if not each.startswith("-"):
                    new.append(each[1:])
        yield Change(line, path, tuple(("\n".join(old) + "\n", "\n".join(new) + "\n") for old, new in parts))
    elif heading is None:
        raise Outdated(
            f"CONTRIBUTING.md, line {line}: say what to do with this block. The line before it is "
            "'`path/to/file.py`, new:' or '`path/to/file.py`, at its end:'; a change is a diff, a command is sh."
        )
    else:
        yield Write(line, heading[1], "\n".join(body) + "\n", is_new=heading[2] == "new")
