"""A pytest plugin that tests each mutant in a fork of its own.

To start Python, pytest and Django takes ten times as long as the tests of one mutant. So one pytest imports everything,
and a fork changes the functions of the mutated module in memory.
"""

import gc
import json
import os
import sys
from collections.abc import Iterator
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType

import pytest

JOBS = "MUTANTS_JOBS"
"""The variable that names a file: objects with ``module``, ``source`` and ``tests``, to which ``code`` is added."""


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    listed = Path(os.environ[JOBS])
    jobs = json.loads(listed.read_text())
    for job in jobs:
        sys.stdout.flush()
        child = os.fork()
        if not child:
            change_functions(Path(job["module"]).resolve(), job["source"])
            tests = set(job["tests"])
            session.items = [item for item in session.items if item.nodeid.partition("[")[0] in tests]
            return None  # the child goes on as pytest does, to its own end
        _, status = os.waitpid(child, 0)
        job["code"] = os.waitstatus_to_exitcode(status)
        listed.write_text(json.dumps(jobs))
    return True


def change_functions(path: Path, source: str) -> None:
    """Give each living function of this module its code in this source."""
    codes = {(code.co_qualname, code.co_firstlineno): code for code in functions_in(compile(source, path, "exec"))}
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename == str(path):
            key = one.__code__.co_qualname, one.__code__.co_firstlineno
            one.__code__ = codes.get(key, one.__code__)


def functions_in(code: CodeType) -> Iterator[CodeType]:
    """Those of the module and of its classes; what is within them is a part of their code."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & CO_OPTIMIZED:
                yield constant
            else:  # a class
                yield from functions_in(constant)
