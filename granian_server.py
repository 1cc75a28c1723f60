"""Granian as the server of `web`: what gunicorn.conf.py is to gunicorn, as Granian reads no settings file.

Run as `python granian_server.py`. Its own command line would need every number twice.
"""

import multiprocessing
import os
from pathlib import Path

import django
from django.conf import settings
from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.log import LogLevels

from NoteAssist_AI import env
from NoteAssist_AI.open_files import connections_allowed
from utils.monitoring import boot, logs

env.load_file(Path(__file__).resolve().parent / ".env")


def exit_if_wrong() -> None:
    """End with what keeps workers from starting: Granian would start them again and again.

    Read by a process of its own: what Django imports would stay in this one.
    """
    reader = multiprocessing.Process(target=_load)
    reader.start()
    reader.join()
    if reader.exitcode:
        raise SystemExit(reader.exitcode)


def _load() -> None:
    env.load_settings()
    django.setup()
    if settings.IS_PRODUCTION:
        from NoteAssist_AI.demo_accounts import stop_with_demo_accounts

        stop_with_demo_accounts()


if __name__ == "__main__":
    exit_if_wrong()
    from NoteAssist_AI.client_limits import HEADER_SECONDS  # which the file may set

    connections_allowed(8000)
    level = env.log_level("LOG_LEVEL")
    if boot.are_metrics_wanted():
        boot.prepare_metrics()
    Granian(
        "NoteAssist_AI.rsgi:application",
        interface=Interfaces.RSGI,
        address="0.0.0.0" if os.environ.get("ENVIRONMENT") == "production" else "127.0.0.1",
        port=env.port("PORT", 8000),
        workers=env.integer("WEB_CONCURRENCY", 2, minimum=1),
        backlog=4096,
        backpressure=8000,  # requests at a time, of which WEB_THREADS are carried out and the others wait
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            # Of a kept-alive connection, too: it ends when its next request has not come in this time.
            header_read_timeout=int(HEADER_SECONDS * 1000),
            max_buffer_size=64 * 1024,
        ),
        websockets=False,
        loop=Loops.asyncio,  # uvloop saves less than a tenth of a request (decision 50)
        respawn_failed_workers=True,
        workers_kill_timeout=25,
        log_level=LogLevels(level.lower()),
        log_dictconfig=logs.granian_lines(level, as_json=os.environ.get("ENVIRONMENT") == "production"),
    ).serve()
