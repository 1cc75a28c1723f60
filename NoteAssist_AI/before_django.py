"""Fast reads, handled before Django, whose own handling of a request costs more than most responses.

No logic is duplicated. Django's resolver maps a path to its read, once for each path. The middleware of the settings
makes the headers, once for each kind of client. Token, session and limits are checked by the functions that the views
use, and errors are rendered by the same handler.

A view with fast reads must not override some attributes, which is checked when its class is defined
(``utils.page_cache.fast_reads.FastReadMixin``). A system check refuses middleware that is not known to work here.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache, partial
from http import HTTPStatus
from io import BytesIO
from typing import Any, NamedTuple

from django.conf import settings
from django.core.exceptions import DisallowedHost, SynchronousOnlyOperation, TooManyFieldsSent
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest, get_script_name
from django.db import DatabaseError, connection, reset_queries
from django.http import HttpResponse, QueryDict
from django.urls import re_path, resolve, set_urlconf
from rest_framework.exceptions import NotAuthenticated

from accounts.authentication import (
    ADMISSION,
    SessionJWTAuthentication,
    admit_request,
    read_bearer,
)
from accounts.tokens import AccessClaims
from utils.admission.gate import Admission
from utils.admission.throttling import limits_for, rate_limit_headers, too_many_requests
from utils.event_loop import Clients, LoopCall, NeedsThread, require_thread
from utils.http.errors import problem_exception_handler
from utils.http.query import parameters_of
from utils.http.rendering import Rendered
from utils.middleware import NOT_OBSERVED, STARTED_AT, QueryCount, request_id_of
from utils.monitoring.context import current_request_id
from utils.monitoring.requests import observer, route_of
from utils.page_cache.fast_reads import (
    FastReadMixin,
    ReadResponse,
    ReadSpec,
    read_spec_of,
    respond,
)
from utils.page_cache.invalidation import epoch_bump
from utils.postgresql.base import statement_count
from utils.redis.client import breaker

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
_PREFIX = ("SCRIPT_NAME", "SCRIPT_URL", "REDIRECT_URL")
"""Where servers name the prefix of a path, as Django reads it."""
_FAST_REQUEST = "noteassist.fast-request"
"""A key of the environ: the request as the event loop left it to a thread."""
_PER_RESPONSE_HEADERS = ("Content-Type", "Content-Length", "X-Request-ID")

Header = tuple[str, str]


class FastReadMiddleware:
    """WSGI middleware that responds to the GET of a fast read, with all checks of its view.

    Refusals are not logged, so that a guessing client does not fill the log.
    """

    def __init__(self, application: WSGIHandler) -> None:
        self.application = application
        self._read_at = lru_cache(_CACHED_PATHS)(_read_at)
        self._headers_for = lru_cache(_CACHED_CLIENTS)(self._run_middleware)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request = environ.pop(_FAST_REQUEST, None) or self._request_of(environ)
        if request is None:
            return self.application(environ, start_response)
        token = current_request_id.set(request.request_id)
        queries = _begin_counting() if settings.DEBUG else None
        try:
            response = request.respond()
            if response is None:
                request.leave_to_django()
                return self.application(environ, start_response)
            if request.query_count:
                self.end_request()
        finally:
            current_request_id.reset(token)
        if queries is not None:
            response.headers["X-Query-Count"] = str(queries.report(request.as_django))
            if request.cache_outcome:
                response.headers["X-Page-Cache"] = request.cache_outcome
        status, headers, body = request.finish(response)
        start_response(f"{status:d} {status.phrase}", headers)
        return [] if body is None else [body]

    async def respond_in_event_loop(
        self, environ: dict[str, Any], clients: Clients
    ) -> tuple[HTTPStatus, list[Header], bytes | None] | None:
        """Status, headers and body of a light fast read.

        None: the request must be handled by a thread, which calls this application with the same environ. What has been
        counted already is not counted again.
        """
        if settings.DEBUG or breaker.is_open or epoch_bump.is_pending:
            return None
        request = self._request_of(environ)
        if request is None:
            return None
        token = current_request_id.set(request.request_id)
        call = LoopCall(request.respond, clients)
        try:
            response = await call.result()
        except NeedsThread:
            response = None
        finally:
            current_request_id.reset(token)
            request.loop_query_count = call.statement_count
        if response is None:
            environ[_FAST_REQUEST] = request
            return None
        return request.finish(response)

    def _request_of(self, environ: dict[str, Any]) -> "FastRequest | None":
        """The request for a fast read; None if Django must handle it."""
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(_API) or len(path) > _MAX_PATH_LENGTH:
            return None
        read = self._read_at(path)
        headers = None if read is None else self._headers_for(*map(environ.get, _CLIENT))
        return None if read is None or headers is None else FastRequest(environ, read, headers)

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


_NO_QUERY = QueryDict("")
_EMPTY_URLCONF = (re_path("", lambda request: HttpResponse(content_type="application/json")),)


class FastReadRoute(NamedTuple):
    """The fast read at a path: its spec, renderer arguments, known query parameters and route."""

    spec: ReadSpec
    kwargs: dict[str, Any]
    parameters: frozenset[str]
    route: str


def _read_at(path: str) -> FastReadRoute | None:
    """The fast read at the path; None if there is none."""
    match = resolve(path, settings.ROOT_URLCONF)
    view_class = getattr(match.func, "cls", None)
    if view_class is None or not issubclass(view_class, FastReadMixin):
        return None
    if getattr(match.func, "initkwargs", {}).keys() & FastReadMixin.FIXED or _is_decorated(match.func):
        return None  # a decorator or an option adds checks to this route
    spec = read_spec_of(view_class, getattr(match.func, "actions", {}).get("get"))
    if spec is None:
        return None
    return FastReadRoute(spec, match.kwargs, frozenset(parameters_of(match.func, "GET") or ()), route_of(match))


@lru_cache
def _is_decorated(view: Any) -> bool:
    """Whether a route's view has been wrapped by a decorator, which copies all attributes of what it wraps."""
    actions = [view.actions] if hasattr(view, "actions") else []
    return _layers(view) != _layers(view.cls.as_view(*actions))


