"""Authentication: the bearer token is verified in this process, its session is checked in Redis."""

from collections.abc import Sequence

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import session_state
from accounts.models import User
from accounts.tokens import AccessClaims, InvalidToken, read_access
from utils.admission.gate import Admission, Subject, admit
from utils.admission.throttling import Limit, limits_for, local_counters
from utils.http.query import unknown_parameters
from utils.page_cache.fast_reads import ReadSpec, admission_arguments, read_spec_of
from utils.redis.client import RedisUnavailable

ADMISSION = "noteassist.admission"
"""The key of ``request.META`` that holds the admission of a request which was admitted before Django handled it."""
_LOADED_FIELDS = ["id", "is_active", "is_staff", "token_version"]


class SessionJWTAuthentication(BaseAuthentication):
    """Authenticates by an access token in the ``Authorization: Bearer`` header.

    ``request.user`` has only the fields of ``_LOADED_FIELDS``; the others are deferred. The request's admission (limits
    and cached page, from the same round trip) is stored on the Django request as ``admission``.
    """

    CHALLENGE = "Bearer"

    def authenticate(self, request: Request) -> tuple[User, AccessClaims] | None:
        plain_request = request._request
        claims = self.read_claims(request)
        if claims is None:
            return None
        plain_request.user_id = claims.user_id  # type: ignore[attr-defined]  # for the request's log line
        admission: Admission | None = plain_request.META.get(ADMISSION)
        if admission is None:
            view = (request.parser_context or {}).get("view")
            spec = read_spec_of(view, getattr(view, "action", None)) if request.method in ("GET", "HEAD") else None
            # A HEAD counts against the same limits as its GET, but no page is looked up for it.
            # Nor for parameters that the view does not read and will refuse: they would name pages without end.
            looked_up = spec if request.method == "GET" and not unknown_parameters(request, view) else None
            admission = admit_request(claims, plain_request, looked_up, limits_for(view, spec))
        plain_request.admission = admission  # type: ignore[attr-defined]
        user = User.from_db("default", _LOADED_FIELDS, [claims.user_id, True, admission.is_staff, claims.token_version])
        return user, claims

    def read_claims(self, request: Request) -> AccessClaims | None:
        """The verified claims of the request's credential; None if it has none. Raises ``InvalidToken``."""
        return read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))

    def authenticate_header(self, request: Request) -> str:
        return self.CHALLENGE


def claims_of(request: Request) -> AccessClaims:
    """The claims of an authenticated request."""
    assert isinstance(request.auth, AccessClaims)
    return request.auth


def read_bearer(header: str) -> AccessClaims | None:
    """The verified claims of an ``Authorization`` header; None if it holds no bearer token. Raises ``InvalidToken``."""
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":
        return None
    token = token.strip()
    if not token or " " in token or not token.isascii():
        raise InvalidToken
    return read_access(token)


def admit_request(
    claims: AccessClaims, request: HttpRequest, spec: ReadSpec | None, limits: Sequence[Limit]
) -> Admission:
    """Check the session, count the request against ``limits`` and look up what its read needs in Redis.

    If Redis is unavailable, the session is read from the database, requests are counted in this process, and there is
    no cached page. Raises ``InvalidToken``.
    """
    subject = Subject(claims.user_id, claims.session_id, claims.token_version)
    looked_up = {} if spec is None else admission_arguments(spec, request, subject)
    try:
        admission = admit(subject, limits=limits, **looked_up)
        if admission.verdict == "unknown":
            admission = admit(subject, limits=limits, staff_as_read=_read_state(subject), **looked_up)
    except RedisUnavailable:
        is_staff = _read_state(subject)
        denied, usage = local_counters.count(subject.user_id, limits)
        return Admission("admitted", is_staff=is_staff, denied=denied, usage=usage)
    if admission.verdict != "admitted":
        # Refused, or revoked between the two calls of admit().
        raise InvalidToken
    return admission


def _read_state(subject: Subject) -> bool:
    is_staff = session_state.read(subject)
    if is_staff is None:
        raise InvalidToken
    return is_staff
