"""A server that speaks OpenAI's chat completions on loopback, well or badly as it is told.

In a test: the fixture ``openai_server``. As a process: ``python -m tests.openai_server --port 9000 --default flaky``.

What a request gets is decided by the first of these that says anything:

1. a directive inside its messages, ``[[behave:500,429,stream]]``: the n-th request with that very directive gets the
   n-th behaviour, later ones the last (so ``[[behave:500,stream#17]]`` counts for itself);
2. the script, ``POST /admin/script`` with ``{"script": ["500", "cut"], "default": "stream"}``: one entry per request;
3. the model's name, if it is a behaviour;
4. the default. ``flaky`` picks one of ``FLAKY`` at random, from ``--seed``.

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
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

MODEL = "test-model"
ANSWER = (
    "# An answer\n\nA loop repeats a block of statements. It ends when its condition is false.\n\n"
    "```python\nfor number in range(3):\n    print(number)\n```\n\nThe example prints three numbers.\n"
)
PROMPT_TOKENS, COMPLETION_TOKENS = 42, 37
RETRY_AFTER_SECONDS = 7
HUGE_BYTES = 10 * 1024 * 1024
FLAKY = ["stream", "stream", "stream", "no_usage", "json", "429", "500", "cut", "slow", "drop"]

_DIRECTIVE = re.compile(r"\[\[behave:([^\]#]+)(#[^\]]*)?\]\]")


@dataclass
class State:
    """What a server was told, and what it was asked."""

    default: str = "stream"
    answer: str = ANSWER
    slow_seconds: float = 0.05
    script: deque[str] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
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
            return self.dice.choice(FLAKY) if self.default == "flaky" else self.default


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: "OpenAIServer"

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
            case "/v1/chat/completions":
                self.complete(body)
            case _:
                self.send_json(404, {"error": {"message": "Unknown URL", "code": "unknown_url"}})

    def complete(self, body: dict[str, Any]) -> None:
        behaviour = self.state.behaviour_of(body)
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.state.lock:
            self.state.requests.append({"behaviour": behaviour, "headers": headers, "body": body})
        try:
            BEHAVIOURS[behaviour](self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.note_hang_up()

    # --- Building blocks ---

    @property
    def state(self) -> State:
        return self.server.state

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


USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}


def envelope(kind: str, model: str, **rest: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, **rest}


def pieces_of(text: str, size: int = 12) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


# --- Behaviours -------------------------------------------------------------------------------------------------------


def stream(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, pieces_of(handler.state.answer))


def no_usage(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, pieces_of(handler.state.answer), usage=False)


def slow(handler: Handler, body: dict[str, Any]) -> None:
    def pauses() -> Iterator[str]:
        for piece in pieces_of(handler.state.answer):
            time.sleep(handler.state.slow_seconds)
            yield piece

    handler.stream(body, pauses())


def document(handler: Handler, body: dict[str, Any]) -> None:
    """Not streamed, although streaming was asked for, and without usage."""
    message = {"role": "assistant", "content": handler.state.answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    handler.send_json(200, envelope("chat.completion", body.get("model", MODEL), choices=[choice]))


def refuse_stream_options(handler: Handler, body: dict[str, Any]) -> None:
    if "stream_options" in body:
        handler.refuse(400, "Unrecognized request argument supplied: stream_options")
    else:
        no_usage(handler, body)


def busy(handler: Handler, _body: dict[str, Any]) -> None:
    handler.refuse(429, Retry_After=str(RETRY_AFTER_SECONDS))


def busy_until_date(handler: Handler, _body: dict[str, Any]) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    handler.refuse(429, Retry_After=format_datetime(moment, usegmt=True))


def redirect(handler: Handler, _body: dict[str, Any]) -> None:
    handler.refuse(307, Location="/v1/elsewhere")


def hang(handler: Handler, _body: dict[str, Any]) -> None:
    handler.wait_until_left()


def hang_midway(handler: Handler, body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.wait_until_left()


def drip(handler: Handler, _body: dict[str, Any]) -> None:
    """A byte now and then, for ever: no single read ever times out."""
    handler.start_stream()
    while not handler.server.closing.is_set():
        handler.send_bytes(b":")
        time.sleep(0.02)


def drop(handler: Handler, _body: dict[str, Any]) -> None:
    handler.close_connection = True


def cut(handler: Handler, body: dict[str, Any]) -> None:
    """The connection breaks in the middle of a chunked answer."""
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.close_connection = True


def cut_cleanly(handler: Handler, body: dict[str, Any]) -> None:
    """As HTTP the answer is complete, as a chat completion it is not."""
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.wfile.write(b"0\r\n\r\n")


def garbage(handler: Handler, _body: dict[str, Any]) -> None:
    handler.start_stream("text/html")
    handler.send_bytes(b"<html>\xff\xfe</html>")
    handler.wfile.write(b"0\r\n\r\n")


def garbage_json(handler: Handler, _body: dict[str, Any]) -> None:
    handler.send_json(200, ["what", {"is": "this"}])


def garbage_event(handler: Handler, _body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_bytes(b'data: {"choices": [{"delta"\n\n')
    handler.end_stream()


def odd_event(handler: Handler, _body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_event({"choices": "none", "usage": 7, "model": None})
    handler.end_stream()


def deep_event(handler: Handler, _body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_bytes(b"data: " + b"[" * 500_000 + b"\n\n")
    handler.end_stream()


def error_event(handler: Handler, body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.send_event({"error": {"message": "Vendor text, not for users", "code": "overloaded"}})
    handler.end_stream()


def huge(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, ("x" * 1000 for _ in range(HUGE_BYTES // 1000)))


def huge_event(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, iter(["x" * HUGE_BYTES]))


def huge_document(handler: Handler, body: dict[str, Any]) -> None:
    choice = {"index": 0, "message": {"content": "x" * HUGE_BYTES}, "finish_reason": "stop"}
    handler.send_json(200, envelope("chat.completion", body.get("model", MODEL), choices=[choice]))


def huge_error(handler: Handler, _body: dict[str, Any]) -> None:
    handler.refuse(500, "x" * HUGE_BYTES)


def compressed(handler: Handler, _body: dict[str, Any]) -> None:
    handler.send_json(200, {}, Content_Encoding="gzip")


def nul(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, iter(["A \x00loop", "\x00", " ends."]))


def surrogates(handler: Handler, body: dict[str, Any]) -> None:
    """A pair cut in two between chunks, and a half without its other half."""
    handler.stream(body, iter(["Smile \ud83d", "\ude00 ", "\ud83d end."]))


def refusal(handler: Handler, body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), refusal="I cannot help with that.")
    handler.send_delta(body.get("model", MODEL), "stop")
    handler.end_stream()


def filtered(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, iter(["A loop "]), finish_reason="content_filter")


def length(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, iter(["A loop repeats"]), finish_reason="length")


def empty(handler: Handler, body: dict[str, Any]) -> None:
    handler.stream(body, iter([" \n"]))


def status(code: int) -> Any:
    return lambda handler, _body: handler.refuse(code)


BEHAVIOURS = {
    **{str(code): status(code) for code in (400, 401, 403, 404, 408, 413, 422, 500, 502, 503)},
    "429": busy,
    "429_date": busy_until_date,
    "json": document,
    **{
        behaviour.__name__: behaviour
        for behaviour in (
            stream, no_usage, slow, refuse_stream_options, redirect, hang, hang_midway, drip, drop, cut, cut_cleanly,
            garbage, garbage_json, garbage_event, odd_event, deep_event, error_event, huge, huge_event, huge_document,
            huge_error, compressed, nul, surrogates, refusal, filtered, length, empty,
        )
    },
}  # fmt: skip


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
    parser.add_argument("--slow-seconds", type=float, default=0.05, help="between two chunks of `slow`")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    state = State(default=options.default, slow_seconds=options.slow_seconds, dice=random.Random(options.seed))
    server = OpenAIServer(options.port, state)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.closing.set()


if __name__ == "__main__":
    main()
