"""Collects what a server says about a failure, in any format, without interpreting it.

Servers send ``{"error": {"message", "type", "code", "param"}}``, ``{"error": "…"}``, ``{"detail": [{"loc", "msg"}]}``,
``{"detail": "…"}``, ``{"message": {"detail": …}}``, ``{"object": "error", "message", "code"}``, lists of these, plain
text and a proxy's HTML. So all texts of a document are collected, wherever they are.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import httpx2

from ai_tasks.providers.openai_compatible.retry_after import wait_of

_MAX_NODES = 300
_MAX_TEXT = 2000
_CODES = frozenset({"code", "type", "status", "reason", "error_code", "error_type", "name", "error"})
_PLACES = frozenset({"param", "loc", "parameter", "field"})
_ECHOES = frozenset({"input", "ctx", "url", "messages", "request", "request_id", "traceback"})
"""Fields in which servers repeat the request, or that say nothing about the failure."""


@dataclass(slots=True)
class Report:
    """A failure as the server reports it.

    ``status`` is the HTTP status, or the one that an error inside an answer names; None without either. ``codes`` are
    names of failures in lower case; ``places`` name the parameter at fault; ``text`` is the rest.
    """

    status: int | None = None
    codes: set[str] = field(default_factory=set)
    places: list[str] = field(default_factory=list)
    text: str = ""
    is_html: bool = False
    retry_after: float | None = None

    @property
    def for_the_log(self) -> str:
        """Only the names of failures: a vendor's text may repeat the key or the user's text."""
        return f"{self.status} ({', '.join(repr(code[:50]) for code in sorted(self.codes)[:5])})"


def report_of(response: httpx2.Response, body: bytes) -> Report:
    """Read a response with an error status."""
    text = body.decode(errors="replace").lstrip("\ufeff").strip()
    report = Report(status=response.status_code, retry_after=wait_of(response.headers))
    try:
        _gather(_document_in(text), report)
    except (ValueError, RecursionError):
        # Without a tag it is plain text, whatever the content type says: frameworks label all text as HTML.
        report.is_html = text.startswith("<")
        report.text = text[:_MAX_TEXT]
    return report


def _document_in(text: str) -> Any:
    """Parse JSON, alone or in the data of events, as some servers refuse a stream. Raises ``ValueError``."""
    data = [line.removeprefix("data:") for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(each) for each in data if each.strip() != "[DONE]"] if data else json.loads(text)


def report_in(document: Any, headers: httpx2.Headers) -> Report:
    """Read an error sent in place of an answer, or in the middle of one."""
    report = Report(retry_after=wait_of(headers))
    _gather(document, report)
    return report


def _gather(document: Any, report: Report) -> None:
    texts: list[str] = []
    nodes: deque[tuple[str, Any]] = deque([("", document)])
    for _ in range(_MAX_NODES):
        if not nodes:
            break
        key, node = nodes.popleft()
        match node:
            case dict():
                nodes.extend((str(name).lower(), value) for name, value in node.items() if name not in _ECHOES)
            case list():
                nodes.extend((key, each) for each in node)
            case bool() | None:
                pass
            case int():
                if key in _CODES and report.status is None and 400 <= node < 600:
                    report.status = node
                elif key not in _CODES:
                    texts.append(f"{key} {node}")
            case str():
                _gather_text(key, node[:_MAX_TEXT], report, texts)
    report.text = "\n".join(texts)[:_MAX_TEXT]


def _gather_text(key: str, text: str, report: Report, texts: list[str]) -> None:
    if key in _CODES and " " not in text.strip():
        report.codes.add(text.strip().lower())
        if text.isdigit() and report.status is None and 400 <= int(text[:9]) < 600:
            report.status = int(text)
    if key in _PLACES:
        report.places.append(text)
    elif key == "retrydelay":
        texts.append(f"retry in {text}")
    else:
        texts.append(text)
