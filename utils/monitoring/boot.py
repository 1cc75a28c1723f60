"""The metrics directory that the processes of one kind share, made before they start. Imports no Django.

prometheus-client keeps each process's metrics in files of this directory, so any process can report those of all. A
directory belongs to one boot: a server makes it before it starts its processes, which inherit its name in the
environment. A single process makes its own.
"""

import atexit
import os
import re
import shutil
import tempfile
from pathlib import Path

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""prometheus-client reads this variable when it is imported."""

_NAME = re.compile(r"([0-9]+)-.+")


def prepare_metrics() -> None:
    """Make this boot's directory, and remove those of boots that have ended."""
    parent = Path(tempfile.gettempdir(), f"noteassist-metrics-{os.getuid()}")
    parent.mkdir(mode=0o700, exist_ok=True)
    if parent.stat().st_uid != os.getuid():
        raise PermissionError(f"{parent} belongs to another user.")
    for old in parent.iterdir():
        found = _NAME.fullmatch(old.name)
        if found and (int(found[1]) == os.getpid() or not is_alive(int(found[1]))):  # our own id: from an earlier boot
            shutil.rmtree(old, ignore_errors=True)  # another process may be removing it, too
    directory = tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=parent)
    os.environ[DIRECTORY_VARIABLE] = directory
    atexit.register(_remove, directory, os.getpid())


def _remove(directory: str, owner: int) -> None:
    if os.getpid() == owner:  # not in a forked child
        shutil.rmtree(directory, ignore_errors=True)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def are_metrics_wanted() -> bool:
    return bool(os.environ.get("METRICS_PORT", "").strip() or os.environ.get("METRICS_TOKEN", "").strip())
