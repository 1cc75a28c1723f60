"""Fast reads: GETs that are rendered to bytes, cached as pages, and handled before Django where possible."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from rest_framework.request import Request
from rest_framework.response import Response

from utils.http.errors import NotFound
from utils.http.json import MEDIA_TYPE
from utils.http.rendering import Rendered, render
from utils.page_cache.keys import page_name
from utils.page_cache.lookup import NO_PAGE, CachedPage, abandon_page, await_page, store_page
from utils.redis.scripts import ScriptCall

MAX_PAGE_BYTES = 256 * 1024
"""Longer responses are not cached, so that one user's pages do not evict those of others."""
_MAX_ETAGS = 10
_COMPRESSED = re.compile(r"(?:--?|;)(?:gzip|x-gzip|br|brotli|deflate|df|zstd)\Z")
_NOT_FOUND_ETAG = "nothing"
"""The ETag of a cached 404. It is valid like any other page, as only a write of the same user could change it."""


@dataclass(frozen=True, slots=True)
class ReadSpec:
    """The *read spec*: how one action of a view is cached, rendered and limited."""

    ttl: int | None = None
    """How many seconds the page is cached; None: not at all."""
    renderer: Callable[..., Rendered] | None = None
    """Renders the response before Django, from the request, the user's id and the path's arguments; it raises the same
    exceptions as the view. Without it only a cached page is served before Django."""
    scopes: Sequence[str] | None = None
    """The scopes of the limits that a request counts against; None: the default ones."""
    extra_script: Callable[[Any], ScriptCall] | None = None
    """A script for the admission's subject, run in the admission's round trip: see ``Admission.extra_reply``."""
    is_light: bool = False
    """Whether an event loop may render it. Its renderer then runs compiled queries that each take at most a few
    milliseconds; whatever else would block makes a thread render it, from the beginning."""


class FastReadMixin:
    """Mixin of views with fast reads. Their methods are decorated with :func:`cached_page`.

    Fast reads are handled before Django, with the default authentication, permissions and limits. A class that defines
    others, or overrides how REST framework handles a request, raises ``TypeError``, as its definitions would apply to
    only some of the requests. So does a subclass that inherits renderers, which know nothing of what it overrides: it
    must have ``read_specs`` of its own.
    """

    read_specs: Mapping[str, ReadSpec] = {}
    """By action, or by method (``"get"``) where there are no actions."""

    FIXED = frozenset(
        {
            "authentication_classes", "permission_classes", "throttle_classes", "throttle_scopes", "renderer_classes",
            "content_negotiation_class", "versioning_class", "get_authenticators", "get_permissions", "get_throttles",
            "get_renderers", "get_content_negotiator", "get_exception_handler", "get_authenticate_header",
            "check_permissions", "check_throttles", "check_object_permissions", "permission_denied", "throttled",
            "setup", "perform_authentication", "perform_content_negotiation", "determine_version", "initial",
            "initialize_request", "finalize_response", "handle_exception", "raise_uncaught_exception", "dispatch",
        }
    )  # fmt: skip

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.read_specs:
            return
        # Not all of Django: its LoginRequiredMixin is a check, too.
        own = [base for base in cls.__mro__ if not base.__module__.startswith(("rest_framework.", "django.views."))]
        overridden = {name for base in own for name in FastReadMixin.FIXED & vars(base).keys()}
        for action in cls.read_specs:
            options = getattr(getattr(cls, action, None), "kwargs", {})  # of @action
            overridden |= FastReadMixin.FIXED & options.keys()
        if overridden:
            names = ", ".join(sorted(overridden))
            raise TypeError(f"{cls.__name__} has fast reads, so it may not define {names}: see FastReadMixin.")
        if "read_specs" not in vars(cls) and any(spec.renderer for spec in cls.read_specs.values()):
            raise TypeError(f"{cls.__name__} has the renderers of another view: it needs read_specs of its own.")


def read_spec_of(view: Any, action: str | None) -> ReadSpec | None:
    """The read spec of a view, or of its class, for an action; for ``get`` if the view has no actions."""
    specs: Mapping[str, ReadSpec] = getattr(view, "read_specs", {})
    return specs.get(action or "get")


