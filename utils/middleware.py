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
from utils.http.uploads import max_upload_bytes
from utils.monitoring.context import current_request_id
from utils.monitoring.requests import observer, route_of
from utils.postgresql.base import statement_count

logger = logging.getLogger(__name__)

_VALID_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
HEALTH_PATHS = frozenset(("/healthz/live", "/healthz/ready"))
QUIET_SECONDS = 60.0
_ADMIN_PATHS = ("/admin/", "/static/", "/__debug__/")


def is_for_admin(request: HttpRequest) -> bool:
    """Whether the request is for the admin or its files: only there are cookies, and the debug toolbar."""
    return request.path.startswith(_ADMIN_PATHS)


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's ``X-Request-ID`` if it is valid, or a new one."""
    request_id = environ.get("HTTP_X_REQUEST_ID", "")
    return request_id if _VALID_REQUEST_ID.fullmatch(request_id) else secrets.token_hex(12)


NOT_OBSERVED = "noteassist.not-observed"
"""A key of ``request.META`` of requests that no client sent; they are neither counted nor logged."""
STARTED_AT = "noteassist.started-at"
"""A key of ``request.META``: the arrival time, by ``time.perf_counter``; set before Django runs."""


class RequestMiddleware:
    """Take the client's ``X-Request-ID`` or make one, for log lines, problem documents and the response.

    The outermost middleware: it sees each response as the client does, adds the ``RateLimit-*`` headers if the request
    counted against a limit, and counts and logs the request.
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
        request.route = route_of(request.resolver_match)  # type: ignore[attr-defined]  # streams drop resolver_match


def page_outcome(request: HttpRequest) -> str:
    """The result of the request's page cache lookup; ``none`` without a lookup."""
    admission = getattr(request, "admission", None)
    return "none" if admission is None else admission.page.outcome


def _user_id(request: HttpRequest) -> int | None:
    """The signed-in user's id, if it is known already; makes no query."""
    if (user_id := getattr(request, "user_id", None)) is not None:
        return user_id
    session = getattr(request, "session", None)
    if session is None or not session.accessed:
        return None
    signed_in = session.get(SESSION_KEY)
    return None if signed_in is None else int(signed_in)


class ProblemDetailsMiddleware:
    """Converts every error response to a problem document, with DEBUG on or off.

    Views outside REST framework, Django's own 400 and 404 views and other middleware respond with HTML. The admin's
    responses are not converted; errors of shared notes become HTML pages.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or is_for_admin(request):
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
        if is_for_admin(request):
            return None
        if as_application_error(exc) is None:
            return unexpected_error_response(request, exc)
        return problem_exception_handler(exc, {"request": request})


class ContentSecurityPolicyMiddleware(MiddlewareMixin):
    """Adds the settings' Content-Security-Policy to every HTML page without its own, except Django's debug pages."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_html = response.get("Content-Type", "").startswith("text/html")
        # Django's debug pages have inline styles and scripts; Django 6 exempts them, too.
        is_for_developers = settings.DEBUG and response.status_code in (404, 500)
        if is_html and not is_for_developers:
            response.headers.setdefault("Content-Security-Policy", settings.CONTENT_SECURITY_POLICY)
        return response


class RefusePlainHttpMiddleware:
    """Refuse unsafe methods over plain HTTP; a GET is redirected to HTTPS.

    A redirect would come too late: a password in the body has been sent in plain text by then, and the client would not
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
    """Refuse requests for hosts outside ``ALLOWED_HOSTS``, except health checks: platforms send those by IP address.

    Scanners send such requests all day, so they are logged once a minute; Django would log a traceback for each.
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
            return None  # the view counts the bytes of a chunked upload
        return _body_too_large(request, upload or settings.MAX_BODY_BYTES)

    def process_view(self, request: HttpRequest, view: Any, *_: Any) -> HttpResponse | None:
        """Public views accept only small bodies. A chunked body has a length by now, too.

        Public views of the API have ``PublicJSONParser``. All views outside the API (the admin's login) are public.
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
        """Do nothing: ``HostMiddleware`` has checked the host, and the settings disable the rest of Django's method."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        if response.status_code == 304:
            del response["Content-Length"]
        return response


class AdminOnly(MiddlewareMixin):
    """Mixin: runs the middleware for the admin only. The API has no cookies or forms, and is faster without it."""

    def __call__(self, request: HttpRequest) -> Any:
        if is_for_admin(request):
            return super().__call__(request)
        return self.get_response(request)


class AdminSessionMiddleware(AdminOnly, SessionMiddleware):
    pass


class AdminAuthenticationMiddleware(AdminOnly, AuthenticationMiddleware):
    pass


class AdminMessageMiddleware(AdminOnly, MessageMiddleware):
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

    ``X-Page-Cache`` is the result of the page cache lookup (see ``CachedPage``), if there was one.
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
