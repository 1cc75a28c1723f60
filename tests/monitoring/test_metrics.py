"""What Prometheus reads: of every process of a kind, also of those that have ended, and who may read it."""

import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from ai_tasks.progress import announce_end
from tests.factories import AITaskFactory
from tests.processes import RUN_SECONDS, free_port, running, wait_until
from tests.test_deployment import PROCFILE, PRODUCTION
from tests.wire_client import WireClient
from utils.monitoring import boot, exporter
from utils.redis.signs import record_beat_run, record_worker_heartbeat

TOKEN = "a-token-of-this-test-0123456789"


@pytest.fixture(autouse=True)
def nothing_remembered():
    exporter.site.forget()


def samples(text: str) -> dict[tuple[str, frozenset], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(text: str, name: str, **labels: str) -> float | None:
    return samples(text).get((name, frozenset(labels.items())))


def test_without_a_token_there_is_no_such_page(client):
    answer = client.get("/metrics", HTTP_AUTHORIZATION="Bearer ")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {TOKEN}", "Bearer \u00e9"])
def test_without_the_token_nobody_reads(client, settings, header):
    settings.METRICS_TOKEN = TOKEN

    answer = client.get("/metrics", HTTP_AUTHORIZATION=header)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Bearer"


def test_web_tells_what_postgresql_and_redis_know(client, settings, alice, django_assert_num_queries):
    settings.METRICS_TOKEN = TOKEN
    hour_ago = timezone.now() - timedelta(hours=1)
    for status in ("queued", "queued", "running", "succeeded"):
        AITaskFactory(user=alice, status=status, created_at=hour_ago)
    for _ in range(3):
        announce_end(uuid4(), user_id=alice.pk, attempt=1, status="succeeded", message="Done")
    record_worker_heartbeat("worker@one")
    record_beat_run()

    with django_assert_num_queries(1):
        first = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")
        again = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}")

    text = first.content.decode()
    assert first["Content-Type"].startswith("text/plain")
    assert value(text, "ai_tasks_unfinished", status="queued") == 2
    assert value(text, "ai_tasks_unfinished", status="running") == 1
    assert value(text, "ai_tasks_unfinished", status="cancelling") == 0
    assert value(text, "ai_tasks_ended_total", status="succeeded") == 3
    assert value(text, "workers_alive") == 1
    assert value(text, "beat_last_run_timestamp_seconds") > 1_700_000_000
    assert 3600 <= value(text, "ai_queue_age_seconds") < 3900  # and what the test took
    assert again.content == first.content


def test_without_redis_the_rest_is_told(client, settings, db, dead_redis):
    settings.METRICS_TOKEN = TOKEN

    text = client.get("/metrics", HTTP_AUTHORIZATION=f"Bearer {TOKEN}").content.decode()

    assert (value(text, "site_redis_up"), value(text, "site_postgresql_up")) == (0, 1)


def test_the_numbers_of_ended_processes_are_added_up_and_their_files_removed(tmp_path, monkeypatch):
    script = (
        "from utils.monitoring import boot, metrics\n"
        "metrics.redis_failures.inc(2)\n"
        "metrics.processes.set(1)\n"
        "metrics.count_request(method='BREW', route='/a/', status=200, seconds=0.02, queries=3, cache_outcome='hit')\n"
    )
    environment = {**os.environ, boot.DIRECTORY_VARIABLE: str(tmp_path), "METRICS_TOKEN": TOKEN}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=RUN_SECONDS)
    monkeypatch.setenv(boot.DIRECTORY_VARIABLE, str(tmp_path))
    for _ in range(2):
        text = exporter.document(with_site=False).decode()

        assert value(text, "redis_failures_total") == 4
        assert value(text, "http_request_duration_seconds_count", method="other", route="/a/", status="200") == 2
        assert value(text, "http_request_sql_queries_total", route="/a/") == 6
        assert value(text, "processes") is None
        assert sorted(path.name for path in tmp_path.glob("*.db")) == ["counter_ended.db", "histogram_ended.db"]


