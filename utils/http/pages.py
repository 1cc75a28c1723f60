"""HTML pages below ``/s/``, for people who have only a link. Errors are HTML as well, and no page has a script."""

from collections.abc import Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from utils.http.status_titles import title_of

PREFIX = "/s/"
CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "style-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex, nofollow",
}
_TEXTS = {
    404: ("Not found", "The link may have expired, or its owner has revoked it."),
    413: ("Too long", "The request is too large."),
    429: ("Too many requests", "Too many requests. Try again in a moment."),
    503: ("Temporarily unavailable", "This page cannot be shown at the moment. Try again soon."),
}


def is_shared_page(request: HttpRequest) -> bool:
    return request.path.startswith(PREFIX)


def page(request: HttpRequest, template: str, context: Mapping[str, Any], **options: Any) -> HttpResponse:
    """Render an HTML page; ``options`` are passed to ``HttpResponse``."""
    html = render_to_string(template, dict(context), request=request)
    headers = {**HEADERS, **options.pop("headers", {})}
    response = HttpResponse(html, headers=headers, **options)
    response.is_page = True  # type: ignore[attr-defined]
    return response


def error_page(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """Convert an error response to an HTML page. It is the same for all links, so it does not reveal which exist."""
    status = response.status_code
    title, text = _TEXTS.get(status, (title_of(status), "This request cannot be answered."))
    kept = {name: response[name] for name in ("Retry-After", "Allow") if name in response}
    return page(
        request,
        "utils/page_error.html",
        {"title": title, "text": text},
        status=status,
        headers={"Cache-Control": "no-store", **kept},
    )
