"""Security headers for browsers, of the API and its pages; the same in every environment."""

from urllib.parse import urlsplit

CORS_ALLOW_HEADERS = [
    "accept", "authorization", "content-type", "idempotency-key", "if-match", "if-none-match", "last-event-id",
    "x-request-id",
]  # fmt: skip
CORS_EXPOSE_HEADERS = [
    "ETag", "Location", "Retry-After", "X-Request-ID", "RateLimit", "RateLimit-Policy", "RateLimit-Limit",
    "RateLimit-Remaining", "RateLimit-Reset", "Idempotent-Replayed", "Content-Disposition", "WWW-Authenticate",
]  # fmt: skip

CONTENT_SECURITY_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # Swagger UI's style sheet holds its pictures
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Of every HTML page: it loads nothing from elsewhere, and runs no script that stands in the page itself."""


def policy_of_page(*, nonce: str, events_base_url: str) -> str:
    """Of the page at ``/``: its import map has the nonce, and event streams may come from a process of their own."""
    events = urlsplit(events_base_url)
    streams = f" {events.scheme}://{events.netloc}" if events_base_url else ""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "font-src 'self'",
            f"connect-src 'self'{streams}",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        ]
    )
