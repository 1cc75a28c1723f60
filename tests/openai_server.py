"""A server that speaks OpenAI's chat completions and embeddings on loopback, well or badly as it is told.

In a test: the fixture ``openai_server``. As a process: ``python -m tests.openai_server --port 9000 --default flaky``.

What a request gets is decided by the first of these that says anything:

1. a directive inside its messages, ``[[behave:500,429,stream]]``: the n-th request with that very directive gets the
   n-th behaviour, later ones the last (so ``[[behave:500,stream#17]]`` counts for itself);
2. the script, ``POST /admin/script`` with ``{"script": ["500", "cut"], "default": "stream"}``: one entry per request;
3. the model's name, if it is a behaviour;
4. the default. ``flaky`` picks one of ``--flaky`` at random, from ``--seed``.

With ``--numbered`` no two answers are equal: each ends with the number of its request.

What asks for embeddings gets the next of ``embedding_script``, or ``embedding_default``: see ``embedding_behaviours``.

``GET /admin/requests`` shows what was asked; ``POST /admin/reset`` forgets it all.
"""

import argparse
import json
import random
import re
import select
import socket
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from tests.embedding_behaviours import EMBEDDINGS, texts_of
from tests.openai_behaviours import BEHAVIOURS, MODEL, USAGE, envelope

ANSWER = (
    "# An answer\n\nA loop repeats a block of statements. It ends when its condition is false.\n\n"
    "```python\nfor number in range(3):\n    print(number)\n```\n\nThe example prints three numbers.\n"
)
FLAKY = ["stream", "stream", "stream", "no_usage", "json", "429", "500", "cut", "slow", "drop"]

_DIRECTIVE = re.compile(r"\[\[behave:([^\]#]+)(#[^\]]*)?\]\]")


