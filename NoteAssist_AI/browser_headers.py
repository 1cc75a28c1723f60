"""Security headers for browsers; the same in every environment."""

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
        "img-src 'self' data:",  # Swagger UI's style sheet embeds its pictures
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
"""The policy of HTML pages: they load files from this host only, and inline scripts do not run."""


def policy_of_web_client(*, nonce: str, events_base_url: str) -> str:
    """The policy of the web client: its inline import map has the nonce, and event streams may have another origin."""
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
