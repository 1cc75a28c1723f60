"""What ops deploy: the Procfile's processes with production's settings, on real engines."""

import inspect
import json
import os
import re
import runpy
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from django.conf import settings

from ai_tasks.models import AITask
from NoteAssist_AI import env
from tests.processes import (
    BIN,
    POLITE_SECONDS,
    RUN_SECONDS,
    environment_of_this_test,
    free_port,
    running,
    wait_for_consumers,
    wait_until,
)

PRODUCTION = {
    "ENVIRONMENT": "production",
    "DEBUG": "False",
    "SECRET_KEY": "a-secret-of-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
    "JWT_SIGNING_KEY": "another-secret-of-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
    "ALLOWED_HOSTS": "127.0.0.1",
    "CORS_ALLOWED_ORIGINS": "https://app.example.com",
    "EMAIL_URL": "smtp://127.0.0.1:1",
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "DB_POOL_MAX": "16",
}
PROCFILE = dict(
    line.split(": ", 1) for line in Path(settings.BASE_DIR, "Procfile").read_text().splitlines() if line.strip()
)


class Client:
    """As a proxy that ends TLS would send it."""

    def __init__(self, port: int) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.headers = {"X-Forwarded-Proto": "https", "Content-Type": "application/json"}

    def send(self, path: str, body: dict | None = None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, self.headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)


def outcome(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a command that ends by itself did."""
    return subprocess.run(
        command,
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )


def test_the_first_request_imports_no_view():
    code = "import sys; import NoteAssist_AI.wsgi; print({'notes.views.notes', 'ai_tasks.views'} <= sys.modules.keys())"

    assert outcome([sys.executable, "-c", code], environment_of_this_test(**PRODUCTION)).stdout.strip() == "True"


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_procfiles_processes_serve_an_ai_task_with_productions_settings(tmp_path):
    port = free_port()
    ports = {"PORT": str(port), "EVENTS_PORT": str(free_port())}
    environment = {**PRODUCTION, **ports, "AI_WORKER_CONCURRENCY": "4"}
    release = outcome(["sh", "-c", PROCFILE["release"]], environment_of_this_test(**environment))
    assert release.returncode == 0, release.stdout + release.stderr

    with ExitStack() as processes:
        started = {
            name: processes.enter_context(
                running(
                    ["sh", "-c", f"exec env {command}"],
                    tmp_path / f"{name}.log",
                    **environment,
                )
            )
            for name, command in PROCFILE.items()
            if name != "release"
        }
        started["web"].wait_for_output("Listening at")
        wait_for_consumers(started["worker"])
        client = Client(port)
        wait_until(lambda: client.send("/healthz/ready")["status"] == "ok")
        joined = client.send(
            "/api/auth/register/", {"email": "ops@example.com", "name": "Ops", "password": "a long phrase of mine"}
        )
        client.headers["Authorization"] = f"Bearer {joined['access']}"
        body = {"request_type": "summarize", "request_data": {"content": "A loop repeats. It ends when told. " * 5}}
        task_id = client.send("/api/ai/tasks/", body)["task_id"]
        wait_until(lambda: client.send(f"/api/ai/tasks/{task_id}/")["status"] in AITask.TERMINAL, every=POLITE_SECONDS)
        task = client.send(f"/api/ai/tasks/{task_id}/")
        assert (task["status"], task["provider"]) == ("succeeded", "offline")
        events = Client(int(ports["EVENTS_PORT"]))
        wait_until(lambda: "Booting worker" in started["events"].output)
        assert events.send("/healthz/live") == {"status": "ok"}
        for name in ("web", "worker", "beat", "events"):
            started[name].send(signal.SIGTERM)
            assert started[name].wait(60) == 0, started[name].output


def check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return outcome([sys.executable, "manage.py", "check"], environment)


@pytest.mark.parametrize(
    "missing", ["SECRET_KEY", "JWT_SIGNING_KEY", "ALLOWED_HOSTS", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"]
)
def test_production_does_not_boot_without(missing, db):
    environment = environment_of_this_test(**PRODUCTION)
    del environment[missing]

    started = check(environment)

    assert started.returncode != 0
    assert missing in started.stderr


def test_production_does_not_boot_with_mail_that_goes_to_the_log(db):
    started = check(environment_of_this_test(**{**PRODUCTION, "EMAIL_URL": "console://"}))

    assert started.returncode != 0
    assert "EMAIL_URL" in started.stderr


def test_what_is_special_in_a_mail_password_is_percent_encoded(monkeypatch):
    monkeypatch.setenv("EMAIL_URL", "smtp+tls://me%40example.com:a%2Fb%3Ac%25@mail.example.com:587")

    read = runpy.run_path(str(settings.BASE_DIR / "NoteAssist_AI" / "settings.py"))

    assert (read["EMAIL_HOST_USER"], read["EMAIL_HOST_PASSWORD"]) == ("me@example.com", "a/b:c%")
    assert (read["EMAIL_HOST"], read["EMAIL_PORT"]) == ("mail.example.com", 587)


def test_render_starts_what_the_procfile_starts():
    blueprint = yaml.safe_load(Path(settings.BASE_DIR, "render.yaml").read_text())
    services = {service["name"]: service for service in blueprint["services"]}

    def program(command: str) -> list[str]:
        return re.sub(r"^(\w+=\S+ )+", "", command).split()

    for name in ("web", "worker", "beat", "events"):
        assert program(services[f"noteassist-{name}"]["startCommand"]) == program(PROCFILE[name])
    assert services["noteassist-web"]["healthCheckPath"] == "/healthz/live"
    assert services["noteassist-redis"]["maxmemoryPolicy"] == "volatile-lru"


def test_the_environment_of_the_guides_checklist_is_in_the_example():
    example = Path(settings.BASE_DIR, ".env.example").read_text()

    for name in ("ENVIRONMENT", "DEBUG", "SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CORS_ALLOWED_ORIGINS"):
        assert re.search(rf"^{name}=", example, flags=re.MULTILINE)


def test_every_variable_that_is_read_is_in_the_example_and_in_the_documentation_and_none_besides():
    def text(file: str) -> str:
        return Path(settings.BASE_DIR, file).read_text()

    example = set(re.findall(r"^([A-Z_]+)=", text(".env.example"), flags=re.MULTILINE))
    readers = "|".join(name for name, reader in vars(env).items() if inspect.isfunction(reader) and name.islower())
    files = [
        "NoteAssist_AI/settings.py",
        "NoteAssist_AI/throttle_settings.py",
        "NoteAssist_AI/embedded/engines.py",
        "gunicorn.conf.py",
        "gunicorn_events.conf.py",
        "NoteAssist_AI/client_limits.py",
        "granian_server.py",
    ]
    read = {name for file in files for name in re.findall(rf"env\.(?:{readers})\(\s*[\"']([A-Z_]+)[\"']", text(file))}
    read |= set(re.findall(r"\$\{([A-Z_]+):[-?]", " ".join(PROCFILE.values()) + text("compose.yaml")))
    described = re.findall(r"^\| `([A-Z_]+)` \| .+ \| .+ \|$", text("docs/configuration.md"), flags=re.MULTILINE)

    assert example == read, (
        f"Put into .env.example: {sorted(read - example)}. Take out, as nothing reads it: {sorted(example - read)}."
    )
    assert set(described) == read, (
        f"Give each a row in docs/configuration.md: {sorted(read - set(described))}. "
        f"Take out, as nothing reads it: {sorted(set(described) - read)}."
    )
    assert len(described) == len(set(described)), "docs/configuration.md describes a variable twice."
