"""Dockerfile and compose.yaml. No image can be built here: they are read, linted, and their commands carried out."""

import json
import re
import shlex
import ssl
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml
from compose_spec import PyCompose
from django.conf import settings

from tests.installation.documents import (
    BASE,
    COMPOSE,
    Missing,
    admitted,
    instructions,
    interpolated,
    services,
    variables_of,
)
from tests.installation.story import Client, tell
from tests.processes import (
    BIN,
    START_SECONDS,
    environment_of_this_test,
    free_port,
    running,
    wait_for_consumers,
    wait_until,
)
from tests.test_deployment import PROCFILE

GIVEN = {
    "PUBLIC_URL": "https://notes.lan",
    "SECRET_KEY": "a-secret-of-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
    "JWT_SIGNING_KEY": "another-secret-of-this-test-0123456789-abcdefghijklmnopqrstuvwxyz",
    "EMAIL_URL": "smtp://127.0.0.1:1",
    "POSTGRES_PASSWORD": "letters1",
    "REDIS_PASSWORD": "letters2",
}
"""What compose demands, as a file .env would give it."""
OURS = ("release", "web", "events", "worker", "beat")
ONCE = {"release", "certificate"}
"""Services that end: they prepare the others."""


def test_an_implementation_of_the_specification_takes_the_file():
    plain = yaml.safe_dump(yaml.safe_load(interpolated(COMPOSE, GIVEN)))  # without anchors and merges

    read = PyCompose.from_yaml(plain)

    assert set(read.service_names()) == {*OURS, "certificate", "proxy", "postgres", "redis"}
    with pytest.raises(ValueError, match="readonly"):
        PyCompose.from_yaml(plain.replace("read_only", "readonly"))


@pytest.mark.parametrize("name", GIVEN)
def test_compose_demands_what_has_no_safe_default(name):
    with pytest.raises(Missing, match=f"{name}: set {name} in .env to "):
        services({**GIVEN, name: ""})


def test_the_image_is_linted():
    found = subprocess.run(
        [BIN / "hadolint", "--no-color", BASE / "Dockerfile"], capture_output=True, text=True, timeout=60, check=False
    )

    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


def test_the_image_holds_code_and_no_secret():
    # `study/` and others come with their app; whatever is not named stays out.
    own = {app.partition(".")[0] for app in settings.INSTALLED_APPS if (BASE / app.partition(".")[0]).is_dir()}
    files = {"granian_server.py", "gunicorn.conf.py", "gunicorn_events.conf.py", "manage.py", "requirements.txt"}
    files.add("docs/openapi.yaml")  # what /api/schema/ answers
    assert own | {"NoteAssist_AI"} | files == set(admitted())
    assert [name for name in admitted() if not (BASE / name).exists()] == []
    kept = [argument for name, argument in instructions() if name in ("ENV", "ARG", "LABEL")]
    assert [argument for argument in kept if re.search("SECRET|KEY|URL|PASSWORD", argument)] == []
    assert [argument for name, argument in instructions() if name == "USER"] == ["10001:10001"]


def test_each_process_starts_as_the_procfile_starts_it():
    def program(command: str) -> list[str]:
        return shlex.split(re.sub(r"^(\w+=\S+ )+", "", interpolated(command, {})))

    for name in ("worker", "beat", "events"):
        assert program(services(GIVEN)[name]["command"]) == program(PROCFILE[name])
    (default,) = [argument for name, argument in instructions() if name == "CMD"]
    assert json.loads(default) == program(PROCFILE["web"])
    migrate, warm = "python manage.py migrate --noinput", "python manage.py warm_caches"
    assert shlex.split(services(GIVEN)["release"]["command"])[-1] == f"{migrate} && {warm}"
    assert migrate in PROCFILE["release"]
    assert warm in PROCFILE["release"]


def test_every_service_is_bounded_watched_and_started_again():
    for name, service in services(GIVEN).items():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}, name
        assert service["restart"] == ("no" if name in ONCE else "unless-stopped"), name
        if name not in ONCE | {"web", "events"}:  # those two have the image's
            assert service["healthcheck"]["test"], name
        for dependency, how in service.get("depends_on", {}).items():
            ready = "service_completed_successfully" if dependency in ONCE else "service_healthy"
            assert how["condition"] == ready, (name, dependency)
    for name in ("web", "events", "worker", "beat"):
        assert "release" in services(GIVEN)[name]["depends_on"], name
    for name in OURS:
        service = services(GIVEN)[name]
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name


def test_nothing_but_the_proxy_is_reached_from_outside():
    assert [name for name, service in services(GIVEN).items() if "ports" in service] == ["proxy"]
    assert yaml.safe_load(COMPOSE)["networks"] == {"data": {"internal": True}}
    assert {name: service["networks"] for name, service in services(GIVEN).items() if "networks" in service} == {
        **{name: ["default", "data"] for name in OURS},
        "postgres": ["data"],
        "redis": ["data"],
    }


