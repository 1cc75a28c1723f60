"""The web client at ``/``: ES modules without a build step, which use only the public API.

In production the names of static files contain a hash of their content, so the HTML maps every module to its URL by an
import map. The map is inline: the Content-Security-Policy allows it by a nonce, and allows no other inline script.
"""

import hashlib
import json
import re
import secrets
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from accounts.services.demo_accounts import DEMO_EMAIL, DEMO_PASSWORD
from NoteAssist_AI.browser_headers import policy_of_web_client

MODULES = Path(__file__).parent / "web"
SERVICE_WORKER = "sw.js"
_STATIC_URL = re.compile(r'(?:href|src)="(/[^"]+\.(?:css|svg|js))"')


class Library(NamedTuple):
    """A vendored file and its digest; browsers refuse to run a file with another digest."""

    file: str
    integrity: str


LIBRARIES = {
    "preact": Library("preact.js", "sha384-3Rgkh1oBFbGckoNR0M26Dcm3tJndrsR4wWVtheqkHF3OSQbu2HWzxeCXdfvFKN9b"),
    "preact/hooks": Library(
        "preact-hooks.js", "sha384-0UQPCq+P3Zum41ilbk41GsNf+ogWRAeo6Dzd3Y6X5Im2qd9V5MJqDWa9v9eUuZ9z"
    ),
    "@preact/signals-core": Library(
        "signals-core.js", "sha384-4gP5j1ohGwSSHv0B+RUIBPH4wmSIl6v+9clynO+HEit2Mgffe4uCkBENdf7akRXI"
    ),
    "@preact/signals": Library("signals.js", "sha384-Gn07mZDXdFWdPp1e+uR3ihwqOHX0eHZAnwjS6iRgUgzU5cNwBt3EBvOJlkWZzl+B"),
    "htm": Library("htm.js", "sha384-k7/PyxcXOQ/zfJq1v0TM/CcBLQ2m2NzGg2tfHehdgJGqcY7RBwIP4Ye+ssG+QK1I"),
    "markdown-it": Library("markdown-it.js", "sha384-Kft+kSCCoR9IJjWL9bZ0hGclExIRuDDVv54DvHZwr585mSxpkdoxRJrj0HwmpgCX"),
    "dompurify": Library("dompurify.js", "sha384-00SKPQGO9OOUDCVs5+9PK/i1g8ddbLFg+M1LHIEL8WeNryha17wyRJBBCgK26ux1"),
    "temml": Library("temml.js", "sha384-OjICAcSm5BbTDjYuC2+7zMZocuBPQGzREa/iKVKSJYIX8yh+LYhMyP/FucJpm60h"),
    "highlight": Library("highlight.js", "sha384-2f7fURQL4kJaQ73YY8MVgq6LBaed5Dz6Pv9SdsbeAKurWj/0OLDSfrDCdIB18Dsm"),
    "highlight/bash": Library(
        "highlight-bash.js", "sha384-8FqiBkFvhBoCq7xHJ8pB0H0/hBH2FJ0IHl2CcZWpINYY6uyw38RJgZNe5fddwEaa"
    ),
    "highlight/c": Library("highlight-c.js", "sha384-QjLTklOpGRj5BiUGiD7/7RYVgazp8V+oQvLPmM+goByoChSDDxbVf7ztjZ5MtHO2"),
    "highlight/cpp": Library(
        "highlight-cpp.js", "sha384-p1ClIV57O7/nb8vDAVFIhZ7u0/8oonjMxc4Yd8EarzxmLPMiQAV95I0ogb+ZkEFN"
    ),
    "highlight/csharp": Library(
        "highlight-csharp.js", "sha384-/Y02okSZEfrz8yFmiDDj3/KtF/vixqlddULDmRbQpm3mzodelRMVW9a02TKwR6XI"
    ),
    "highlight/go": Library(
        "highlight-go.js", "sha384-r/ODTWqgPwC7it6O0gCXlszLaDESga+Z9PaVcIfITv1CfJ39NpFiz72b2KGWbFBQ"
    ),
    "highlight/java": Library(
        "highlight-java.js", "sha384-WmZNtzcna3shPin4x0B8fSeXgtW14zoyha+gmtNTU53pa/ZImw0O8FmX0x06ETq+"
    ),
    "highlight/javascript": Library(
        "highlight-javascript.js", "sha384-r8C5XKdITWu1xHcHMIfmqgbWZTa0w/MPyAykL+WctwUoeTsEHBo5+jSSoHQ+qFy6"
    ),
    "highlight/python": Library(
        "highlight-python.js", "sha384-1SN2ySEZrgpb2XQB4PRJli/u1Jj5sm1j+Be77jnSNNmKzhUZK8OBkGFFexuOPSHu"
    ),
    "highlight/ruby": Library(
        "highlight-ruby.js", "sha384-AUyGIa32efsNJIJnJtL4/+5aHud13BPHq88Q1QqvIhXYcnCMgJTmvq64W4LuD1Dv"
    ),
    "highlight/rust": Library(
        "highlight-rust.js", "sha384-GGN+S5ob1CnW7D1agsXyjfA+lWHjZh4PXNcFl0in3hHcusBs9NgYuIvQkeK7ylxn"
    ),
    "highlight/sql": Library(
        "highlight-sql.js", "sha384-e1St/oZyx5GxD71Zry3asHLIZmg/b20NgNJLUwvput4g+SZj8Rjuq+aP7pdWC2qh"
    ),
    "highlight/typescript": Library(
        "highlight-typescript.js", "sha384-h0Era/sa5FCAtyCMoAbbbX9lB98KRHNuiO6RNIuiyOP8uOQ7YU9vNT7iVm9SP47K"
    ),
}
"""The vendored libraries by the name that modules import; ``web/vendor/README.md`` has versions and licences."""

