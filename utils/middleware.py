"""Middleware: request ids, the one error shape, and a count of queries."""

import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.common import CommonMiddleware
from django.utils.deprecation import MiddlewareMixin

from utils.exceptions import (
    CONTENT_TYPE,
    as_application_error,
    not_found_response,
    problem_exception_handler,
    problem_response,
    unexpected_error_response,
)
from utils.logging import current_request_id

logger = logging.getLogger(__name__)

_ACCEPTABLE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_PAGES_FOR_PEOPLE = ("/admin/", "/static/", "/__debug__/")


def is_page_for_people(request: HttpRequest) -> bool:
    """Whether a browser shows the answer as a page: the admin, where alone the debug toolbar appears."""
    return request.path.startswith(_PAGES_FOR_PEOPLE)


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The client's ``X-Request-ID`` if it may be used, or a new one."""
    offered = environ.get("HTTP_X_REQUEST_ID", "")
    return offered if _ACCEPTABLE_REQUEST_ID.fullmatch(offered) else secrets.token_hex(12)


class RequestIdMiddleware:
    """Take the client's ``X-Request-ID`` or make one: in log lines, problem documents and the answer."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request_id = request_id_of(request.META)
        request.request_id = request_id  # type: ignore[attr-defined]
        token = current_request_id.set(request_id)
        try:
            response = self.get_response(request)
        finally:
            current_request_id.reset(token)
        response["X-Request-ID"] = request_id
        return response


class ProblemDetailsMiddleware:
    """Turn every error that is not yet a problem document into one, whoever made it, with DEBUG on as well as off.

    Views outside REST framework, Django's own 400 and 404 pages and other middleware answer in HTML; pages for people
    (the admin) keep theirs.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code < 400 or response.get("Content-Type") == CONTENT_TYPE or is_page_for_people(request):
            return response
        if response.status_code == 404:
            return not_found_response(request)
        code, detail = {
            400: ("bad_request", "The request is malformed."),
            405: ("method_not_allowed", "This method is not allowed here."),
        }.get(response.status_code, ("error", response.reason_phrase))
        allowed = {"Allow": response["Allow"]} if "Allow" in response else {}
        return problem_response(request, status=response.status_code, code=code, detail=detail, headers=allowed)

    def process_exception(self, request: HttpRequest, exc: Exception) -> HttpResponse | None:
        if is_page_for_people(request):
            return None
        if as_application_error(exc) is None:
            return unexpected_error_response(request, exc)
        return problem_exception_handler(exc, {"request": request})


class ContentLengthMiddleware(CommonMiddleware):
    """Django's middleware that tells the length of an answer, but of none that has no body of its own.

    A 304 speaks of the answer that the client has, whose length is not 0.
    """

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        response = super().process_response(request, response)
        if response.status_code == 304:
            del response["Content-Length"]
        return response


class OnlyOnPagesForPeople(MiddlewareMixin):
    """Mixin: middleware that the API has no use for. It knows neither cookies nor forms, and saves their time."""

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


class QueryCountDebugMiddleware(MiddlewareMixin):
    """Under DEBUG, tell in ``X-Query-Count`` how many queries a request took, and warn past a threshold.

    Written with ``process_request`` and ``process_response``, so that ``decorator_from_middleware`` takes it.
    """

    def process_request(self, request: HttpRequest) -> None:
        if settings.DEBUG:
            request.queries_before = len(connection.queries_log)  # type: ignore[attr-defined]
            request.started_at = time.perf_counter()  # type: ignore[attr-defined]

    def process_response(self, request: HttpRequest, response: HttpResponse) -> HttpResponse:
        before = getattr(request, "queries_before", None)
        if before is None:
            return response
        count = len(connection.queries_log) - before
        response["X-Query-Count"] = str(count)
        level = logging.WARNING if count > settings.QUERY_COUNT_WARNING else logging.DEBUG
        elapsed_ms = (time.perf_counter() - request.started_at) * 1000  # type: ignore[attr-defined]
        logger.log(level, "%s %s took %d queries and %.1f ms", request.method, request.path, count, elapsed_ms)
        return response