@dataclass
class State:
    """What a server was told, and what it was asked."""

    default: str = "stream"
    answer: str = ANSWER
    numbered: bool = False
    flaky: list[str] = field(default_factory=lambda: FLAKY)
    slow_seconds: float = 0.05
    script: deque[str] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    embedding_script: deque[str] = field(default_factory=deque)
    embedding_default: str = "ok"
    embedded: list[list[str]] = field(default_factory=list)
    """The texts of each request for embeddings."""
    embedding_headers: list[dict[str, str]] = field(default_factory=list)
    hung_up: int = 0
    """How many clients left before their answer was complete."""
    seen: dict[str, int] = field(default_factory=dict)
    dice: random.Random = field(default_factory=random.Random)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def behaviour_of(self, body: dict[str, Any]) -> str:
        with self.lock:
            directive = _DIRECTIVE.search(json.dumps(body.get("messages", [])))
            if directive:
                steps = directive[1].split(",")
                count = self.seen.get(directive[0], 0)
                self.seen[directive[0]] = count + 1
                return steps[min(count, len(steps) - 1)].strip()
            if self.script:
                return self.script.popleft()
            if body.get("model") in BEHAVIOURS:
                return body["model"]
            return self.dice.choice(self.flaky) if self.default == "flaky" else self.default


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "OpenAIServer"
    number = 0

    def do_GET(self) -> None:
        if self.path == "/admin/requests":
            with self.state.lock:
                self.send_json(200, {"requests": self.state.requests, "hung_up": self.state.hung_up})
        else:
            self.send_json(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        match urlsplit(self.path).path:
            case "/admin/script":
                with self.state.lock:
                    self.state.script = deque(body.get("script", []))
                    self.state.default = body.get("default", self.state.default)
                    self.state.answer = body.get("answer", self.state.answer)
                self.send_json(200, {})
            case "/admin/reset":
                with self.state.lock:
                    self.state.script.clear()
                    self.state.requests.clear()
                    self.state.seen.clear()
                    self.state.default, self.state.answer, self.state.hung_up = "stream", ANSWER, 0
                self.send_json(200, {})
            case "/v1/chat/completions" | "/v1/elsewhere":  # where `redirect` leads, with a good answer
                self.complete(body)
            case "/v1/embeddings":
                self.embed(body)
            case _:
                self.send_json(404, {"error": {"message": "Unknown URL", "code": "unknown_url"}})

    def embed(self, body: dict[str, Any]) -> None:
        with self.state.lock:
            self.state.embedded.append(texts_of(body))
            self.state.embedding_headers.append({name.lower(): value for name, value in self.headers.items()})
            script = self.state.embedding_script
            behaviour = script.popleft() if script else self.state.embedding_default
        try:
            EMBEDDINGS[behaviour](self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.note_hang_up()

    def complete(self, body: dict[str, Any]) -> None:
        behaviour = "stream" if self.path == "/v1/elsewhere" else self.state.behaviour_of(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.state.lock:
            self.state.requests.append({"behaviour": behaviour, "headers": headers, "body": body})
            self.number = len(self.state.requests)
        try:
            BEHAVIOURS[behaviour](self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.note_hang_up()

    # --- Building blocks ---

    @property
    def state(self) -> State:
        return self.server.state

    @property
    def answer(self) -> str:
        return f"{self.state.answer}\nThis is answer {self.number}.\n" if self.state.numbered else self.state.answer

    def note_hang_up(self) -> None:
        self.close_connection = True
        with self.state.lock:
            self.state.hung_up += 1

    def send_json(self, status: int, document: Any, **headers: str) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int, message: str = "Vendor text, not for users", **headers: str) -> None:
        self.send_json(status, {"error": {"message": message, "type": "test", "code": f"vendor_{status}"}}, **headers)

    def start_stream(self, content_type: str = "text/event-stream; charset=utf-8") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def send_bytes(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def send_event(self, document: Any) -> None:
        self.send_bytes(b"data: " + json.dumps(document).encode() + b"\n\n")

    def send_delta(self, model: str, finish_reason: str | None = None, **delta: Any) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        self.send_event(envelope("chat.completion.chunk", model, choices=[choice]))

    def end_stream(self) -> None:
        self.send_bytes(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def stream(
        self, body: dict[str, Any], pieces: Iterator[str], *, usage: bool = True, finish_reason: str = "stop"
    ) -> None:
        model = body.get("model", MODEL)
        self.start_stream()
        self.send_delta(model, role="assistant", content="")
        for piece in pieces:
            self.send_delta(model, content=piece)
        self.send_delta(model, finish_reason)
        if usage and (body.get("stream_options") or {}).get("include_usage"):
            self.send_event(envelope("chat.completion.chunk", model, choices=[], usage=USAGE))
        self.end_stream()

    def wait_until_left(self) -> None:
        """Say nothing until the client leaves or the server closes."""
        while not self.server.closing.is_set():
            readable, _, _ = select.select([self.connection], [], [], 0.05)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.note_hang_up()
                return
        self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Quiet."""


# --- Running ----------------------------------------------------------------------------------------------------------


class OpenAIServer(ThreadingHTTPServer):
    """Give ``base_url`` to ``AI_BASE_URL``; script it through ``state``."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 512

    def __init__(self, port: int = 0, state: State | None = None) -> None:
        self.state = state or State()
        self.closing = threading.Event()
        super().__init__(("127.0.0.1", port), Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has left is none; anything else is a mistake of this server's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


@contextmanager
def running_server() -> Iterator[OpenAIServer]:
    """A server in a thread of this process."""
    server = OpenAIServer()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server for tests.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--default", default="stream", choices=["flaky", *BEHAVIOURS])
    parser.add_argument("--flaky", nargs="+", default=FLAKY, choices=[*BEHAVIOURS], metavar="BEHAVIOUR")
    parser.add_argument("--numbered", action="store_true", help="make no two answers equal")
    parser.add_argument("--slow-seconds", type=float, default=0.05, help="between two chunks of `slow`")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    state = State(
        default=options.default,
        numbered=options.numbered,
        flaky=options.flaky,
        slow_seconds=options.slow_seconds,
        dice=random.Random(options.seed),
    )
    server = OpenAIServer(options.port, state)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.closing.set()


if __name__ == "__main__":
    main()
