"""Who asks: a bearer token checked in this process, and its session checked in Redis."""

from typing import Any

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.request import Request

from accounts import state
from accounts.models import User
from accounts.tokens import AccessClaims, InvalidToken, read_access
from utils.admission import Admission, Subject, admit
from utils.pages import requested_page
from utils.redis import RedisUnavailable
from utils.throttling import local_counters, requested_limits

_LOADED_FIELDS = ["id", "is_active", "is_staff", "token_version"]


class SessionJWTAuthentication(BaseAuthentication):
    """Access tokens of this service in the ``Authorization: Bearer`` header.

    ``request.user`` holds only what the session's state tells; other fields are deferred. The request's admission (its
    limits and its cached page, from the same round trip) is left on the Django request as ``admission``.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessClaims] | None:
        claims = self.read_claims(request)
        if claims is None:
            return None
        admission = _admission(request, Subject(claims.user_id, claims.session_id, claims.token_version))
        request._request.admission = admission  # type: ignore[attr-defined]
        user = User.from_db("default", _LOADED_FIELDS, [claims.user_id, True, admission.is_staff, claims.token_version])
        return user, claims

    def read_claims(self, request: Request) -> AccessClaims | None:
        """What the request's credential says, verified; None if it has none. Raises ``InvalidToken``."""
        token = _bearer_token(request)
        return None if token is None else read_access(token)

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def claims_of(request: Request) -> AccessClaims:
    """What a signed-in request showed."""
    assert isinstance(request.auth, AccessClaims)
    return request.auth


def _bearer_token(request: Request) -> str | None:
    parts = get_authorization_header(request).split()
    if not parts or parts[0].lower() != b"bearer":
        return None
    if len(parts) != 2:
        raise InvalidToken
    try:
        return parts[1].decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidToken from error


def _admission(request: Request, subject: Subject) -> Admission:
    view = (request.parser_context or {}).get("view")
    limits = requested_limits(view, request)
    asked: dict[str, Any] = {"limits": limits, **requested_page(view, request)}
    try:
        admission = admit(subject, **asked)
        if admission.verdict == "unknown":
            state.remember_state(subject, is_staff=_read_state(subject))
            admission = admit(subject, **asked)
    except RedisUnavailable:
        is_staff = _read_state(subject)
        denied, usage = local_counters.count(subject.user_id, limits)
        return Admission("admitted", is_staff=is_staff, denied=denied, usage=usage)
    if admission.verdict != "admitted":
        # Refused, or marked as out of date between the two steps.
        raise InvalidToken
    return admission


def _read_state(subject: Subject) -> bool:
    is_staff = state.read_state(subject)
    if is_staff is None:
        raise InvalidToken
    return is_staff
