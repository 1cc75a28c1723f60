"""Fast reads, answered before Django begins: what it does around an answer costs more than most answers.

Nothing is decided a second way. Which read a path names, Django's resolver says; whom the service talks to, and with
which headers, the middleware of the settings. Both are asked once for each path and each kind of client. Token, session
and limits are checked by what the views themselves use. What is not answered here goes on to Django, with what was
found out so far.
"""

import logging
from collections.abc import Callable, Iterable
from functools import cached_property, lru_cache
from http import HTTPStatus
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.exceptions import DisallowedHost
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.db import DatabaseError, connection
from django.http import HttpResponse, QueryDict
from django.urls import re_path, resolve, set_urlconf

from accounts.authentication import ATTEMPT, Attempt, admit_request, read_bearer
from utils.admission import Admission
from utils.logging import current_request_id
from utils.middleware import request_id_of
from utils.pages import Answer, FastRead, FastReads, answer, found_page, named_read
from utils.throttling import limits_of, rate_limit_headers

logger = logging.getLogger(__name__)

_API = "/api/"
_LONGEST_PATH = 100
_PATHS_REMEMBERED = 8192
_CLIENTS_REMEMBERED = 256
# What the headers that the middleware adds to an answer of the API depend on.
_CLIENT = (
    "wsgi.url_scheme", "HTTP_X_FORWARDED_PROTO", "HTTP_HOST", "SERVER_NAME", "SERVER_PORT", "SCRIPT_NAME",
    "HTTP_ORIGIN",
)  # fmt: skip
_NO_QUERY = QueryDict("")
_OF_EACH_ANSWER = ("Content-Type", "Content-Length", "X-Request-ID")

Header = tuple[str, str]


class EarlyRequest:
    """What a read may know of its request. Django's knows more, and is made only where that is needed to read one."""

    def __init__(self, environ: dict[str, Any]) -> None:
        self.META = environ
        self.path = self._of_django.path if environ.get("SCRIPT_NAME") else environ["PATH_INFO"]
        self.admission: Admission | None = None

    @property
    def GET(self) -> QueryDict:
        return self._of_django.GET if self.META.get("QUERY_STRING") else _NO_QUERY

    @cached_property
    def _of_django(self) -> WSGIRequest:
        return WSGIRequest(self.META.copy())


class FastReadMiddleware:
    """WSGI middleware that answers a signed-in GET of a fast read, with every check that its view would make.

    Errors are Django's to tell: a failure is raised again by the view's authentication, and nothing is tried twice.
    """

    def __init__(self, application: WSGIHandler) -> None:
        self.application = application
        self._read_at = lru_cache(_PATHS_REMEMBERED)(_read_at)
        self._headers_for = lru_cache(_CLIENTS_REMEMBERED)(self._ask_middleware)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if environ["REQUEST_METHOD"] != "GET" or not path.startswith(_API) or len(path) > _LONGEST_PATH:
            return self.application(environ, start_response)
        if settings.DEBUG:  # Django's middleware counts the queries of every request
            return self.application(environ, start_response)
        found = self._read_at(path)
        headers = None if found is None else self._headers_for(*map(environ.get, _CLIENT))
        if found is None or headers is None:
            return self.application(environ, start_response)
        request_id = environ["HTTP_X_REQUEST_ID"] = request_id_of(environ)
        token = current_request_id.set(request_id)
        attempt = environ[ATTEMPT] = Attempt()
        try:
            answered = _answer(EarlyRequest(environ), *found, attempt)
            if answered is None:
                return self.application(environ, start_response)
            self.end_request()
        finally:
            current_request_id.reset(token)
        status = answered.status
        usage = attempt.admission.usage if attempt.admission else ()
        own = {**answered.headers(), **rate_limit_headers(usage), "X-Request-ID": request_id}
        start_response(f"{status:d} {status.phrase}", [*headers, *own.items()])
        return [] if answered.body is None else [answered.body]

    def _ask_middleware(self, *client: str | None) -> tuple[Header, ...] | None:
        """The headers that the middleware adds to answers for such a client; None if Django is to answer it."""
        known = {name: value for name, value in zip(_CLIENT, client, strict=True) if value is not None}
        request = WSGIRequest({"REQUEST_METHOD": "GET", "PATH_INFO": _API, "wsgi.input": BytesIO(), **known})
        try:
            request.get_host()
        except DisallowedHost:
            return None  # which Django says of the request itself, and logs then
        request.urlconf = _NOTHING_BUT_MIDDLEWARE  # type: ignore[assignment]
        response = self.application.get_response(request)
        set_urlconf(None)  # the request's own stays with the thread
        if response.status_code != HTTPStatus.OK or response.cookies:
            return None
        return tuple((name, value) for name, value in response.items() if name not in _OF_EACH_ANSWER)

    @staticmethod
    def end_request() -> None:
        """Give the database connection back, as Django does after each request."""
        try:
            if connection.connection is not None:
                connection.close_if_unusable_or_obsolete()
        except DatabaseError:
            logger.exception("A connection could not be given back.")


_NOTHING_BUT_MIDDLEWARE = (re_path("", lambda request: HttpResponse()),)


def _read_at(path: str) -> tuple[FastRead, dict[str, Any]] | None:
    """The fast read at the path, and the arguments of its renderer."""
    match = resolve(path, settings.ROOT_URLCONF)
    view_class = getattr(match.func, "cls", None)
    if view_class is None or not issubclass(view_class, FastReads):
        return None
    read = named_read(view_class, getattr(match.func, "actions", {}).get("get"))
    return None if read is None else (read, match.kwargs)


def _answer(request: EarlyRequest, read: FastRead, kwargs: dict[str, Any], attempt: Attempt) -> Answer | None:
    try:
        claims = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
        if claims is None:
            return None
        admission = admit_request(claims, request, read, limits_of(read.scopes))
        request.admission = attempt.admission = admission
        if admission.denied is not None:
            return None
        if read.renderer is None:
            return found_page(admission.page)
        renderer = read.renderer
        return answer(request, read, admission.page, lambda: renderer(request, claims.user_id, **kwargs))
    except Exception as error:  # noqa: BLE001  # raised again where errors become answers
        attempt.failure = error
        return None