LATER = frozenset(
    {
        "account.js", "ai.js", "answer.js", "ask.js", "bell.js", "conflict.js", "events.js", "files/attachments.js",
        "files/export.js", "files/import.js", "files/share.js", "hood.js", "markdown.js", "moving.js", "note.js",
        "outline.js", "passage.js", "proposal.js", "study/cards.js", "study/due.js", "study/exam.js",
        "study/examform.js", "study/exams.js", "study/forecast.js", "study/form.js", "study/log.js", "study/made.js",
        "study/questions.js", "study/quiz.js", "study/quizform.js", "study/quizzes.js", "study/recall.js",
        "study/results.js", "study/screen.js", "study/settings.js", "study/sides.js", "study/stats.js", "tasks.js",
        "topic.js", "tray.js", "versions.js", "words/de.js", "words/ur.js", "markdown-it", "dompurify",
        "code.js", "formulas.js", "temml", *(name for name in LIBRARIES if name.startswith("highlight")),
    }
)  # fmt: skip
"""Modules that are loaded when they are first needed, not at the start."""


def import_map() -> dict[str, dict[str, str]]:
    """The URL of each module by its import name, and the digest of each library by its URL."""
    own = sorted(path.relative_to(MODULES).as_posix() for path in MODULES.rglob("*.js"))
    modules = [name for name in own if not name.startswith("vendor/") and name != SERVICE_WORKER]
    imports = {f"page/{name}": static(f"web/{name}") for name in modules}
    libraries = {name: static(f"web/vendor/{library.file}") for name, library in LIBRARIES.items()}
    integrity = {libraries[name]: library.integrity for name, library in LIBRARIES.items()}
    return {"imports": {**imports, **libraries}, "integrity": integrity}


@require_safe
@gzip_page  # safe to compress: it contains no user's secret and no part of the request
def web_client(request: HttpRequest) -> HttpResponse:
    """The HTML of the web client, with a Content-Security-Policy of its own."""
    nonce = secrets.token_urlsafe(16)
    response = HttpResponse(_rendered(nonce))
    response["Content-Security-Policy"] = policy_of_web_client(nonce=nonce, events_base_url=settings.EVENTS_BASE_URL)
    response["Cache-Control"] = "no-cache"
    return response


def _rendered(nonce: str) -> str:
    modules = import_map()
    urls = [url for name, url in modules["imports"].items() if name.removeprefix("page/") not in LATER]
    context = {
        "nonce": nonce,
        "import_map": json.dumps(modules).replace("<", "\\u003c"),
        "first_modules": [{"url": url, "integrity": modules["integrity"].get(url)} for url in urls],
        "events_base_url": settings.EVENTS_BASE_URL,
        "demo": {"email": DEMO_EMAIL, "password": DEMO_PASSWORD} if settings.ENVIRONMENT == "development" else None,
    }
    return render_to_string("web_client.html", context)


@require_safe
@gzip_page
def service_worker(request: HttpRequest) -> HttpResponse:
    """The service worker, which caches the web client's files. It changes if one of them changes."""
    files = ["/", *_STATIC_URL.findall(_rendered("")), *import_map()["imports"].values()]
    shell = {"version": _version_of_shell(), "files": list(dict.fromkeys(files))}
    source = (MODULES / SERVICE_WORKER).read_text(encoding="utf-8")
    response = HttpResponse(f"const SHELL = {json.dumps(shell)};\n{source}", content_type="text/javascript")
    response["Cache-Control"] = "no-cache"
    return response


def _version_of_shell() -> str:
    """A hash of the HTML and of all files that it may load. In production the HTML alone would do, as it
    contains the files' hashes; in development it does not.
    """
    digest = hashlib.sha256(_rendered("").encode())
    for path in sorted(MODULES.rglob("*")):
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """The icon of pages that name none, such as the admin's: browsers then request this URL."""
    return redirect(static("web/favicon.svg"))
