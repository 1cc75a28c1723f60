"""The launcher of ``make run``: runs the whole product on this machine until Ctrl-C.

It prepares the database, starts ``Procfile.dev`` with honcho, and logs when the product is ready. At its end, also
after an error, it ends all processes that it started. It is a user of the embedded engines for the whole time.
"""

import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from contextlib import suppress
from pathlib import Path

import psutil

from NoteAssist_AI import embedded, env
from NoteAssist_AI.embedded import ports

logger = logging.getLogger("launcher")

BASE_DIR = Path(__file__).resolve().parent.parent.parent
PROCFILE = BASE_DIR / "Procfile.dev"
RUN_VARIABLE = "NOTEASSIST_RUN"
"""An environment variable that all descendants of one run inherit. At the end they are found by it."""
READY_SECONDS = 90.0
STOP_SECONDS = 15.0
POLL_SECONDS = 0.3
SIGNALS_THAT_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

PREPARATION = (
    ["migrate", "--no-input", "--verbosity=0"],
    ["collectstatic", "--no-input", "--verbosity=0"],
    ["seed_demo"],
)


def main() -> int:
    """Return the exit status: 0 after Ctrl-C or SIGTERM, else that of the process that ended first."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s | %(message)s", datefmt="%H:%M:%S")
    for signum in SIGNALS_THAT_END:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # nohup sets SIG_IGN
            signal.signal(signum, signal.default_int_handler)
    os.environ[RUN_VARIABLE] = uuid.uuid4().hex
    try:
        env.load_file(BASE_DIR / ".env")
        env.load_settings()  # before anything starts
        port = free_port("PORT", 8000)
        events_port = free_port("EVENTS_PORT", port + 1)
        embedded.ensure()
        prepare()
        return run(port, events_port)
    except KeyboardInterrupt:
        logger.info("stopping")
        return 0
    except embedded.EngineError as error:
        logger.error("%s", error)
        return 1
    finally:
        for signum in SIGNALS_THAT_END:
            signal.signal(signum, signal.SIG_IGN)  # a second Ctrl-C must not leave processes running
        end_descendants()


def free_port(variable: str, default: int) -> int:
    """The port to serve on; exits with a message if it is in use."""
    port = env.port(variable, default)
    error = ports.failure(port)
    if error is not None:
        sys.exit(ports.advice(variable, port, error))
    return port


def prepare() -> None:
    """Bring the database, the static files and the demo notes up to date; all steps are idempotent."""
    for arguments in PREPARATION:
        logger.info("%s", arguments[0])
        step = subprocess.run([sys.executable, "manage.py", *arguments], cwd=BASE_DIR, start_new_session=True)
        if step.returncode:
            sys.exit(f"manage.py {arguments[0]} failed with exit status {step.returncode}.")


def run(port: int, events_port: int) -> int:
    """Run the processes until one of them ends, and return a non-zero exit status."""
    programs = Path(sys.executable).parent
    honcho = subprocess.Popen(
        # -E: honcho must ignore PYTHONUNBUFFERED, which is for its processes. Unbuffered, honcho would write a line and
        # its newline separately, and other output could come between them.
        # --env: honcho would let .env override the environment; the processes read the file themselves.
        [sys.executable, "-E", "-m", "honcho", "--env", os.devnull, "--procfile", str(PROCFILE), "start"],
        cwd=BASE_DIR,
        env={
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PORT": str(port),
            "EVENTS_PORT": str(events_port),  # honcho adds 100 to PORT for each line
            # The web client reads event streams from another port; it may be opened by either name.
            "CORS_ALLOWED_ORIGINS": os.environ.get("CORS_ALLOWED_ORIGINS")
            or f"http://127.0.0.1:{port},http://localhost:{port}",
            "EVENTS_BASE_URL": os.environ.get("EVENTS_BASE_URL") or f"http://127.0.0.1:{events_port}",
            "PYTHONUNBUFFERED": "1",
        },
        start_new_session=True,  # so that only this process gets Ctrl-C; it then ends the others
    )
    announce_when_ready(honcho, f"http://127.0.0.1:{port}")
    status = honcho.wait()
    logger.error("a process has ended, so all others were stopped")
    return status or 1


def announce_when_ready(honcho: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while honcho.poll() is None:
        if is_ready(url):
            logger.info("ready: %s", url)
            logger.info("API documentation: %s/api/docs/", url)
            logger.info("demo login: demo@noteassist.local / demo-password")
            logger.info("admin: %s/admin/, login admin@noteassist.local / demo-password", url)
            logger.info("Ctrl-C stops everything; changes of code reload the web process alone")
            return
        if time.monotonic() >= deadline:
            logger.warning("not ready after %.0f s: see %s/healthz/ready and the lines above", READY_SECONDS, url)
            return
        time.sleep(POLL_SECONDS)


def is_ready(url: str) -> bool:
    """Whether ``/healthz/ready`` reports ``ok``."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url}/healthz/ready", timeout=2) as response:
            return json.load(response)["status"] == "ok"
    except (OSError, http.client.HTTPException, ValueError, KeyError):
        return False


def end_descendants() -> None:
    """Ask honcho to end its processes, then kill all remaining processes of this run."""
    children = psutil.Process().children()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    psutil.wait_procs(children, timeout=STOP_SECONDS)
    survivors = [process for process in psutil.process_iter() if belongs_to_this_run(process)]
    for process in survivors:
        logger.warning("killing process %d, which did not end", process.pid)
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(survivors, timeout=STOP_SECONDS)


def belongs_to_this_run(process: psutil.Process) -> bool:
    try:
        return process.environ().get(RUN_VARIABLE) == os.environ[RUN_VARIABLE] and process.pid != os.getpid()
    except psutil.Error:  # gone meanwhile, or another user's
        return False


if __name__ == "__main__":
    sys.exit(main())