def admission_arguments(spec: ReadSpec, request: HttpRequest, subject: Any) -> dict[str, Any]:
    """What the admission looks up for a read in its round trip, as arguments of :func:`utils.admission.gate.admit`."""
    arguments: dict[str, Any] = {}
    if spec.extra_script is not None:
        arguments["extra_script"] = spec.extra_script(subject)
    if spec.ttl is not None:
        has_query = request.META.get("QUERY_STRING")
        arguments["page_name"] = page_name(request.path, dict(request.GET.lists()) if has_query else {})
        arguments["if_none_match"] = _known_etags(request)
    return arguments


def opaque_etags(header: str) -> list[str]:
    """The tags of an ``If-Match`` or ``If-None-Match`` header, as we gave them.

    Servers in front that compress an answer change its tag: nginx puts ``W/`` before it, Apache and others an ending
    in it (``"3-gzip"``, ``"3;gzip"``, ``"3--br"``).
    """
    tags = (tag.strip().removeprefix("W/").strip('"') for tag in header.split(","))
    return [_COMPRESSED.sub("", tag) for tag in tags if tag]


def _known_etags(request: HttpRequest) -> list[str]:
    """The first ETags of ``If-None-Match``, ``*`` for any."""
    header = request.META.get("HTTP_IF_NONE_MATCH")
    return opaque_etags(header)[:_MAX_ETAGS] if header else []


class ReadResponse(NamedTuple):
    """The response to a fast read, with the headers that depend on it. ``body`` is None for a 304."""

    status: HTTPStatus
    headers: dict[str, str]
    body: bytes | None

    @classmethod
    def of(cls, etag: str, body: bytes | None = None) -> "ReadResponse":
        """``no-cache``: a client may store the response, but must revalidate it before each use."""
        headers = {"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}
        if body is None:
            return cls(HTTPStatus.NOT_MODIFIED, headers, None)
        headers |= {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(body))}
        return cls(HTTPStatus.OK, headers, body)

    def as_django_response(self) -> HttpResponse:
        if self.body is None:
            return HttpResponseNotModified(headers=self.headers)
        return HttpResponse(self.body, headers=self.headers)


def respond(request: HttpRequest, spec: ReadSpec, page: CachedPage, make: Callable[[], Rendered]) -> ReadResponse:
    """Respond from the page cache, or render with ``make`` and store the page if it may be cached.

    Of concurrent requests that miss the same page, one renders it; the others wait for the stored page.
    """
    if found := _response_of(page):
        return found
    if page.outcome == "busy" and (awaited := await_page(page.key)):
        if awaited.etag == _NOT_FOUND_ETAG:
            raise NotFound
        return _conditional(request, awaited)
    try:
        rendered = make()
    except ObjectDoesNotExist:
        if page.outcome == "miss" and spec.ttl is not None:
            store_page(page.key, etag=_NOT_FOUND_ETAG, body=b"", ttl=spec.ttl)
        raise
    except Exception:
        if page.outcome == "miss":
            abandon_page(page.key)
        raise
    if page.outcome == "miss" and spec.ttl is not None:
        if len(rendered.body) <= MAX_PAGE_BYTES:
            store_page(page.key, etag=rendered.etag, body=rendered.body, ttl=spec.ttl)
        else:
            abandon_page(page.key)
    return _conditional(request, rendered)


def _response_of(page: CachedPage) -> ReadResponse | None:
    """The response if the page is in the cache, else None. Raises ``NotFound`` for a cached 404."""
    if page.outcome in ("same", "hit") and page.etag == _NOT_FOUND_ETAG:
        raise NotFound
    if page.outcome == "same":
        return ReadResponse.of(page.etag)
    return ReadResponse.of(page.etag, page.body) if page.outcome == "hit" else None


def _conditional(request: HttpRequest, rendered: Rendered) -> ReadResponse:
    """The response, without its body if the client has it."""
    etags = _known_etags(request)
    return ReadResponse.of(rendered.etag, None if rendered.etag in etags or "*" in etags else rendered.body)


def cached_page(method: Callable[..., Response | Rendered]) -> Callable[..., HttpResponse]:
    """Decorate the method of a fast read: it is called only if the page is not in the cache.

    If its response has an ``ETag``, that is the page's.
    """

    @wraps(method)
    def respond_from_cache(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        def make() -> Rendered:
            response = method(self, request, *args, **kwargs)
            if isinstance(response, Rendered):
                return response
            return render(response.data, version=response["ETag"].strip('"') if "ETag" in response else None)

        admission = getattr(request._request, "admission", None)
        page: CachedPage = NO_PAGE if admission is None else admission.page
        spec = self.read_specs[getattr(self, "action", None) or "get"]
        return respond(request._request, spec, page, make).as_django_response()

    return respond_from_cache