def test_every_file_and_variable_that_compose_names_is_known():
    mounted = re.findall(r"^ +- (\./\S+?):", COMPOSE, flags=re.MULTILINE)
    described = set(re.findall(r"^\| `([A-Z_]+)` \|", (BASE / "docs/configuration.md").read_text(), flags=re.MULTILINE))

    assert len(mounted) == 2
    assert [path for path in mounted if not (BASE / path).is_file()] == []
    assert variables_of(COMPOSE) - described == set()
    for name in OURS:
        of_python = {"TMPDIR"}
        assert services(GIVEN)[name]["environment"].keys() - described - of_python == set(), name


# --- The certificate --------------------------------------------------------------------------------------------------


def make_certificate(directory: Path, public_url: str) -> str:
    directory.mkdir(exist_ok=True)
    command = ["sh", BASE / "docs/operations/certificate.sh", directory]
    environment = {"PATH": "/usr/bin:/bin", "PUBLIC_URL": public_url}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=True
    ).stdout.strip()


def names_of(directory: Path) -> list[str]:
    command = ["openssl", "x509", "-in", directory / "server.crt", "-noout", "-ext", "subjectAltName"]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    return shown.splitlines()[1].strip().split(", ")


@pytest.mark.parametrize(
    ("public_url", "name"),
    [
        ("https://notes.lan", "DNS:notes.lan"),
        ("https://notes.example.com:8443/", "DNS:notes.example.com"),
        ("http://192.168.1.20:8080", "IP Address:192.168.1.20"),
        ("https://[fd00::20]:443", "IP Address:FD00:0:0:0:0:0:0:20"),
    ],
)
def test_a_certificate_is_made_for_the_host_of_the_public_url(public_url, name, tmp_path):
    make_certificate(tmp_path / "made", public_url)

    assert names_of(tmp_path / "made") == [name, "DNS:localhost", "IP Address:127.0.0.1"]
    assert (tmp_path / "made/server.key").stat().st_mode & 0o777 == 0o600
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "made/server.crt", tmp_path / "made/server.key")


def test_a_certificate_is_kept_until_its_host_changes(tmp_path):
    make_certificate(tmp_path, "https://notes.lan")
    first = (tmp_path / "server.crt").read_text()

    assert make_certificate(tmp_path, "https://notes.lan") == ""
    assert (tmp_path / "server.crt").read_text() == first
    assert make_certificate(tmp_path, "https://other.lan") == "Made a self-signed certificate for other.lan."
    assert names_of(tmp_path)[0] == "DNS:other.lan"


def test_a_certificate_of_ones_own_is_never_touched(tmp_path):
    for name in ("server.crt", "server.key"):
        (tmp_path / name).write_text("mine")

    make_certificate(tmp_path, "https://notes.lan")

    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"server.crt": "mine", "server.key": "mine"}


# --- Its commands -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.django_db(transaction=True)
def test_the_commands_of_compose_serve_a_student(installation, tmp_path):
    """Each on the image's packages and files, in its service's environment, on ports and engines of this test."""
    engines = {name: environment_of_this_test()[name] for name in ("DATABASE_URL", "REDIS_URL")}
    ports = {"web": free_port(), "events": free_port()}
    given = services({**GIVEN, "PUBLIC_URL": "https://127.0.0.1", "AI_WORKER_CONCURRENCY": "4"})

    def environment_of(name: str) -> dict[str, str]:
        port = {"EVENTS_PORT": str(ports["events"]), "PORT": str(ports.get(name, ports["web"]))}
        return {**given[name]["environment"], **engines, **installation.environment(), **port, "HOSTNAME": "here"}

    def command_of(name: str) -> list[str]:
        return shlex.split(given[name]["command"].replace("/tmp/celerybeat", f"{tmp_path}/celerybeat"))

    def probe(command: str, environment: dict[str, str]) -> None:
        probed = environment_of_this_test(**environment)
        subprocess.run(["sh", "-c", command], cwd=installation.code, env=probed, timeout=100, check=True)

    with ExitStack() as processes:

        def start(name: str):
            arguments = {"cwd": installation.code, **environment_of(name)}
            return processes.enter_context(running(command_of(name), tmp_path / f"{name}.log", **arguments))

        assert start("release").wait(200) == 0, (tmp_path / "release.log").read_text()
        started = {name: start(name) for name in ("web", "events", "worker", "beat")}
        wait_for_consumers(started["worker"])
        started["web"].wait_for_output("Started worker-2")
        client = Client(f"http://127.0.0.1:{ports['web']}")
        wait_until(lambda: client.send("/healthz/ready")["status"] == "ok", START_SECONDS)

        tell(client, "home@example.com")

        wait_until(lambda: "Booting worker" in started["events"].output, START_SECONDS)
        (image_probe,) = [argument for name, argument in instructions() if name == "HEALTHCHECK"]
        for name in ("web", "events"):
            probe(shlex.join(json.loads(image_probe.partition(" CMD ")[2])), environment_of(name))
        probe(given["beat"]["healthcheck"]["test"][1].replace("/tmp", str(tmp_path)), environment_of("beat"))
        node = re.search(r"celery@\S+", started["worker"].output)[0].partition("@")[2]
        probe(given["worker"]["healthcheck"]["test"][1], {**environment_of("worker"), "HOSTNAME": node})
