"""Debian's ``wrk``: sends prepared requests on connections that are kept alive, each when the last one is answered."""

import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.cpu_worker import Sent

NEW = "{new}"
"""In a request's target or body: a number that this process has not sent before, of ten digits."""
_BLOCK = 10**6  # more than one run sends
_blocks = itertools.count(10**9, _BLOCK)
_SCRIPT = """
local requests, first_new = dofile(%s), %d
sent = 0
request = function()
  sent = sent + 1
  local text = requests[(sent - 1) %% #requests + 1]
  return (text:gsub("{new}", function() return string.format("%%.0f", first_new + sent) end))
end
local thread
setup = function(one) thread = one end
done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("\\nFOUND %%d %%d %%d %%d %%d %%d\\n", thread:get("sent"), summary.requests, summary.duration,
    errors.status, errors.connect + errors.read + errors.write, latency:percentile(99)))
end
"""


class Found(NamedTuple):
    """What one run saw. ``sent`` counts also the requests that were not answered when the run ended."""

    sent: int
    answered: int
    seconds: float
    refused: int
    """Answers with a status of 400 or more."""
    broken: int
    """Connections that failed."""
    p99_ms: float


def require() -> None:
    """End the program with a word where wrk is not installed."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is not installed: `apt-get install wrk` (Debian's package), then run this again.")


def run(host: str, port: int, requests: Sequence[Sent], *, seconds: int, connections: int) -> Found:
    """Send the requests in turn, from the first again after the last. One thread of one process.

    ``NEW`` becomes another number each time.
    """
    with tempfile.TemporaryDirectory() as directory:
        listed = Path(directory) / "requests.lua"
        listed.write_text("return {\n" + ",\n".join(json.dumps(as_sent(request)) for request in requests) + "}\n")
        script = Path(directory) / "script.lua"
        script.write_text(_SCRIPT % (json.dumps(str(listed)), new_block()))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), f"http://{host}:{port}/"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("FOUND ")), None)
    if line is None:
        sys.exit(f"wrk failed:\n{done.stdout}{done.stderr}")
    sent, answered, microseconds, refused, broken, p99 = (int(part) for part in line.split()[1:])
    return Found(sent - 1, answered, microseconds / 1e6, refused, broken, p99 / 1000)  # wrk asks once to try the script


def new_block() -> int:
    """The first of a million numbers for ``NEW``."""
    return next(_blocks)


def as_sent(request: Sent) -> str:
    """The bytes of a request on the wire, which are ASCII."""
    method, target, headers, body = request
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        length = len(body.replace(NEW, "0123456789").encode())
        lines += [f"Content-Length: {length}", "Content-Type: application/json"]
    return "\r\n".join(lines) + "\r\n\r\n" + body
