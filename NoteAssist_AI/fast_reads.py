"""Fast reads, handled before Django, whose own handling of a request costs more than most responses.

No logic is duplicated. Django's resolver maps a path to its read, once for each path. The middleware of the settings
makes the headers, once for each kind of client. Token, session and limits are checked by the functions that the views
use, and errors are rendered by the same handler.

A view with fast reads must not override some attributes, which is checked when its class is defined
(``utils.page_cache.fast_reads.FastReadMixin``). A system check refuses middleware that is not known to work here.
"""

import logging
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import DatabaseError, connection, reset_queries
from django.http import HttpResponse
from django.urls import re_path, resolve, set_urlconf
from rest_framework.exceptions import NotAuthenticated

from accounts.authentication import ADMISSION, SessionJWTAuthentication, admit_request, read_bearer
from NoteAssist_AI.monitoring.context import current_request_id
from NoteAssist_AI.monitoring.requests import observer, route_of
from NoteAssist_AI.postgresql.base import statement_count
from utils.admission.gate import Admission
from utils.admission.throttling import limits_of, rate_limit_headers, scopes_of, too_many_requests
from utils.http.errors import problem_exception_handler
from utils.http.query import parameters_of
from utils.middleware import NOT_OBSERVED, STARTED_AT, QueryCount, page_outcome, request_id_of
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, read_spec_of, respond, response_of

logger = logging.getLogger(__name__)

_API = "/api/"
_MAX_PATH_LENGTH = 100
_CACHED_PATHS = 8192
_CACHED_CLIENTS = 256
# The kind of client: all that the headers of the middleware depend on.
_CLIENT = (
    "wsgi.url_scheme", "HTTP_X_FORWARDED_PROTO", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME",
    "HTTP_ORIGIN",
)  # fmt: skip
_PER_RESPONSE_HEADERS = ("Content-Type", "Content-Length", "X-Request-ID")

Header = tuple[str, str]
ResponseParts = tuple[HTTPStatus, dict[str, str], bytes | None]
"""Status, headers that depend on the response, and body."""


class FastReadMiddleware:
    """WSGI middleware that responds to the GET of a fast read, with all checks of its view.

    Refusals are not logged, so that a guessing client does not fill the log.
    """

    def __init__(self, application: WSGIHandler) -> None:
        self.application = application
        self._read_at = lru_cache(_CACHED_PATHS)(_read_at)
        self._headers_for = lru_cache(_CACHED_CLIENTS)(self._run_middleware)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(_API) or len(path) > _MAX_PATH_LENGTH:
            return self.application(environ, start_response)
        started_at, queries_before = time.perf_counter(), statement_count.value
        found = self._read_at(path)
        headers = None if found is None else self._headers_for(*map(environ.get, _CLIENT))
        if found is None or headers is None:
            return self.application(environ, start_response)
        request_id = environ["HTTP_X_REQUEST_ID"] = request_id_of(environ)
        token = current_request_id.set(request_id)
        request = WSGIRequest(environ.copy())  # a copy, as it changes the environ, which Django may need unchanged
        request.request_id = request_id  # type: ignore[attr-defined]
        queries = _begin_counting() if settings.DEBUG else None
        try:
            parts = _respond(request, found)
            admission: Admission | None = getattr(request, "admission", None)
            if parts is None:
                environ[ADMISSION] = admission
                environ[STARTED_AT] = started_at
                return self.application(environ, start_response)
            self.end_request()
        finally:
            current_request_id.reset(token)
        status, response_headers, body = parts
        if admission is not None:
            response_headers |= rate_limit_headers(admission.usage)
        if queries is not None:
            response_headers["X-Query-Count"] = str(queries.report(request))
            if (outcome := page_outcome(request)) != "none":
                response_headers["X-Page-Cache"] = outcome
        all_headers = [*headers, *response_headers.items(), ("X-Request-ID", request_id)]
        start_response(f"{status:d} {status.phrase}", all_headers)
        if observer.is_on:
            outcome = page_outcome(request)
            observer.observe(
                method="GET",
                route=found.route,
                status=status.value,
                seconds=time.perf_counter() - started_at,
                queries=statement_count.value - queries_before,
                cache_outcome="" if outcome == "none" else outcome,
                user_id=getattr(request, "user_id", None),
                request_id=request_id,
            )
        return [] if body is None else [body]

    def _run_middleware(self, *client: str | None) -> tuple[Header, ...] | None:
        """The headers that the middleware adds for this kind of client; None if Django must handle its requests."""
        known = {name: value for name, value in zip(_CLIENT, client, strict=True) if value is not None}
        request = WSGIRequest(
            {"REQUEST_METHOD": "GET", "PATH_INFO": _API, "wsgi.input": BytesIO(), NOT_OBSERVED: True, **known}
        )
        try:
            request.get_host()
        except DisallowedHost:
            return None  # Django responds, and logs it once
        request.urlconf = _EMPTY_URLCONF  # type: ignore[assignment]
        response = self.application.get_response(request)
        set_urlconf(None)  # else the thread keeps the request's urlconf
        if response.status_code != HTTPStatus.OK or response.cookies:
            return None
        debug_headers = ("X-Query-Count",) if settings.DEBUG else ()
        left_out = (*_PER_RESPONSE_HEADERS, *debug_headers)
        return tuple((name, value) for name, value in response.items() if name not in left_out)

    @staticmethod
    def end_request() -> None:
        """Release the database connection, as Django does after each request."""
        try:
            if connection.connection is not None:
                connection.close_if_unusable_or_obsolete()
        except DatabaseError:
            logger.exception("A database connection could not be released.")


