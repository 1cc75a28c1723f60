"""Reads whose answers are bytes: kept as pages of the cache, and made without Django where that is possible."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from rest_framework.request import Request
from rest_framework.response import Response

from utils.admission import NO_PAGE, Admission, Page
from utils.caching import abandon_page, await_page, store_page
from utils.json import MEDIA_TYPE
from utils.query_optimization import CacheOptimizer
from utils.redis_scripts import ScriptCall
from utils.rendering import Rendered, render
from utils.requests import ReadRequest
from utils.throttling import DEFAULT_SCOPES, scopes_of

MAX_PAGE_BYTES = 256 * 1024
"""A longer answer is made anew each time: no user's pages may crowd out those of all others."""
_MAX_TAGS = 10


@dataclass(frozen=True, slots=True)
class FastRead:
    """How an action of a view is read."""

    ttl: int | None = None
    """Seconds that the answer is kept as a page; None: it is made anew each time."""
    has_query: bool = True
    """Whether the answer depends on the query's parameters, so that there is a page for each arrangement of them."""
    renderer: Callable[..., Rendered] | None = None
    """Makes the answer before Django begins, from the request, the user's id and the path's arguments; what it raises,
    the view raises. Without it only a kept page is answered so early."""
    scopes: Sequence[str] = DEFAULT_SCOPES
    beside: Callable[[int], ScriptCall] | None = None
    """A script for the user that is asked in the admission's round trip: its answer is ``request.admission.beside``."""


class FastReads:
    """Mixin of views that names its fast reads by action, or by method (``"get"``) where there are no actions.

    The methods themselves are decorated with :func:`fast_read`.
    """

    fast_reads: Mapping[str, FastRead] = {}


def fast_read_of(view: Any, action: str | None, request: HttpRequest | Request) -> FastRead | None:
    """``view`` is a view or its class."""
    return named_read(view, action) if request.method == "GET" else None


def read_scopes(view: Any, action: str | None, request: HttpRequest | Request) -> Sequence[str]:
    """The scopes of the limits that the request counts against; a HEAD costs what its GET costs."""
    read = named_read(view, action) if request.method in ("GET", "HEAD") else None
    return scopes_of(view) if read is None else read.scopes


def named_read(view: Any, action: str | None) -> FastRead | None:
    """The fast read that a view, or its class, names for an action; ``get`` where there are no actions."""
    reads: Mapping[str, FastRead] = getattr(view, "fast_reads", {})
    return reads.get(action or "get")


def page_name(read: FastRead, request: ReadRequest) -> str:
    """A name for a page, unique among the pages of one user, however the query's parameters are arranged."""
    if not read.has_query or not request.META.get("QUERY_STRING"):
        return request.path
    return CacheOptimizer.get_cache_key("page", request.path, dict(request.GET.lists()))


def asked_with(read: FastRead | None, request: ReadRequest, user_id: int) -> dict[str, Any]:
    """What a read asks of Redis beside the admission, as arguments of :func:`utils.admission.admit`."""
    if read is None:
        return {}
    asked: dict[str, Any] = {}
    if read.beside is not None:
        asked["beside"] = read.beside(user_id)
    if read.ttl is not None:
        asked["page_name"] = page_name(read, request)
        asked["if_none_match"] = _known_tags(request)
    return asked


def opaque_tags(header: str) -> list[str]:
    """The tags of an ``If-Match`` or ``If-None-Match`` header without quotes and ``W/``, as gzip weakens tags."""
    return [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()]


def _known_tags(request: ReadRequest) -> list[str]:
    """The tags of the answers that the client has, ``*`` for any; of more than a few the first."""
    header = request.META.get("HTTP_IF_NONE_MATCH")
    return opaque_tags(header)[:_MAX_TAGS] if header else []


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fast read says. ``body`` is None where the client has it already."""

    etag: str
    body: bytes | None = None

    @property
    def status(self) -> HTTPStatus:
        return HTTPStatus.NOT_MODIFIED if self.body is None else HTTPStatus.OK

    def headers(self) -> dict[str, str]:
        """A client may keep the answer but must ask about it before it shows it again."""
        headers = {"ETag": f'"{self.etag}"', "Cache-Control": "private, no-cache"}
        if self.body is not None:
            headers |= {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(self.body))}
        return headers

    def response(self) -> HttpResponse:
        if self.body is None:
            return HttpResponseNotModified(headers=self.headers())
        return HttpResponse(self.body, headers=self.headers())


def answer(request: ReadRequest, read: FastRead, page: Page, make: Callable[[], Rendered]) -> Answer:
    """Answer from the page cache; else make the answer, and keep it as the page where it may be kept.

    Of requests that miss the same page at once, one makes it and the others wait for what it stores.
    """
    if found := found_page(page):
        return found
    if page.outcome == "busy" and (awaited := await_page(page.key)):
        return conditional(request, awaited)
    try:
        rendered = make()
    except Exception:
        if page.outcome == "miss":
            abandon_page(page.key)
        raise
    if page.outcome == "miss" and read.ttl is not None:
        if len(rendered.body) <= MAX_PAGE_BYTES:
            store_page(page.key, etag=rendered.etag, body=rendered.body, ttl=read.ttl)
        else:
            abandon_page(page.key)
    return conditional(request, rendered)


def found_page(page: Page) -> Answer | None:
    """The answer if the page cache has it."""
    if page.outcome == "same":
        return Answer(page.etag)
    return Answer(page.etag, page.body) if page.outcome == "hit" else None


def conditional(request: ReadRequest, rendered: Rendered) -> Answer:
    """The rendered answer, without its body if the client has it."""
    tags = _known_tags(request)
    return Answer(rendered.etag, None if rendered.etag in tags or "*" in tags else rendered.body)


def fast_read(method: Callable[..., Response | Rendered]) -> Callable[..., HttpResponse]:
    """Decorate the method of a fast read. It is called where the answer was not given before Django began.

    A response's ``ETag`` is its tag where it sets one.
    """

    @wraps(method)
    def answered(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        def make() -> Rendered:
            made = method(self, request, *args, **kwargs)
            if isinstance(made, Rendered):
                return made
            return render(made.data, version=made["ETag"].strip('"') if "ETag" in made else None)

        admission: Admission | None = getattr(request._request, "admission", None)
        read = self.fast_reads[getattr(self, "action", None) or "get"]
        return answer(request._request, read, admission.page if admission is not None else NO_PAGE, make).response()

    return answered
