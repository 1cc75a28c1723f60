"""Numbers of all processes of a server, read as one, on each server that the product runs on."""

import os
import re
import signal
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.processes import free_port, wait_until
from tests.servers.conftest import Server
from tests.servers.wire import answers, request
from utils.monitoring import boot

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TOKEN = "a-token-of-these-tests"
PROCESSES = 2
METRICS = "GET /metrics HTTP/1.1"
LIVE = {"method": "GET", "route": "/healthz/live", "status": "200"}


def value(text: str, name: str, **labels: str) -> float:
    """0 if there is no such sample."""
    inner = ",".join(f'{key}="{labels[key]}"' for key in sorted(labels))
    found = re.search(rf"^{name}{re.escape(f'{{{inner}}}') if inner else ''} (\S+)$", text, flags=re.MULTILINE)
    return float(found[1]) if found else 0.0


def scraper(port: int) -> Callable[[], str]:
    """Reads ``METRICS_PORT``; nothing while no process listens there."""

    def scrape() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=60) as answer:
                return answer.read().decode()
        except OSError:
            return ""

    return scrape


def asked(server: Server, times: int) -> None:
    for _ in range(times):
        assert server.is_live()


def files_of(server: Server) -> dict[int, list[str]]:
    """The files of a boot by the process that counts in them."""
    (directory,) = directories_of(server)
    files: dict[int, list[str]] = {}
    for path in directory.glob("*_[0-9]*.db"):
        files.setdefault(int(path.stem.rpartition("_")[2]), []).append(path.name)
    return files


def directories_of(server: Server) -> list[Path]:
    return list(Path(tempfile.gettempdir(), f"noteassist-metrics-{os.getuid()}").glob(f"{server.process.pid}-*"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", ["gunicorn", "granian", "events"])
def test_all_processes_are_read_as_one_and_a_killed_one_leaves_its_numbers_and_no_file(start, kind):
    port = free_port()
    scrape = scraper(port)
    with start(
        kind,
        WEB_CONCURRENCY=str(PROCESSES),
        EVENTS_CONCURRENCY=str(PROCESSES),
        METRICS_PORT=str(port),
        METRICS_TOKEN=TOKEN,
        LOG_REQUESTS="false",
    ) as server:
        wait_until(lambda: value(scrape(), "processes") == PROCESSES, 100, lambda: server.process.output)
        before = value(scrape(), "http_request_duration_seconds_count", **LIVE)
        asked(server, 30)
        counted = value(scrape(), "http_request_duration_seconds_count", **LIVE)
        assert counted == before + 30
        of_the_site = value(scrape(), "site_postgresql_up"), value(scrape(), "site_redis_up")
        assert of_the_site == ((0, 0) if kind == "events" else (1, 1)), server.process.output

        while len(files_of(server)) < PROCESSES:  # each has counted something
            asked(server, 5)
            counted += 5
        victim = min(files_of(server))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: not boot.is_alive(victim))
        wait_until(lambda: value(scrape(), "processes") == PROCESSES, 100, lambda: server.process.output)

        assert value(scrape(), "http_request_duration_seconds_count", **LIVE) == counted
        assert victim not in files_of(server)

        server.process.send(signal.SIGTERM)
        assert server.process.wait(60) == 0
        assert directories_of(server) == []


def test_metrics_are_for_who_has_the_token_on_each_server_of_web(start, kind):
    with start(kind, METRICS_TOKEN=TOKEN) as server:
        for headers, status in (
            ((), 401),
            (("Authorization: Bearer another-token-of-16",), 401),
            (("Authorization: Bearer ",), 401),
            ((f"Authorization: Basic {TOKEN}",), 401),
            ((f"Authorization: Bearer {TOKEN}", f"Authorization: Bearer {TOKEN}"), 401),
            ((f"Authorization: Bearer {TOKEN}",), 200),
        ):
            (answer,) = answers(server.port, request(METRICS, *headers))
            assert (headers, answer.status) == (headers, status)


def test_without_metrics_nothing_is_there(server):
    (answer,) = answers(server.port, request(METRICS, f"Authorization: Bearer {TOKEN}"))

    assert answer.status == 404


def test_the_events_process_has_no_page_of_metrics(start):
    with start("events", METRICS_TOKEN=TOKEN) as events:
        (answer,) = answers(events.port, request(METRICS, f"Authorization: Bearer {TOKEN}"))

        assert answer.status == 404