def test_each_boot_counts_into_a_directory_of_its_own_and_removes_those_of_ended_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv(boot.DIRECTORY_VARIABLE, "")
    parent = tmp_path / f"noteassist-metrics-{os.getuid()}"
    parent.mkdir()
    for name in ("999999999-ended", f"{os.getppid()}-alive", f"{os.getpid()}-of-a-boot-before"):
        (parent / name).mkdir()

    boot.prepare_metrics()

    left = sorted(path.name for path in parent.iterdir())
    made = Path(os.environ[boot.DIRECTORY_VARIABLE])
    assert left == sorted([f"{os.getppid()}-alive", made.name])
    assert list(made.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(500)
@pytest.mark.django_db(transaction=True)
def test_real_processes_are_read_as_one_and_a_killed_one_takes_nothing_away(tmp_path):
    ports = {"PORT": str(free_port()), "METRICS_PORT": str(free_port())}
    environment = {**PRODUCTION, **ports, "METRICS_TOKEN": TOKEN, "WEB_CONCURRENCY": "2", "LOG_REQUESTS": "false"}
    worker_ports = {"METRICS_PORT": str(free_port()), "AI_WORKER_CONCURRENCY": "2"}
    with ExitStack() as processes:
        web = processes.enter_context(
            running(["sh", "-c", f"exec env {PROCFILE['web']}"], tmp_path / "web.log", **environment)
        )
        worker = processes.enter_context(
            running(
                ["sh", "-c", f"exec env {PROCFILE['worker']}"], tmp_path / "worker.log", **environment | worker_ports
            )
        )
        web.wait_for_output("Metrics of web at port", 120)
        worker.wait_for_output("Metrics of worker at port", 120)
        client = WireClient(int(ports["PORT"]), {"X-Forwarded-Proto": "https"})
        signed_in = client.send(
            "POST", "/api/auth/register/", {"email": "m@example.com", "name": "M", "password": "a long phrase of mine"}
        )[1]
        client.headers["Authorization"] = f"Bearer {signed_in['access']}"
        for _ in range(20):
            assert client.send("GET", "/api/notes/")[0] == 200
        client.send("GET", "/api/nothing/at/all/")
        body = {"request_type": "summarize", "request_data": {"content": "A loop repeats. It ends when told. " * 5}}
        assert client.send("POST", "/api/ai/tasks/", body)[0] == 202
        list_reads = {"method": "GET", "route": "/api/notes/", "status": "200"}

        def scraped() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{ports['METRICS_PORT']}/metrics", timeout=60) as answer:
                return answer.read().decode()

        wait_until(lambda: value(scraped(), "processes") == 2, 60)
        text = scraped()
        assert value(text, "http_request_duration_seconds_count", **list_reads) == 20
        assert value(text, "http_request_duration_seconds_count", method="GET", route="unmatched", status="404") == 1
        assert value(text, "page_cache_lookups_total", outcome="hit") == 19
        assert value(text, "http_request_sql_queries_total", route="/api/notes/") >= 1

        with urllib.request.urlopen(f"http://127.0.0.1:{worker_ports['METRICS_PORT']}/metrics", timeout=60) as answer:
            of_worker = answer.read().decode()
        wait_until(lambda: value(scraped(), "ai_tasks_ended_total", status="succeeded") == 1, 30)
        assert "ai_tasks_unfinished" not in of_worker

        victim = next(int(pid) for pid in re.findall(r"Booting worker with pid: (\d+)", web.output))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: is_scraped_again(scraped) and value(scraped(), "processes") == 2, 90)
        assert value(scraped(), "http_request_duration_seconds_count", **list_reads) == 20

        client.headers["Authorization"] = f"Bearer {TOKEN}"
        status, by_token = client.text("/metrics")
        assert (status, value(by_token, "http_request_duration_seconds_count", **list_reads)) == (200, 20)
        (tmp_path / "scrape.txt").write_text(by_token)


def is_scraped_again(scrape) -> bool:
    try:
        scrape()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True
