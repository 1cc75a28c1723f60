"""Part B: what the first minute of a student costs on a link of 400 kbit/s and 400 ms: counted bytes, computed time."""

import gzip
import json
import socket
from dataclasses import dataclass
from typing import Any

from benchmarks.environment import HOST, bench, machine, server_versions, write_result
from benchmarks.processes import web
from benchmarks.rows import BIG_CHAPTERS, BIG_TOPICS

BITS_PER_SECOND = 400_000
ROUND_TRIP_SECONDS = 0.4
TLS_ROUND_TRIPS = 1  # TLS 1.3
TLS_BYTES = 5_000  # a usual chain of certificates
GZIP_LEVEL = 6
EMAIL, PASSWORD = "load-1@noteassist.local", "load-password"


@dataclass
class Exchange:
    """One request and its answer as they are on the wire."""

    sent: int
    head: int
    body: bytes
    status: int
    headers: dict[str, str]

    def received(self, *, compressed: bool) -> int:
        """Bytes of the answer; compressed as a platform's proxy does where the server has not done so itself."""
        if not compressed or self.headers.get("content-encoding") or not self.body:
            return self.head + len(self.body)
        smaller = len(b"Content-Encoding: gzip\r\n") + len(gzip.compress(self.body, GZIP_LEVEL, mtime=0))
        return self.head + min(len(self.body), smaller)


class Browser:
    """One keep-alive connection that counts."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), timeout=30)

    def ask(self, method: str, path: str, *, body: Any = None, **headers: str) -> Exchange:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: api.example.com", "Accept: application/json"]
        lines += ["Accept-Encoding: gzip, deflate, br", "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        head = "\r\n".join([*lines, "", ""]).encode()
        added_by_proxy = b"X-Forwarded-Proto: https\r\n\r\n"
        self.socket.sendall(head[:-2] + added_by_proxy + content)
        return self._answer(len(head) + len(content))

    def _answer(self, sent: int) -> Exchange:
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._more()
        head, _, body = received.partition(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(body) < length:
            body += self._more()
        return Exchange(sent, len(head) + 4, body, int(status_line.split()[1]), headers)

    def _more(self) -> bytes:
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed the connection")
        return data


def run() -> dict[str, Any]:
    document: dict[str, Any] = {"machine": machine(), "bits_per_second": BITS_PER_SECOND, "rtt": ROUND_TRIP_SECONDS}
    with bench("slow3g") as this:
        document["machine"] |= server_versions(this)
        this.seed_load("--users=1", "--notes=60", f"--chapters={BIG_CHAPTERS}", f"--topics={BIG_TOPICS}")
        with web(this, ALLOWED_HOSTS="127.0.0.1,api.example.com") as (_, port):
            first, again = visits(port)
    document["first"] = [shown(name, exchange) for name, exchange in first]
    document["again"] = [shown(name, exchange) for name, exchange in again]
    document["server_compresses"] = any(exchange.headers.get("content-encoding") for _, exchange in first)
    for visit in ("first", "again"):
        for kind in ("plain", "compressed"):
            document[f"{visit}_{kind}_seconds"] = seconds(document[visit], kind)
    write_result("slow3g", document)
    return document


def visits(port: int) -> tuple[list[tuple[str, Exchange]], list[tuple[str, Exchange]]]:
    """Login, list and detail; then list and detail again with what the browser has kept."""
    browser = Browser(port)
    login = browser.ask("POST", "/api/auth/login/", body={"email": EMAIL, "password": PASSWORD})
    token = {"Authorization": f"Bearer {json.loads(login.body)['access']}"}
    listed = browser.ask("GET", "/api/notes/", **token)
    path = f"/api/notes/{json.loads(listed.body)['results'][0]['id']}/"
    detail = browser.ask("GET", path, **token)
    first = [("login", login), ("list of 20", listed), ("detail", detail)]
    again = [
        ("list of 20", browser.ask("GET", "/api/notes/", **token, If_None_Match=listed.headers["etag"])),
        ("detail", browser.ask("GET", path, **token, If_None_Match=detail.headers["etag"])),
        ("pending", browser.ask("GET", "/api/notifications/pending/", **token)),
    ]
    assert [exchange.status for _, exchange in first] == [200, 200, 200]
    assert [exchange.status for _, exchange in again] == [304, 304, 200]
    return first, again


def shown(name: str, exchange: Exchange) -> dict[str, Any]:
    return {
        "name": name,
        "status": exchange.status,
        "sent": exchange.sent,
        "plain": exchange.received(compressed=False),
        "compressed": exchange.received(compressed=True),
    }


def seconds(exchanges: list[dict[str, Any]], kind: str) -> float:
    """Handshakes, then each request after the answer before it: a round trip and its bytes."""
    handshakes = ROUND_TRIP_SECONDS * (1 + TLS_ROUND_TRIPS) + TLS_BYTES * 8 / BITS_PER_SECOND
    return handshakes + sum(
        ROUND_TRIP_SECONDS + (exchange["sent"] + exchange[kind]) * 8 / BITS_PER_SECOND for exchange in exchanges
    )


def table(document: dict[str, Any]) -> str:
    """Markdown."""
    lines = ["| | status | sent | answer, plain | answer, gzip |", "|---|---|---|---|---|"]
    for visit, title in (("first", "first visit"), ("again", "next visit")):
        for exchange in document[visit]:
            lines.append(
                f"| {title}: {exchange['name']} | {exchange['status']} | {exchange['sent']:,} B | "
                f"{exchange['plain']:,} B | {exchange['compressed']:,} B |"
            )
        lines.append(
            f"| {title}, all, with TCP and TLS | | | {document[f'{visit}_plain_seconds']:.2f} s | "
            f"{document[f'{visit}_compressed_seconds']:.2f} s |"
        )
    return "\n".join(lines)
