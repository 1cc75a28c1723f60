"""Checks that the ports of ``make run`` are free. It runs before any package is installed, so it needs only Python."""

import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent.parent


def failure(port: int) -> OSError | OverflowError | None:
    """Why nothing can listen on the port; None if it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            return error
    return None


def advice(variable: str, port: int, error: Exception) -> str:
    return f"Port {port} cannot be used ({error}). Choose another one: {variable}={port + 10} make run"


def given(variable: str, default: int) -> int:
    """The port in the environment, else in ``.env``. An invalid value is ignored here; the launcher reports it."""
    lines = ""
    with suppress(OSError):
        lines = (BASE_DIR / ".env").read_text(encoding="utf-8")
    in_file = re.findall(rf"^\s*(?:export\s+)?{variable}\s*=\s*['\"]?(\d{{1,5}})\b", lines, flags=re.MULTILINE)
    value = os.environ.get(variable, "").strip() or (in_file[-1] if in_file else "")
    return int(value) if value.isdecimal() else default


def main() -> int:
    port = given("PORT", 8000)
    for variable, number in {"PORT": port, "EVENTS_PORT": given("EVENTS_PORT", port + 1)}.items():
        error = failure(number)
        if error is not None:
            sys.stderr.write(f"{advice(variable, number, error)}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