_EMPTY_URLCONF = (re_path("", lambda request: HttpResponse(content_type="application/json")),)


class FastRead(NamedTuple):
    """The fast read at a path: its spec, renderer arguments, known query parameters and route."""

    spec: ReadSpec
    kwargs: dict[str, Any]
    parameters: frozenset[str]
    route: str


def _read_at(path: str) -> FastRead | None:
    """The fast read at the path; None if there is none."""
    match = resolve(path, settings.ROOT_URLCONF)
    view_class = getattr(match.func, "cls", None)
    if view_class is None or not issubclass(view_class, FastReadMixin):
        return None
    if getattr(match.func, "initkwargs", {}).keys() & FastReadMixin.FIXED:
        return None  # this route overrides the checks of the view
    spec = read_spec_of(view_class, getattr(match.func, "actions", {}).get("get"))
    if spec is None:
        return None
    return FastRead(spec, match.kwargs, frozenset(parameters_of(match.func, "GET") or ()), route_of(match))


def _respond(request: WSGIRequest, read: FastRead) -> ResponseParts | None:
    """The response; None if Django must handle the request, which then uses the same admission, if there was one."""
    if request.META.get("QUERY_STRING") and not request.GET.keys() <= read.parameters:
        return None
    spec = read.spec
    try:
        claims = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        if claims is None:
            raise _not_authenticated()
        request.user_id = claims.user_id  # type: ignore[attr-defined]
        admission = admit_request(claims, request, spec, limits_of(scopes_of(None, spec)))
        request.admission = admission  # type: ignore[attr-defined]
        if admission.denied is not None:
            raise too_many_requests(admission.denied)
        if spec.renderer is None:
            response = response_of(admission.page)
        else:
            renderer = spec.renderer
            response = respond(request, spec, admission.page, lambda: renderer(request, claims.user_id, **read.kwargs))
    except Exception as error:  # noqa: BLE001  # rendered as for the view, and logged if it is unexpected
        problem = problem_exception_handler(error, {"request": request})
        headers = {**dict(problem.items()), "Content-Length": str(len(problem.content))}
        return HTTPStatus(problem.status_code), headers, problem.content
    return None if response is None else (response.status, response.headers(), response.body)


def _not_authenticated() -> NotAuthenticated:
    error = NotAuthenticated()
    error.auth_header = SessionJWTAuthentication.CHALLENGE  # type: ignore[attr-defined]  # as REST framework does
    return error


def _begin_counting() -> QueryCount:
    reset_queries()
    return QueryCount()
