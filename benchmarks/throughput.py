"""Part B: how many requests a second one machine answers at most, by Debian's ``wrk`` where that is installed.

A closed loop: each connection sends its next request when the last one is answered. It shows the limit, not latencies.
"""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.environment import HOST, bench, cpu_between, machine, server_versions, write_result
from benchmarks.processes import web
from benchmarks.rows import World, access_token, build

CONNECTIONS = 32
SECONDS = 10
WARM_UP_SECONDS = 2
SCRIPT = """
local requests, at = {}, 0
for line in io.lines("%s") do
  local token, path = line:match("(%%S+) (%%S+)")
  local headers = {Authorization = "Bearer " .. token, ["X-Forwarded-Proto"] = "https"}
  requests[#requests + 1] = wrk.format("GET", path, headers)
end
request = function() at = at %% #requests + 1; return requests[at] end
"""


def run() -> dict[str, Any] | None:
    """None without wrk."""
    if shutil.which("wrk") is None:
        print("wrk is not installed: its part is left out", file=sys.stderr)
        return None
    document: dict[str, Any] = {"machine": machine(), "connections": CONNECTIONS, "routes": {}}
    with bench("throughput") as this, tempfile.TemporaryDirectory() as directory:
        document["machine"] |= server_versions(this)
        world = build(this)
        with web(this) as (server, port):
            for name, paths in routes(world).items():
                script = write_script(Path(directory), world, paths)
                wrk(port, script, WARM_UP_SECONDS)
                before = server.cpu(), this.postgres_cpu(), this.redis_cpu()
                started = time.monotonic()
                rate = wrk(port, script, SECONDS)
                wall = time.monotonic() - started
                document["routes"][name] = {
                    "per_second": rate,
                    "server": (server.cpu() - before[0]) / wall,
                    "postgres": cpu_between(before[1], this.postgres_cpu()) / wall,
                    "redis": (this.redis_cpu() - before[2]) / wall,
                }
                print(name, document["routes"][name], file=sys.stderr, flush=True)
    write_result("throughput", document)
    return document


def routes(world: World) -> dict[str, list[str]]:
    """A path of each reader for each route; all are read again and again, so pages are hits."""
    return {
        "pending poll": ["/api/notifications/pending/" for _ in world.readers],
        "task status poll": [f"/api/ai/tasks/{reader.task}/" for reader in world.readers],
        "list of 20, hit": ["/api/notes/" for _ in world.readers],
        "detail of 66 kB, hit": [f"/api/notes/{reader.big_note}/" for reader in world.readers],
    }


def write_script(directory: Path, world: World, paths: list[str]) -> Path:
    lines = [f"{access_token('ours', reader)} {path}" for reader, path in zip(world.readers, paths, strict=True)]
    (directory / "requests").write_text("\n".join(lines) + "\n")
    script = directory / "requests.lua"
    script.write_text(SCRIPT % (directory / "requests"))
    return script


def wrk(port: int, script: Path, seconds: int) -> float:
    """Requests a second. Ends the benchmark if any was answered with an error."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"http://{HOST}:{port}/"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=True)
    found = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if found is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"wrk found errors:\n{done.stdout}")
    return float(found[1])


def table(document: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| | requests a second | cores: server, Postgres, Redis |", "|---|---|---|"]
    for name, route in document["routes"].items():
        cores = ", ".join(f"{route[part]:.2f}" for part in ("server", "postgres", "redis"))
        lines.append(f"| {name} | {route['per_second']:.0f} | {cores} |")
    return "\n".join(lines)
