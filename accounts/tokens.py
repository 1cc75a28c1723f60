"""The three kinds of JWT, all HS256 with ``JWT_SIGNING_KEY``; none is accepted in place of another.

An access token has exactly the claims ``u`` (user), ``v`` (token version), ``s`` (session) and ``exp``. A stream ticket
has the same claims and the audience ``stream``; it is sent in a URL, which may be logged. A refresh token has ``s``,
``g`` (generation), ``exp`` and the audience ``refresh``; it is derived from its session's row, byte for byte, so no
token is stored.

simplejwt's token backend signs and verifies. Its ``Token`` classes are not used: they require ``jti``, ``iat`` and
``token_type``, which would double the length of an access token that is sent with every request.
"""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import jwt
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError
from rest_framework_simplejwt.settings import api_settings

from utils.http.errors import ApplicationError

ACCESS_LIFETIME: timedelta = api_settings.ACCESS_TOKEN_LIFETIME
REFRESH_LIFETIME: timedelta = api_settings.REFRESH_TOKEN_LIFETIME
TICKET_LIFETIME = timedelta(minutes=15)

_MAX_LENGTH = 512
_CACHED_TOKENS = 16_384  # about 6 MB; enough for the current tokens of 10,000 users and renewed ones
_REFRESH_AUDIENCE = "refresh"
_STREAM_AUDIENCE = "stream"


class InvalidToken(ApplicationError):
    """The token is foreign, altered, expired, revoked or of another kind. The response does not say which."""

    code = "token_invalid"
    status_code = HTTPStatus.UNAUTHORIZED
    detail = "The token is invalid or has expired."

    def __init__(self) -> None:
        super().__init__(headers={"WWW-Authenticate": "Bearer"})


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """The claims of a verified access token or ticket. ``expires_at`` is in seconds since 1970."""

    user_id: int
    token_version: int
    session_id: int
    expires_at: int


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """The claims of a verified refresh token."""

    session_id: int
    generation: int


class _CompactTokenBackend(TokenBackend):
    """Leaves out the optional ``typ`` header, 16 bytes of every token."""

    def encode(self, payload: dict[str, Any]) -> str:
        claims = payload if self.audience is None else {**payload, "aud": self.audience}
        return jwt.encode(claims, self.prepared_signing_key, algorithm=self.algorithm, headers={"typ": None})


_access_backend = _CompactTokenBackend(api_settings.ALGORITHM, api_settings.SIGNING_KEY)
_refresh_backend = _CompactTokenBackend(api_settings.ALGORITHM, api_settings.SIGNING_KEY, audience=_REFRESH_AUDIENCE)
_ticket_backend = _CompactTokenBackend(api_settings.ALGORITHM, api_settings.SIGNING_KEY, audience=_STREAM_AUDIENCE)


def issue_access(
    *,
    user_id: int,
    token_version: int,
    session_id: int,
    issued_at: datetime | None = None,
    lifetime: timedelta = ACCESS_LIFETIME,
) -> str:
    """Sign an access token. The same arguments with the same ``issued_at`` give the same token."""
    expires_at = (issued_at or datetime.now(UTC)) + lifetime
    return _access_backend.encode(
        {"u": user_id, "v": token_version, "s": session_id, "exp": int(expires_at.timestamp())}
    )


def read_access(token: str) -> AccessClaims:
    """Verify an access token; verified tokens are cached.

    Does not check whether its session is still live. Raises ``InvalidToken``.
    """
    claims = _verify_access(token)
    if claims.expires_at <= time.time():
        raise InvalidToken
    return claims


@lru_cache(maxsize=_CACHED_TOKENS)
def _verify_access(token: str) -> AccessClaims:
    # Only valid tokens are cached; the caller checks whether they have expired since.
    return _access_claims(_decode(_access_backend, token, {"u", "v", "s", "exp"}))


def _access_claims(claims: dict[str, Any]) -> AccessClaims:
    return AccessClaims(
        user_id=claims["u"], token_version=claims["v"], session_id=claims["s"], expires_at=claims["exp"]
    )


def issue_ticket(*, user_id: int, token_version: int, session_id: int, lifetime: timedelta = TICKET_LIFETIME) -> str:
    """Sign a ticket that gives access to this user's event streams only, while the session is live."""
    expires_at = datetime.now(UTC) + lifetime
    return _ticket_backend.encode(
        {"u": user_id, "v": token_version, "s": session_id, "exp": int(expires_at.timestamp())}
    )


def read_ticket(ticket: str) -> AccessClaims:
    """Verify a stream ticket, as :func:`read_access` does an access token. Raises ``InvalidToken``."""
    return _access_claims(_decode(_ticket_backend, ticket, {"u", "v", "s", "exp", "aud"}))


def issue_refresh(*, session_id: int, generation: int, expires_at: datetime) -> str:
    """Sign the refresh token of this generation of a session."""
    return _refresh_backend.encode({"s": session_id, "g": generation, "exp": int(expires_at.timestamp())})


def read_refresh(token: str) -> RefreshClaims:
    """Verify a refresh token, but not whether it is the session's current one. Raises ``InvalidToken``."""
    claims = _decode(_refresh_backend, token, {"s", "g", "exp", "aud"})
    return RefreshClaims(session_id=claims["s"], generation=claims["g"])


def _decode(backend: TokenBackend, token: str, expected: set[str]) -> dict[str, Any]:
    if len(token) > _MAX_LENGTH:
        raise InvalidToken
    try:
        claims = backend.decode(token)  # type: ignore[arg-type]  # simplejwt's annotation is wrong: it takes the text
    except TokenBackendError as error:
        raise InvalidToken from error
    if claims.keys() != expected:
        raise InvalidToken
    return claims
