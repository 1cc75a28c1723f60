"""Runs our own scripts on users' files, each in a separate process with few rights.

The process has an empty environment, its own working folder, and limits on memory and time. It reads its input from
standard input and writes its result to standard output.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

_START = """\
import resource, runpy, sys
memory, seconds, script = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
sys.argv = [script]
runpy.run_path(script, run_name="__main__")
"""


class ProcessFailed(ValueError):
    """The process used up its time or memory, or could not work on its input."""


def run_bounded(
    script: Path,
    data: bytes,
    *,
    seconds: int = 30,
    memory: int = 512 * 1024 * 1024,
    prepare: Callable[[Path], object] | None = None,
) -> bytes:
    """Run a Python script on the data and return its output. Raises :class:`ProcessFailed`.

    ``prepare`` may put files into the script's folder, which is empty otherwise; it must limit their size.
    """
    with TemporaryDirectory(prefix="bounded-") as folder:
        if prepare is not None:
            prepare(Path(folder))
        command = [sys.executable, "-I", "-c", _START, str(memory), str(seconds), str(script)]
        try:
            done = subprocess.run(
                command, input=data, capture_output=True, timeout=seconds, cwd=folder, env={}, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ProcessFailed(f"It took longer than {seconds} seconds.") from error
    if done.returncode != 0:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise ProcessFailed(f"It ended with status {done.returncode}: {last[:300]}")
    return done.stdout
