"""What ``tests.openai_server`` can do to a request: one function for each behaviour."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.openai_server import Handler

MODEL = "test-model"
PROMPT_TOKENS, COMPLETION_TOKENS = 42, 37
RETRY_AFTER_SECONDS = 7
HUGE_BYTES = 10 * 1024 * 1024

USAGE = {
    "prompt_tokens": PROMPT_TOKENS,
    "completion_tokens": COMPLETION_TOKENS,
    "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
}


def envelope(kind: str, model: str, **rest: Any) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model, **rest}


def pieces_of(text: str, size: int = 12) -> Iterator[str]:
    return (text[start : start + size] for start in range(0, len(text), size))


def stream(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, pieces_of(handler.answer))


def no_usage(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, pieces_of(handler.answer), usage=False)


def slow(handler: "Handler", body: dict[str, Any]) -> None:
    def pauses() -> Iterator[str]:
        for piece in pieces_of(handler.answer):
            time.sleep(handler.state.slow_seconds)
            yield piece

    handler.stream(body, pauses())


def document(handler: "Handler", body: dict[str, Any]) -> None:
    """Not streamed, although streaming was asked for, and without usage."""
    message = {"role": "assistant", "content": handler.answer}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    handler.send_json(200, envelope("chat.completion", body.get("model", MODEL), choices=[choice]))


def refuse_stream_options(handler: "Handler", body: dict[str, Any]) -> None:
    if "stream_options" in body:
        handler.refuse(400, "Unrecognized request argument supplied: stream_options")
    else:
        no_usage(handler, body)


def busy(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.refuse(429, Retry_After=str(RETRY_AFTER_SECONDS))


def busy_until_date(handler: "Handler", _body: dict[str, Any]) -> None:
    moment = datetime.now(UTC) + timedelta(seconds=90)
    handler.refuse(429, Retry_After=format_datetime(moment, usegmt=True))


def redirect(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.refuse(307, Location="/v1/elsewhere")


def hang(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.wait_until_left()


def hang_midway(handler: "Handler", body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.wait_until_left()


def drip(handler: "Handler", _body: dict[str, Any]) -> None:
    """A byte now and then, for ever: no single read ever times out."""
    handler.start_stream()
    while not handler.server.closing.is_set():
        handler.send_bytes(b":")
        time.sleep(0.02)


def drop(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.close_connection = True


def cut(handler: "Handler", body: dict[str, Any]) -> None:
    """The connection breaks in the middle of a chunked answer."""
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.close_connection = True


def cut_cleanly(handler: "Handler", body: dict[str, Any]) -> None:
    """As HTTP the answer is complete, as a chat completion it is not."""
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.wfile.write(b"0\r\n\r\n")


def garbage(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.start_stream("text/html")
    handler.send_bytes(b"<html>\xff\xfe</html>")
    handler.wfile.write(b"0\r\n\r\n")


def garbage_json(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.send_json(200, ["what", {"is": "this"}])


def garbage_event(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_bytes(b'data: {"choices": [{"delta"\n\n')
    handler.end_stream()


def odd_event(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_event({"choices": "none", "usage": 7, "model": None})
    handler.end_stream()


def deep_event(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_bytes(b"data: " + b"[" * 500_000 + b"\n\n")
    handler.end_stream()


def error_event(handler: "Handler", body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), content="A loop ")
    handler.send_event({"error": {"message": "Vendor text, not for users", "code": "overloaded"}})
    handler.end_stream()


def huge(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, ("x" * 1000 for _ in range(HUGE_BYTES // 1000)))


def huge_event(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, iter(["x" * HUGE_BYTES]))


def huge_document(handler: "Handler", body: dict[str, Any]) -> None:
    choice = {"index": 0, "message": {"content": "x" * HUGE_BYTES}, "finish_reason": "stop"}
    handler.send_json(200, envelope("chat.completion", body.get("model", MODEL), choices=[choice]))


def huge_error(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.refuse(500, "x" * HUGE_BYTES)


def compressed(handler: "Handler", _body: dict[str, Any]) -> None:
    handler.send_json(200, {}, Content_Encoding="gzip")


def nul(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, iter(["A \x00loop", "\x00", " ends."]))


def surrogates(handler: "Handler", body: dict[str, Any]) -> None:
    """A pair cut in two between chunks, and a half without its other half."""
    handler.stream(body, iter(["Smile \ud83d", "\ude00 ", "\ud83d end."]))


def refusal(handler: "Handler", body: dict[str, Any]) -> None:
    handler.start_stream()
    handler.send_delta(body.get("model", MODEL), refusal="I cannot help with that.")
    handler.send_delta(body.get("model", MODEL), "stop")
    handler.end_stream()


def filtered(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, iter(["A loop "]), finish_reason="content_filter")


def length(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, iter(["A loop repeats"]), finish_reason="length")


def empty(handler: "Handler", body: dict[str, Any]) -> None:
    handler.stream(body, iter([" \n"]))


def status(code: int) -> "Behaviour":
    return lambda handler, _body: handler.refuse(code)


Behaviour = Callable[["Handler", dict[str, Any]], None]
BEHAVIOURS: dict[str, Behaviour] = {
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
