"""Debian's nginx with the file that compose.yaml mounts, before the servers that compose.yaml starts."""

import json
import os
import re
import shutil
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.files.images import PDF
from tests.installation.documents import BASE, services
from tests.installation.story import Client, tell
from tests.installation.test_compose import GIVEN, make_certificate
from tests.processes import START_SECONDS, free_port, running, running_worker, wait_until
from tests.servers.wire import is_live
from tests.test_deployment import PRODUCTION

PROGRAM = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(PROGRAM is None, reason="nginx is not installed: apt-get install nginx-light"),
]


@dataclass(frozen=True)
class Site:
    http: int
    https: int

    @property
    def client(self) -> Client:
        return Client(f"https://127.0.0.1:{self.https}", behind_proxy=True)

    def connect(self) -> socket.socket:
        """A connection to the port with encryption."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.https), timeout=60)
        return context.wrap_socket(plain)


def settings_of_nginx(directory: Path, *, web: int, events: int, http: int, https: int) -> Path:
    """The file with this test's ports and paths in place of the containers'."""
    text = (BASE / "docs/operations/nginx.conf").read_text()
    for written, ours in {
        "server web:8000;": f"server 127.0.0.1:{web};",
        "server events:8001;": f"server 127.0.0.1:{events};",
        "listen 8080;": f"listen 127.0.0.1:{http};",
        "listen 8443 ssl http2;": f"listen 127.0.0.1:{https} ssl http2;",
        "/certificates/": f"{directory}/certificates/",
        "/tmp/nginx": f"{directory}/nginx",
    }.items():
        assert written in text, written
        text = text.replace(written, ours)
    path = directory / "nginx.conf"
    path.write_text(text)
    return path


@contextmanager
def running_nginx(directory: Path, *, web: int, events: int) -> Iterator[Site]:
    http, https = free_port(), free_port()
    make_certificate(directory / "certificates", "https://127.0.0.1")
    conf = settings_of_nginx(directory, web=web, events=events, http=http, https=https)
    as_root = ["-g", "user root;"] if os.geteuid() == 0 else []  # the folders of a test are its user's alone
    command = [PROGRAM, "-c", str(conf), "-e", "stderr", "-g", "daemon off;" + "".join(as_root[1:])]
    with running(command, directory / "nginx.log"):
        wait_until(lambda: accepts(https), START_SECONDS, lambda: (directory / "nginx.log").read_text())
        yield Site(http, https)


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def site(django_db_setup, tmp_path_factory) -> Iterator[Site]:
    """nginx, web and events; one set for all tests, since they take long to start."""
    directory = tmp_path_factory.mktemp("site")
    web, events = free_port(), free_port()
    ports = {"PORT": str(web), "EVENTS_PORT": str(events)}
    (directory / "files").mkdir()
    environment = {**PRODUCTION, **ports, "SSE_MAX_STREAMS": "0", "SSE_HEARTBEAT_SECONDS": "1"}
    environment["STORAGE_URL"] = f"file://{directory}/files"
    with ExitStack() as processes:
        for name in ("web", "events"):
            command = services(GIVEN)[name]["command"].split()
            processes.enter_context(running(command, directory / f"{name}.log", **environment))
        site = processes.enter_context(running_nginx(directory, web=web, events=events))
        for port in (web, events):
            wait_until(lambda port=port: is_live(port), START_SECONDS)
        yield site


def rest_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def problem(error: HTTPError) -> dict:
    assert error.headers["Content-Type"] == "application/problem+json"
    return json.load(error)


def test_a_student_works_through_it_and_streams_come_as_they_are_sent(site, tmp_path):
    client = site.client
    with running_worker(tmp_path / "worker.log", **PRODUCTION):
        tell(client, "ada@example.com")

        body = {"request_type": "summarize", "request_data": {"content": "One sentence. Another one. " * 9}}
        task = client.send("/api/ai/tasks/", body)
        assert task["links"]["events"] == f"/api/ai/tasks/{task['task_id']}/events/"
        with client.open(task["links"]["events"]) as stream:
            assert stream.headers["Content-Type"] == "text/event-stream"
            assert b"event: task.succeeded" in stream.read()
        with client.open("/api/notifications/stream/") as stream:
            # The comment of each second of silence arrives while the stream goes on.
            assert any(line.startswith(b":") for line, _ in zip(stream, range(20), strict=False))


def test_a_slow_client_holds_no_thread(site):
    """More slow senders than there are threads: the product answers others all the while."""
    client = site.client
    client.register("ada@example.com")
    head = f"POST /api/notes/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {client.headers['Authorization']}\r\n"
    body = json.dumps({"title": "Slowly"}).encode()
    senders = []
    for _ in range(20):  # and nginx passes on what comes within 30 s
        connection = site.connect()
        connection.sendall(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode())
        connection.sendall(body[:5])
        senders.append(connection)

    assert client.send("/api/notes/")["results"] == []

    senders[-1].sendall(body[5:])
    assert b" 201 Created" in senders[-1].recv(4096)
    assert [note["title"] for note in client.send("/api/notes/")["results"]] == ["Slowly"]
    for connection in senders:
        connection.close()


def test_a_chunked_body_arrives_whole(site):
    client = site.client
    client.register("ada@example.com")
    parts = [b'{"title": "In ', b"x" * 100, b'chunks"}']
    chunks = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts) + b"0\r\n\r\n"
    with site.connect() as connection:
        connection.sendall(
            b"POST /api/notes/ HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: application/json\r\nConnection: close\r\n"
            b"Authorization: " + client.headers["Authorization"].encode() + b"\r\n\r\n" + chunks
        )
        answer = rest_of(connection)

    assert b" 201 Created" in answer
    assert [note["title"] for note in client.send("/api/notes/")["results"]] == [f"In {'x' * 100}chunks"]


def test_bodies_are_refused_by_size_in_the_one_error_shape(site):
    client = site.client
    client.register("ada@example.com")

    with pytest.raises(HTTPError) as upload:  # sent whole
        client.open("/api/notes/", b" " * (10 * 2**20))
    assert (upload.value.code, problem(upload.value)["code"]) == (413, "body_too_large")

    with site.connect() as connection:  # refused by its length
        connection.sendall(b"POST /api/notes/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n")
        refused = rest_of(connection)
    assert refused.startswith(b"HTTP/1.1 413 ")
    assert b"Content-Type: application/problem+json" in refused
    document = json.loads(refused.partition(b"\r\n\r\n")[2])
    assert (document["code"], document["status"]) == ("body_too_large", 413)


def form_of(size: int, name: str = "a.pdf") -> bytes:
    head = f'--boundary\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
    return head + PDF + os.urandom(size - len(PDF)) + b"\r\n--boundary--\r\n"


def upload(site: Site, path: str, body: bytes, authorization: str, *, is_chunked: bool = False) -> tuple[int, dict]:
    """The status of the answer, and its document. The body is sent to its end, or until the connection is closed."""
    framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {len(body)}"
    parts = [body[at : at + 65536] for at in range(0, len(body), 65536)]
    with site.connect() as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=boundary\r\n"
            f"Authorization: {authorization}\r\nConnection: close\r\n{framing}\r\n\r\n".encode()
        )
        with suppress(OSError):
            for part in parts:
                connection.sendall(b"%x\r\n%s\r\n" % (len(part), part) if is_chunked else part)
            connection.sendall(b"0\r\n\r\n" if is_chunked else b"")
        head, _, document = rest_of(connection).partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(document[document.index(b"{") : document.rindex(b"}") + 1])


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_file_of_ten_megabytes_arrives_whole(site, is_chunked):
    client = site.client
    client.register("ada@example.com")
    path = f"/api/notes/{client.send('/api/notes/', {'title': 'Cells'})['id']}/attachments/"

    answer = upload(site, path, form_of(10 * 2**20), client.headers["Authorization"], is_chunked=is_chunked)

    assert (answer[0], answer[1].get("size")) == (201, 10 * 2**20)


@pytest.mark.parametrize(
    ("size", "is_known", "answer"),
    [
        (10 * 2**20, False, (401, "token_invalid")),
        (10 * 2**20 + 1, True, (413, "body_too_large")),
        (12 * 2**20, True, (413, "body_too_large")),
    ],
)
def test_a_file_that_is_not_wanted_is_refused_in_the_one_error_shape(site, size, is_known, answer):
    client = site.client
    client.register("ada@example.com")
    path = f"/api/notes/{client.send('/api/notes/', {'title': 'Cells'})['id']}/attachments/"
    authorization = client.headers["Authorization"] if is_known else "Bearer of-nobody"

    status, document = upload(site, path, form_of(size), authorization)

    assert (status, document["code"]) == answer


def test_an_archive_of_fifty_megabytes_is_taken(site):
    client = site.client
    client.register("ada@example.com")

    answer = upload(site, "/api/notes/imports/", form_of(50 * 2**20, "notes.zip"), client.headers["Authorization"])

    assert (answer[0], answer[1].get("status")) == (202, "queued")


@pytest.mark.parametrize("name", ["X-Forwarded-For", "X_Forwarded_For"])
def test_no_header_chooses_the_address_that_limits_count_by(name, site):
    client = site.client
    client.headers[name] = "203.0.113.9"
    client.register("ada@example.com")

    (session,) = client.send("/api/auth/sessions/")["results"]

    assert session["address"] == "127.0.0.1"


def test_what_comes_unencrypted_is_led_to_https(site):
    with socket.create_connection(("127.0.0.1", site.http), timeout=60) as connection:
        connection.sendall(
            b"GET /api/notes/ HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
        )
        answer = rest_of(connection)

    assert answer.startswith(b"HTTP/1.1 301 ")
    assert b"Location: https://127.0.0.1/api/notes/\r\n" in re.sub(b"location", b"Location", answer)


def test_without_the_product_the_proxy_says_so_in_the_one_error_shape(tmp_path):
    with running_nginx(tmp_path, web=free_port(), events=free_port()) as site, pytest.raises(HTTPError) as error:
        site.client.send("/api/notes/")

    document = problem(error.value)
    assert (document["status"], document["code"], error.value.headers["Retry-After"]) == (503, "unavailable", "5")
