"""Retries without parameters that a server rejects, and remembers them for the process.

OpenAI's own models accept different parameters, and other servers know only some of them.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

from ai_tasks.providers.openai_compatible.reports import Report

MAX_SERVERS = 200
_RENAMED = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_NEEDED = frozenset({"model", "messages"})
_NO_STREAM = re.compile(r"stream\w*.{0,40}(?:not|un) ?support|(?:not|n't) support.{0,20} stream", re.IGNORECASE)

_lock = threading.Lock()
_refused: OrderedDict[tuple[str, str], set[str]] = OrderedDict()


def fitting(options: dict[str, Any], server: tuple[str, str]) -> dict[str, Any]:
    """The options without those that this server (base URL and model) is known to reject."""
    with _lock:
        refused = frozenset(_refused.get(server, ()))
    if not refused:
        return options
    fitted = {name: value for name, value in options.items() if name not in refused}
    for name in refused & options.keys():
        other = _RENAMED.get(name)
        if other and other not in refused:
            fitted[other] = options[name]
    if "stream" not in fitted:
        fitted.pop("stream_options", None)
    return fitted


def remember(name: str, server: tuple[str, str]) -> None:
    """Leave out this parameter for this server from now on."""
    with _lock:
        _refused.setdefault(server, set()).add(name)
        _refused.move_to_end(server)
        while len(_refused) > MAX_SERVERS:
            _refused.popitem(last=False)


def forget() -> None:
    """Forget the parameters of all servers."""
    with _lock:
        _refused.clear()


def refused_parameter(report: Report, sent: Iterable[str]) -> str | None:
    """The sent parameter that the server's error names; None if it names none."""
    names = [name for name in sent if name not in _NEEDED]
    for place in report.places:
        parts = re.split(r"[^\w]+", place.lower())
        for name in names:
            if name in parts:
                return name
    found = []
    for name in names:
        pattern = _NO_STREAM if name == "stream" else re.compile(rf"(?<!\w){name.replace('_', '[_ ]')}(?!\w)", re.I)
        match = pattern.search(report.text)
        if match:
            found.append((match.start(), name))
    return min(found)[1] if found else None