def _layers(function: Any) -> int:
    return 1 + _layers(function.__wrapped__) if hasattr(function, "__wrapped__") else 0


class FastRequest:
    """A request for a fast read. It has the attributes of Django's ``HttpRequest`` that renderers use."""

    method = "GET"

    def __init__(self, environ: dict[str, Any], read: FastReadRoute, headers: Sequence[Header]) -> None:
        self.started_at: float = environ.get(STARTED_AT) or time.perf_counter()
        self._queries_before = statement_count.value
        self._read, self._headers = read, headers
        self.META = environ
        self.path = environ["PATH_INFO"]  # ASCII, as routes of fast reads are
        if any(map(environ.get, _PREFIX)):
            self.path = get_script_name(environ).rstrip("/") + self.path
        self.route = read.route
        self.request_id = environ["HTTP_X_REQUEST_ID"] = request_id_of(environ)
        self.user_id: int | None = None
        self.admission: Admission | None = None
        self.loop_query_count = 0
        """How many statements PostgreSQL has run for it in the event loop."""

    @property
    def as_django(self) -> Any:
        """This request, for functions that are typed for Django's."""
        return self

    @property
    def GET(self) -> QueryDict:
        """The query as Django reads it."""
        return self._query if self.META.get("QUERY_STRING") else _NO_QUERY

    @cached_property
    def _query(self) -> QueryDict:
        # From a copy, as Django changes the environ, and may need this one.
        return WSGIRequest(self.META.copy()).GET

    @property
    def query_count(self) -> int:
        """How many statements PostgreSQL has run for it."""
        return self.loop_query_count + statement_count.value - self._queries_before

    @property
    def cache_outcome(self) -> str:
        """What the page cache had; empty where it was not looked up."""
        outcome = "none" if self.admission is None else self.admission.page.outcome
        return "" if outcome == "none" else outcome

    def respond(self) -> ReadResponse | None:
        """The response; None if Django must handle the request."""
        spec, request = self._read.spec, self.as_django
        self._queries_before = statement_count.value  # of this thread
        if not self._are_parameters_known():
            return None
        try:
            claims = self._claims()
            if self.admission is None:
                self.admission = admit_request(claims, request, spec, limits_for(None, spec))
            if self.admission.denied is not None:
                raise too_many_requests(self.admission.denied)
            page = self.admission.page
            if page.outcome not in ("hit", "same"):
                if spec.renderer is None:
                    return None
                if not spec.is_light:
                    require_thread()
            return respond(request, spec, page, partial(self._render, claims.user_id))
        except SynchronousOnlyOperation:
            raise NeedsThread from None  # Django does not use its connections in an event loop
        except Exception as error:  # noqa: BLE001  # rendered as for the view, and logged if it is unexpected
            return self._problem(error)

    def _render(self, user_id: int) -> Rendered:
        renderer = self._read.spec.renderer
        assert renderer is not None
        return renderer(self.as_django, user_id, **self._read.kwargs)

    def leave_to_django(self) -> None:
        """Let Django's handling of the request use the same admission, if there was one."""
        self.META[ADMISSION] = self.admission
        self.META[STARTED_AT] = self.started_at

    def finish(self, response: ReadResponse) -> tuple[HTTPStatus, list[Header], bytes | None]:
        """Complete the headers, and have the request counted and logged."""
        status, headers, body = response
        if self.admission is not None:
            headers |= rate_limit_headers(self.admission.usage)
        if observer.is_on:
            observer.observe(
                method=self.method,
                route=self.route,
                status=status.value,
                seconds=time.perf_counter() - self.started_at,
                queries=self.query_count,
                cache_outcome=self.cache_outcome,
                user_id=self.user_id,
                request_id=self.request_id,
            )
        return status, [*self._headers, *headers.items(), ("X-Request-ID", self.request_id)], body

    def _are_parameters_known(self) -> bool:
        try:
            return not self.META.get("QUERY_STRING") or self.GET.keys() <= self._read.parameters
        except TooManyFieldsSent:
            return False

    def _claims(self) -> AccessClaims:
        claims = read_bearer(self.META.get("HTTP_AUTHORIZATION", ""))
        if claims is None:
            raise _not_authenticated()
        self.user_id = claims.user_id
        return claims

    def _problem(self, error: Exception) -> ReadResponse:
        problem = problem_exception_handler(error, {"request": self.as_django})
        headers = {**dict(problem.items()), "Content-Length": str(len(problem.content))}
        return ReadResponse(HTTPStatus(problem.status_code), headers, problem.content)


def _not_authenticated() -> NotAuthenticated:
    error = NotAuthenticated()
    error.auth_header = SessionJWTAuthentication.CHALLENGE  # type: ignore[attr-defined]  # as REST framework does
    return error


def _begin_counting() -> QueryCount:
    reset_queries()
    return QueryCount()
