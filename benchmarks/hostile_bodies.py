"""CPU of a web process for bodies that are made to cost as much as they can: 16 kB on public routes, 2 MB on others."""

import http.client
import itertools
import json
import statistics
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.environment import HOST, bench, machine, server_versions, write_result
from benchmarks.processes import Service, web
from benchmarks.rows import Student, World, access_token, build, headers

BATCHES = 3
REPEATS = 5
PUBLIC_BYTES = 16 * 1024
BYTES = 2 * 1024 * 1024
PUBLIC_ROUTES = {
    "login": ("POST", "/api/auth/login/", '{"email": %}'),
    "register": ("POST", "/api/auth/register/", '{"name": %}'),
    "refresh": ("POST", "/api/auth/refresh/", '{"refresh": %}'),
    "reset": ("POST", "/api/auth/password/reset/", '{"email": %}'),
}
TARGETS = {"public": 20, "signed in": 100}
"""Milliseconds of CPU."""

Cell = dict[str, Any]


def routes_of(student: Student, topic_id: int) -> dict[str, tuple[str, str, str]]:
    """Method, path, and the body around a text."""
    return {
        "profile": ("PATCH", "/api/users/me/", '{"name": %}'),
        "note": ("POST", "/api/notes/", '{"title": %}'),
        "tag": ("POST", "/api/notes/", '{"title": "t", "tags": [%]}'),
        "note, changed": ("PATCH", f"/api/notes/{student.big_note}/", '{"title": %}'),
        "topic": ("PATCH", f"/api/topics/{topic_id}/", '{"explanation": %}'),
        "source": ("PATCH", f"/api/topics/{topic_id}/", '{"sources": [{"title": "s", "url": %}]}'),
        "AI task": ("POST", "/api/ai/tasks/", '{"request_type": "summarize", "request_data": {"content": %}}'),
        "AI type": ("POST", "/api/ai/tasks/", '{"request_type": %}'),
        "notifications": ("POST", "/api/notifications/read/", '{"ids": [%]}'),
    }


