"""Who asks: a bearer token checked in this process, and its session checked in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts import state
from accounts.models import User
from accounts.tokens import AccessClaims, InvalidToken, read_access
from utils.admission import Admission, Subject, admit
from utils.pages import FastRead, asked_with, fast_read_of, read_scopes
from utils.redis import RedisUnavailable
from utils.requests import ReadRequest
from utils.throttling import Limit, limits_of, local_counters

ATTEMPT = "noteassist.attempt"
"""Where in a request's ``META`` its :class:`Attempt` is, if there was one."""
_LOADED_FIELDS = ["id", "is_active", "is_staff", "token_version"]


@dataclass
class Attempt:
    """What was found out about a request before Django began."""

    admission: Admission | None = None
    failure: Exception | None = None

    def raise_failure(self) -> NoReturn:
        """And forget it: its traceback leads back here, which would keep the whole request until a collection."""
        assert self.failure is not None
        failure, self.failure = self.failure, None
        try:
            raise failure
        finally:
            del failure


class SessionJWTAuthentication(BaseAuthentication):
    """Access tokens of this service in the ``Authorization: Bearer`` header.

    ``request.user`` holds only what the session's state tells; other fields are deferred. The request's admission (its
    limits and its cached page, from the same round trip) is left on the Django request as ``admission``.
    """

    def authenticate(self, request: Request) -> tuple[User, AccessClaims] | None:
        plain_request = request._request
        attempt: Attempt = plain_request.META.get(ATTEMPT, Attempt())
        admission = attempt.admission
        if admission is not None:
            plain_request.admission = admission  # type: ignore[attr-defined]
        if attempt.failure is not None:
            attempt.raise_failure()
        claims = self.read_claims(request)
        if claims is None:
            return None
        if admission is None:
            view = (request.parser_context or {}).get("view")
            action = getattr(view, "action", None)
            read = fast_read_of(view, action, request)
            admission = admit_request(claims, plain_request, read, limits_of(read_scopes(view, action, request)))
            plain_request.admission = admission  # type: ignore[attr-defined]
        user = User.from_db("default", _LOADED_FIELDS, [claims.user_id, True, admission.is_staff, claims.token_version])
        return user, claims

    def read_claims(self, request: Request) -> AccessClaims | None:
        """What the request's credential says, verified; None if it has none. Raises ``InvalidToken``."""
        return read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


def claims_of(request: Request) -> AccessClaims:
    """What a signed-in request showed."""
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
    claims: AccessClaims, request: ReadRequest, read: FastRead | None, limits: Sequence[Limit]
) -> Admission:
    """Check that the session stands, count the request, and ask for what its read needs of Redis.

    With Redis unreachable the session is read from the database, this process counts, and there is no page.
    Raises ``InvalidToken``.
    """
    subject = Subject(claims.user_id, claims.session_id, claims.token_version)
    asked = asked_with(read, request, claims.user_id)
    try:
        admission = admit(subject, limits=limits, **asked)
        if admission.verdict == "unknown":
            admission = admit(subject, limits=limits, staff_as_read=_read_state(subject), **asked)
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
