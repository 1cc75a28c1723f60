"""Middleware: request ids, limits, the error format, content lengths, query counts, and the admin's own middleware."""

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin

from NoteAssist_AI.monitoring.context import current_request_id
from NoteAssist_AI.monitoring.requests import observer, route_of
from NoteAssist_AI.postgresql.base import statement_count
from NoteAssist_AI.uploads import max_upload_bytes
from utils.admission.throttling import rate_limit_headers
from utils.http.errors import (
    CONTENT_TYPE,
    as_application_error,
    not_found_response,
    problem_exception_handler,
    problem_response,
    unexpected_error_response,
)
from utils.http.json import PUBLIC_MAX_BYTES, BodyTooLarge, PublicJSONParser
from utils.http.pages import error_page, is_shared_page

logger = logging.getLogger(__name__)

_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
HEALTH_PATHS = frozenset(("/healthz/live", "/healthz/ready"))
QUIET_SECONDS = 60.0
_PAGES_FOR_PEOPLE = ("/admin/", "/static/", "/__debug__/")


def is_page_for_people(request: HttpRequest) -> bool:
    """Whether the response is a page for browsers: the admin. Only there the debug toolbar is shown."""
    return request.path.startswith(_PAGES_FOR_PEOPLE)


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's ``X-Request-ID`` if it is valid, or a new one."""
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    return request_id if _VALID_REQUEST_ID.fullmatch(request_id) else secrets.token_hex(12)


NOT_OBSERVED = "noteassist.not-observed"
"""A key of ``request.META``: no client sent this request, so it is neither counted nor logged."""
STARTED_AT = "noteassist.started-at"
"""A key of ``request.META``: when the request arrived, by ``time.perf_counter``; set by what runs before Django."""


class RequestMiddleware:
    """Take the client's ``X-Request-ID`` or make one: in log lines, problem documents and the answer.

    The outermost: it sees each answer as the client does, adds the ``RateLimit-*`` headers of what was counted against
    a limit, and has it counted and logged.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        started_at = request.META.get(STARTED_AT) or time.perf_counter()
        queries = statement_count.value
        request_id = request_id_of(request.META)
        request.request_id = request_id  # type: ignore[attr-defined]
        token = current_request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.reset(token)
        response["X-Request-ID"] = request_id
        admission = getattr(request, "admission", None)
        if admission is not None:
            for name, value in rate_limit_headers(admission.usage).items():
                response[name] = value
        if observer.is_on and NOT_OBSERVED not in request.META:
            outcome = page_outcome(request)
            observer.observe(
                method=request.method or "",
                route=getattr(request, "route", None) or route_of(request.resolver_match),
                status=response.status_code,
                seconds=time.perf_counter() - started_at,
                queries=statement_count.value - queries,
                cache_outcome="" if outcome == "none" else outcome,
                user_id=_user_id(request),
                request_id=request_id,
            )
        return response

    def process_view(self, request: HttpRequest, *_view: Any) -> None:
        request.route = route_of(request.resolver_match)  # type: ignore[attr-defined]  # streams drop the match


def page_outcome(request: HttpRequest) -> str:
    """What the page cache had for a request; ``none`` where it was not looked up."""
    admission = getattr(request, "admission", None)
    return "none" if admission is None else admission.page.outcome


def _user_id(request: HttpRequest) -> int | None:
    """The signed-in user, if that is known already; no query is made for it."""
    if (user_id := getattr(request, "user_id", None)) is not None:
        return user_id
    session = getattr(request, "session", None)
    if session is None or not session.accessed:
        return None
    signed_in = session.get(SESSION_KEY)
    return None if signed_in is None else int(signed_in)


class ProblemDetailsMiddleware:
    """Converts every error response to a problem document, with DEBUG on or off.

    Views outside REST framework, Django's own 400 and 404 pages and other middleware respond with HTML. Pages for
    browsers (the admin) are not converted; shared notes have pages for errors, too.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or is_page_for_people(request):
            return response
        if is_shared_page(request):
            return response if hasattr(response, "is_page") else error_page(request, response)
        if response.get("Content-Type") == CONTENT_TYPE:
            return response
        if response.status_code == 404:
            return not_found_response(request)
        code, detail = {
            400: ("bad_request", "The request is malformed."),
            405: ("method_not_allowed", "This method is not allowed."),
        }.get(response.status_code, ("error", response.reason_phrase))
        allowed = {"Allow": response["Allow"]} if "Allow" in response else {}
        return problem_response(request, status=response.status_code, code=code, detail=detail, headers=allowed)

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        if is_page_for_people(request):
            return None
        if as_application_error(exc) is None:
            return unexpected_error_response(request, exc)
        return problem_exception_handler(exc, {"request": request})


class ContentSecurityPolicyMiddleware(MiddlewareMixin):
    """Sends the policy of the settings with every HTML page that has none of its own.

    The pages that show an error to a developer have none.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_html = response.get("Content-Type", "").startswith("text/html")
        # Django's pages under DEBUG have their styles and scripts in themselves; Django 6 leaves them out, too.
        is_for_developers = settings.DEBUG and response.status_code in (404, 500)
        if is_html and not is_for_developers:
            response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response


class RefusePlainHttpMiddleware:
    """Refuse unsafe methods over plain HTTP, where a GET is redirected to HTTPS.

    A redirect would come too late: the password in the body has crossed the network by then, and the client would not
    notice.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if settings.SECURE_SSL_REDIRECT and not request.is_secure() and request.method not in ("GET", "HEAD"):
            return problem_response(
                request,
                status=400,
                code="https_required",
                detail="Use https. What you sent has crossed the network unencrypted: change any password in it.",
            )
        return self.get_response(request)


