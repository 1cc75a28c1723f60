"""gunicorn's settings files, read as gunicorn reads them: each in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest
from django.conf import settings
from gunicorn.util import load_class

from tests.processes import BIN, RUN_SECONDS, free_port, running

WEB, EVENTS = "gunicorn.conf.py", "gunicorn_events.conf.py"
READ = """
import json, resource, runpy, sys
soft, hard = json.loads(sys.argv[2])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
read = runpy.run_path(sys.argv[1])
read["soft"] = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
print(json.dumps({name: value for name, value in read.items() if isinstance(value, int | str | list)}))
"""


def read(path: Path, soft: int, hard: int, **environment: str) -> dict:
    answer = subprocess.run(
        [sys.executable, "-c", READ, path, json.dumps([soft, hard])],
        cwd=settings.BASE_DIR,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=True,
    )
    return json.loads(answer.stdout)


@pytest.mark.parametrize(
    ("file", "soft", "hard", "connections", "files"),
    [
        (WEB, 1024, 20_000, 8000, 8500),
        (WEB, 200, 4096, 3596, 4096),
        (WEB, 15_000, 15_000, 8000, 15_000),
        (EVENTS, 1024, 20_000, 11_000, 11_500),
        (EVENTS, 1024, 4096, 3596, 4096),
    ],
)
def test_a_server_takes_no_more_connections_than_it_may_open_files(file, soft, hard, connections, files):
    conf = read(Path(settings.BASE_DIR, file), soft, hard)

    assert (conf["worker_connections"], conf["soft"]) == (connections, files)


def test_the_events_process_has_fewer_streams_than_connections():
    conf = read(Path(settings.BASE_DIR, EVENTS), 1024, 4096)

    assert conf["raw_env"] == ["SERVES=streams", "DB_POOL_MAX=4", "SSE_MAX_STREAMS=2596"]


@pytest.mark.parametrize(("file", "bind"), [(WEB, "0.0.0.0:8951"), (EVENTS, "0.0.0.0:8951")])
def test_the_env_file_beside_it_counts_and_the_environment_counts_more(file, bind, tmp_path):
    shutil.copy(Path(settings.BASE_DIR, file), tmp_path)
    (tmp_path / ".env").write_text(
        "ENVIRONMENT=production\nPORT=8951\nWEB_CONCURRENCY=3\nEVENTS_CONCURRENCY=3\nLOG_LEVEL=debug\n"
    )

    conf = read(tmp_path / file, 1024, 20_000, LOG_LEVEL="warning")

    assert (conf["bind"], conf["workers"], conf["loglevel"]) == (bind, 3, "warning")


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("file", [WEB, EVENTS])
def test_a_header_that_names_a_script_is_no_part_of_the_path(tmp_path, file):
    port = str(free_port())
    command = [str(BIN / "gunicorn"), "NoteAssist_AI.wsgi:application", "-c", file]
    environment = {"PORT": port, "EVENTS_PORT": port, "WEB_CONCURRENCY": "1"}

    with running(command, tmp_path / "log", **environment) as server:
        server.wait_for_output("Booting worker")
        connection = HTTPConnection("127.0.0.1", int(port), timeout=60)
        connection.request("GET", "/healthz/live", headers={"SCRIPT_NAME": "/nowhere", "PATH_INFO": "/else"})
        answer = connection.getresponse()

        assert (answer.status, answer.read()) == (200, b'{"status": "ok"}')


@pytest.mark.parametrize("file", [WEB, EVENTS])
def test_no_line_of_an_access_log_is_made(file):
    conf = read(Path(settings.BASE_DIR, file), 1024, 4096)
    logger = load_class(conf["logger_class"])

    logger.access(object.__new__(logger), *[None] * 4)  # gunicorn's own would look for its settings at once