def shapes(around: str, size: int) -> dict[str, bytes]:
    """Bodies of this size, each of another kind; ``around`` is the body with ``%`` for a text."""
    start_of_body, end_of_body = (part.encode() for part in around.split("%"))

    def full(start: bytes, piece: bytes, end: bytes) -> bytes:
        return start + piece * ((size - len(start) - len(end)) // len(piece)) + end

    def in_field(start: bytes, piece: bytes, end: bytes) -> bytes:
        return full(start_of_body + start, piece, end + end_of_body)

    values = 95 if size == PUBLIC_BYTES else 9_900  # as many as are read at most, each as long as fits
    length = size // values - 12
    many = b",".join([b'"%s"' % (b"\\n" * (length // 2))] * values)
    return {
        "one long text": in_field(b'"', b"x", b'"'),
        "letters of four bytes": in_field(b'"', "𝄞".encode(), b'"'),
        "escapes": in_field(b'"', b"\\n", b'"'),
        "escaped letters": in_field(b'"', b"\\u0041", b'"'),
        "accents to compose": in_field(b'"', "e\u0301".encode(), b'"'),
        "null characters": in_field(b'"', b"\\u0000", b'"'),
        "numbers": full(b"[", b"0,", b"0]"),
        "lists": in_field(b"[", b"[],", b"[]]"),
        "texts": in_field(b"[", b'"",', b'""]'),
        "nested lists": b"[" * (size // 2) + b"]" * (size // 2),
        "nested objects": full(b"", b'{"a":', b"0"),
        "unknown keys": b"{" + b",".join(b'"%s%d":0' % (b"k" * max(0, length - 8), i) for i in range(values)) + b"}",
        "one unknown key": full(b'{"', b"k", b'": 0}'),
        "a key twice": full(b'{"a": 0, "a": "', b"\\n", b'"}'),
        "as many texts as are read": start_of_body + b"[" + many + b"]" + end_of_body,
        "one long number": in_field(b"", b"9", b""),
        "one long fraction": in_field(b"0.", b"9", b""),
        "white space": in_field(b"", b" ", b"0"),
        "no JSON": full(b"", b"nope ", b""),
    }


def notes() -> dict[str, bytes]:
    """Valid ones that are as much work as they may be, and one that is more."""
    source = {"title": "s", "url": "https://example.com/"}
    links = " ".join(f"[[{'aB' * 95}{number}]]" for number in range(500))

    def note(topics: list[Any], chapters: int) -> bytes:
        return json.dumps(
            {"title": "n", "chapters": [{"title": "c", "topics": topics}] * chapters}, ensure_ascii=False
        ).encode()

    return {
        "1,000 chapters and topics": note([{"title": "t"}] * 99, 10),
        "20 topics of 100 kB": note([{"title": "t", "explanation": "word " * 19_900}] * 20, 1),
        "3,000 sources": note([{"title": "t", "sources": [source] * 50}] * 60, 1),
        "10,000 topics": note([{"title": "t"}] * 100, 100),
        "20 topics of links": note([{"title": "t", "explanation": links}] * 20, 1),
        "20 topics of quotes": note([{"title": "t", "explanation": '"' * 50_000}] * 20, 1),
        **{f"20 topics of {name}": note([{"title": "t", "explanation": text}] * 20, 1) for name, text in texts(94_000)},
    }


def texts(size: int) -> Iterator[tuple[str, str]]:
    """Dear to index or to split; each takes at most so many bytes of a body."""
    letters = [chr(0x4E00 + 7_919 * number % 20_000) for number in range(size // 3)]
    yield "distinct words", " ".join(f"w{number}" for number in range(size // 7))
    yield "`camelCase` words", " ".join(f"aBcDeF{chr(97 + number % 26)}{number}" for number in range(size // 13))
    yield "Chinese letters", "".join(letters)
    yield "Chinese letters, each alone", " ".join(letters[: size // 4])
    yield "emoji", "".join(chr(0x1F300 + number % 600) for number in range(size // 4))
    yield "images never closed", "![" * (size // 2)
    yield "one block of code", f"```\n{'x = 1; ' * (size // 7 - 2)}\n```"
    yield "paragraphs of one letter", "a\n\n" * (size // 5)
    yield "headings", "# a\n" * (size // 5)


def edits() -> dict[str, list[bytes]]:
    """Two texts of one topic, sent in turn: its explanation and its code, each of 94 kB."""
    return {
        f"94 kB of {name} twice": [
            json.dumps({"explanation": f"{end}{text}{end}", "code": text}, ensure_ascii=False).encode()
            for end in ("one ", "two ")
        ]
        for name, text in texts(94_000)
    }


def run() -> dict[str, Any]:
    document: dict[str, Any] = {"machine": machine(), "targets": TARGETS, "cells": []}
    with bench("hostile_bodies") as this:
        document["machine"] |= server_versions(this)
        world = build(this)
        with web(this, WEB_CONCURRENCY="1") as (service, port):
            for cell in measured(world, service, port):
                document["cells"].append(cell)
                print(cell, file=sys.stderr, flush=True)
    write_result("hostile_bodies", document)
    return document


def measured(world: World, service: Service, port: int) -> Iterator[Cell]:
    student = world.readers[0]
    signed_in = headers(access_token("ours", student))
    for route, (method, path, around) in PUBLIC_ROUTES.items():
        for shape, body in shapes(around, PUBLIC_BYTES).items():
            yield cost(service, port, "public", route, shape, (method, path, headers(), body))
    topic = "SELECT min(t.id) FROM notes_topic t JOIN notes_chapter c ON c.id = chapter_id WHERE note_id = %s"
    [[topic_id]] = world.connection.execute(topic, [student.big_note]).fetchall()
    for route, (method, path, around) in routes_of(student, topic_id).items():
        for shape, body in shapes(around, BYTES).items():
            yield cost(service, port, "signed in", route, shape, (method, path, signed_in, body))
    for shape, body in notes().items():
        yield cost(service, port, "notes", "note", shape, ("POST", "/api/notes/", signed_in, body))
    for shape, bodies in edits().items():
        yield cost(service, port, "edits", "topic", shape, ("PATCH", f"/api/topics/{topic_id}/", signed_in, *bodies))


def cost(service: Service, port: int, kind: str, route: str, shape: str, request: tuple[Any, ...]) -> Cell:
    """Milliseconds of CPU of the web process for one such request, and the status of its answer.

    ``request``: method, path, headers, and a body or several in turn.
    """
    method, path, sent_headers, *bodies = request
    in_turn = itertools.cycle(bodies)
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    status = 0
    batches = []
    for _ in range(BATCHES):
        before = service.cpu()
        for _ in range(REPEATS):
            connection.request(method, path, next(in_turn), {**sent_headers, "Content-Type": "application/json"})
            response = connection.getresponse()
            response.read()
            status = response.status
        batches.append((service.cpu() - before) / REPEATS * 1000)
    connection.close()
    ms = statistics.median(batches)  # what else the process does now and then is in one of them
    return {"kind": kind, "route": route, "shape": shape, "bytes": len(bodies[0]), "status": status, "ms": round(ms, 1)}


def table(document: dict[str, Any]) -> str:
    """The dearest route of each shape."""
    lines = ["| | on public routes, 16 kB | on others, 2 MB |", "|---|---|---|"]
    by_shape: dict[str, dict[str, Cell]] = {}
    for cell in document["cells"]:
        dearest = by_shape.setdefault(cell["shape"], {})
        if cell["kind"] not in dearest or dearest[cell["kind"]]["ms"] < cell["ms"]:
            dearest[cell["kind"]] = cell
    for shape, cells in by_shape.items():
        if "public" in cells:
            lines.append(f"| {shape} | {_shown(cells['public'])} | {_shown(cells['signed in'])} |")
    lines += ["", "| A note of | |", "|---|---|"]
    lines += [f"| {shape} | {_shown(cells['notes'])} |" for shape, cells in by_shape.items() if "notes" in cells]
    lines += ["", "| A topic changed to | |", "|---|---|"]
    lines += [f"| {shape} | {_shown(cells['edits'])} |" for shape, cells in by_shape.items() if "edits" in cells]
    return "\n".join(lines)


def _shown(cell: Cell) -> str:
    return f"{cell['ms']:.0f} ms ({cell['route']}: {cell['status']})"
