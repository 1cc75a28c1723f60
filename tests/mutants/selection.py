"""Which tests run a line: no other can notice a change of it, and a mutant's tests take seconds instead of minutes."""

import ast
from pathlib import Path

from coverage import CoverageData


class Runs:
    """What a run of pytest with ``--cov-context=test`` has recorded."""

    def __init__(self, recorded: Path) -> None:
        self._data = CoverageData(str(recorded))
        self._data.read()

    def of(self, module: Path, line: int) -> list[str]:
        """The tests that run the statement of this line; if it runs at import, those that run any of the module."""
        by_line = self._data.contexts_by_lineno(str(module.resolve()))
        first, last = statement_around(module.read_text(encoding="utf-8"), line)
        contexts = {context for number in range(first, last + 1) for context in by_line.get(number, ())}
        if contexts <= {""}:
            contexts = {context for contexts in by_line.values() for context in contexts}
        return list(dict.fromkeys(_function(context) for context in sorted(contexts) if context))


def statement_around(source: str, line: int) -> tuple[int, int]:
    """First and last line of the innermost statement; of one with a body, those before the body."""
    innermost = (1, 1)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.stmt | ast.ExceptHandler):
            body = getattr(node, "body", None)
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
            if first <= line <= max(first, last) and first >= innermost[0]:
                innermost = first, max(first, last)
    return innermost


def is_in_function(source: str, line: int) -> bool:
    """Whether the line is of a function's body, and not of what a module does at its import."""
    return any(
        node.body[0].lineno <= line <= (node.end_lineno or 0)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    )


def is_in_annotation(source: str, line: int, column: int) -> bool:
    """Whether this is of a type's annotation: what is changed there no test notices, or else every import fails."""
    annotations = (
        annotation
        for node in ast.walk(ast.parse(source))
        for annotation in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if isinstance(annotation, ast.expr)
    )
    return any(
        (one.lineno, one.col_offset) <= (line, column) < (one.end_lineno or 0, one.end_col_offset or 0)
        for one in annotations
    )


def _function(context: str) -> str:
    """``tests/test_a.py::test_b[c]|run`` without the case and the phase."""
    return context.rpartition("|")[0].partition("[")[0]