class HostMiddleware:
    """Refuse requests for hosts that ``ALLOWED_HOSTS`` does not name, but for health: platforms probe it by address.

    Scanners send such requests all day. They are logged once a minute; Django would log a traceback for each.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self._quiet_until = 0.0
        self._refused = 0

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path in HEALTH_PATHS:
            return self.get_response(request)
        try:
            request.get_host()
        except DisallowedHost:
            request.host_is_refused = True  # type: ignore[attr-defined]
            self._tell(request.META.get("HTTP_HOST", ""))
            return problem_response(
                request, status=400, code="bad_request", detail="This host is not served here (ALLOWED_HOSTS)."
            )
        return self.get_response(request)

    def _tell(self, host: str) -> None:
        self._refused += 1
        now = time.monotonic()
        if now >= self._quiet_until:
            self._quiet_until = now + QUIET_SECONDS
            logger.warning("ALLOWED_HOSTS refused %d requests, the last one for %.100r", self._refused, host)
            self._refused = 0


class BodyLimitMiddleware(MiddlewareMixin):
    """Refuse a body by its length, without reading it; the connection is closed after the response."""

    def process_request(self, request: HttpRequest) -> HttpResponse | None:
        length = request.META.get("CONTENT_LENGTH") or "0"
        size = int(length) if len(length) < 19 else inf
        if size <= settings.MAX_BODY_BYTES:
            return None
        upload = max_upload_bytes(request.method or "", request.path_info)
        if upload is not None and (size <= upload or "HTTP_TRANSFER_ENCODING" in request.META):
            return None  # of a chunked one its view counts the bytes
        return _body_too_large(request, upload or settings.MAX_BODY_BYTES)

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        """Public views accept only small bodies. By now a chunked body has a length, too.

        Public views of the API have ``PublicJSONParser``. All views outside the API, as the admin's login, are public.
        """
        view_class = getattr(view, "cls", None)
        is_public = view_class is None or PublicJSONParser in view_class.parser_classes
        if not is_public or int(request.META.get("CONTENT_LENGTH") or 0) <= PUBLIC_MAX_BYTES:
            return None
        return _body_too_large(request, PUBLIC_MAX_BYTES)


def _body_too_large(request: HttpRequest, limit: int) -> HttpResponse:
    error = BodyTooLarge(f"The request body is larger than {limit} bytes.")
    return problem_response(request, status=error.status_code, code=error.code, detail=error.detail)


class ContentLengthMiddleware(CommonMiddleware):
    """Django's middleware that sets ``Content-Length``, except for a 304.

    The headers of a 304 describe the response that the client has cached, whose length is not 0.
    """

    def process_request(self, request: HttpRequest) -> None:
        """Do nothing: ``HostMiddleware`` has checked the host, and the rest of Django's method is turned off."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        if response.status_code == 304:
            del response["Content-Length"]
        return response


class OnlyOnPagesForPeople(MiddlewareMixin):
    """Mixin: runs the middleware for browser pages only. The API has neither cookies nor forms, and saves the time."""

    def __call__(self, request: HttpRequest) -> Any:
        if is_page_for_people(request):
            return super().__call__(request)
        return self.get_response(request)


class AdminSessionMiddleware(OnlyOnPagesForPeople, SessionMiddleware):
    pass


class AdminAuthenticationMiddleware(OnlyOnPagesForPeople, AuthenticationMiddleware):
    pass


class AdminMessageMiddleware(OnlyOnPagesForPeople, MessageMiddleware):
    pass


class QueryCount:
    """Counts the queries and the time of one request. Works only under DEBUG, when Django records queries."""

    def __init__(self) -> None:
        self._before = len(connection.queries_log)
        self._started_at = time.perf_counter()

    def report(self, request: HttpRequest) -> int:
        """Log and return the number of queries; above a threshold the log line is a warning."""
        count = len(connection.queries_log) - self._before
        level = logging.WARNING if count > settings.QUERY_COUNT_WARNING else logging.DEBUG
        elapsed_ms = (time.perf_counter() - self._started_at) * 1000
        logger.log(level, "%s %s took %d queries and %.1f ms", request.method, request.path, count, elapsed_ms)
        return count


class QueryCountDebugMiddleware(MiddlewareMixin):
    """Under DEBUG, sets ``X-Query-Count`` to a request's number of queries, and logs a warning above a threshold.

    ``X-Page-Cache`` is what the page cache had (see ``CachedPage``), where it was looked up.
    It has ``process_request`` and ``process_response``, so that it works with ``decorator_from_middleware``.
    """

    def process_request(self, request: HttpRequest) -> None:
        if settings.DEBUG:
            request.query_count = QueryCount()  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        counted: QueryCount | None = getattr(request, "query_count", None)
        if counted is not None:
            response["X-Query-Count"] = str(counted.report(request))
            if (outcome := page_outcome(request)) != "none":
                response["X-Page-Cache"] = outcome
        return response
