"""How ``tests.openai_server`` embeds: texts that speak of one thing, in whatever words, get vectors that are near.

``EMBEDDINGS[name]`` is what it can do to a request instead.
"""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.openai_server import Handler

THINGS = (
    ("car", "automobile", "vehicle", "motorway"),
    ("cat", "kitten", "feline", "purr"),
    ("photosynthesis", "chlorophyll", "leaf", "thylakoid", "sugar"),
    ("bank", "money", "interest", "loan"),
    ("war", "battle", "treaty", "soldiers"),
)
DIMENSION = len(THINGS) + 1
"""The last number is what a text has that speaks of none of them."""
REFUSED = "unspeakable"
TOKENS_EACH = 7


def meaning(text: str, dimension: int = DIMENSION) -> list[float]:
    words = text.lower()
    numbers = [float(sum(words.count(name) for name in names)) for names in THINGS]
    return [*numbers, 0.0 if any(numbers) else 1.0, *[0.0] * (dimension - DIMENSION)]


def texts_of(body: dict[str, Any]) -> list[str]:
    return [body["input"]] if isinstance(body["input"], str) else body["input"]


def _answer(handler: "Handler", body: dict[str, Any], vectors: list[Any], **rest: Any) -> None:
    data = [{"object": "embedding", "index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    usage = {"prompt_tokens": TOKENS_EACH * len(texts_of(body)), "total_tokens": 0}
    handler.send_json(200, {"object": "list", "data": data, "model": body["model"], "usage": usage, **rest})


def ok(handler: "Handler", body: dict[str, Any]) -> None:
    """As common servers do, which refuse a text that is too long for them, and with it the whole request."""
    if any(REFUSED in text for text in texts_of(body)):
        handler.refuse(413, "Input validation error: `inputs` must have less than 512 tokens. Given: 812")
    else:
        _answer(handler, body, [meaning(text) for text in texts_of(body)])


def backwards(handler: "Handler", body: dict[str, Any]) -> None:
    vectors = [meaning(text) for text in texts_of(body)]
    data = [{"index": at, "embedding": vector} for at, vector in enumerate(vectors)]
    handler.send_json(200, {"data": data[::-1], "model": body["model"]})


def longer(handler: "Handler", body: dict[str, Any]) -> None:
    """Another model under the same name."""
    _answer(handler, body, [meaning(text, DIMENSION + 2) for text in texts_of(body)])


def unequal(handler: "Handler", body: dict[str, Any]) -> None:
    _answer(handler, body, [meaning(text, DIMENSION + at) for at, text in enumerate(texts_of(body))])


def too_few(handler: "Handler", body: dict[str, Any]) -> None:
    _answer(handler, body, [meaning(text) for text in texts_of(body)][:-1])


def same_place(handler: "Handler", body: dict[str, Any]) -> None:
    data = [{"index": 0, "embedding": meaning(text)} for text in texts_of(body)]
    handler.send_json(200, {"data": data})


def _with(*numbers: Any) -> Callable[["Handler", dict[str, Any]], None]:
    return lambda handler, body: _answer(handler, body, [list(numbers) for _ in texts_of(body)])


def not_a_number(handler: "Handler", body: dict[str, Any]) -> None:
    vectors = [[float("nan")] * DIMENSION for _ in texts_of(body)]
    assert "NaN" in json.dumps(vectors)
    _answer(handler, body, vectors)


def base64(handler: "Handler", body: dict[str, Any]) -> None:
    _answer(handler, body, ["AACAPwAAAAA=" for _ in texts_of(body)])


def page(handler: "Handler", body: dict[str, Any]) -> None:
    data = b"<html>Welcome</html>"
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def error_in_200(handler: "Handler", body: dict[str, Any]) -> None:
    handler.send_json(200, {"error": {"message": "The server is overloaded", "code": "overloaded"}})


def hang(handler: "Handler", body: dict[str, Any]) -> None:
    handler.wait_until_left()


def slow(handler: "Handler", body: dict[str, Any]) -> None:
    time.sleep(handler.state.slow_seconds)
    ok(handler, body)


def cut(handler: "Handler", body: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')
    handler.close_connection = True


def _refusal(status: int, message: str = "Vendor text, not for users", **headers: str) -> Any:
    return lambda handler, body: handler.refuse(status, message, **headers)


EMBEDDINGS: dict[str, Callable[["Handler", dict[str, Any]], None]] = {
    "ok": ok,
    "backwards": backwards,
    "longer": longer,
    "unequal": unequal,
    "too_few": too_few,
    "same_place": same_place,
    "nan": not_a_number,
    "zero": _with(0, 0.0),
    "empty": _with(),
    "huge": _with(*[0.1] * 16_001),
    "infinite": _with(1e300, 1),
    "texts": _with("1", "2"),
    "truths": _with(True, False),
    "base64": base64,
    "page": page,
    "error_in_200": error_in_200,
    "hang": hang,
    "slow": slow,
    "cut": cut,
    "400": _refusal(400),
    "401": _refusal(401, "Incorrect API key provided"),
    "404": _refusal(
        404,
        "The model does not exist",
    ),
    "429": _refusal(429, "Rate limit reached", Retry_After="120"),
    "500": _refusal(500),
}
