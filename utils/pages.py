"""Views whose answers are cached as rendered pages."""

from collections.abc import Callable
from functools import wraps
from hashlib import blake2b
from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from rest_framework.request import Request
from rest_framework.response import Response

from utils.admission import NO_PAGE, Page
from utils.caching import abandon_page, await_page, store_page
from utils.json import MEDIA_TYPE, dumps
from utils.query_optimization import CacheOptimizer

ViewMethod = Callable[..., Response]


class CachedPages:
    """Mixin of viewsets: names the actions whose answers are pages, each with its TTL in seconds.

    The methods themselves are decorated with :func:`cached_page`.
    """

    cached_actions: dict[str, int] = {}


def page_name(path: str, query_string: str) -> str:
    """A name for a page, unique among the pages of one user, however the query's parameters are arranged."""
    if not query_string:
        return path
    return CacheOptimizer.get_cache_key("page", path, dict(QueryDict(query_string).lists()))


def requested_page(view: Any, action: str | None, request: HttpRequest | Request) -> dict[str, Any]:
    """What a request asks of the page cache, as arguments of :func:`utils.admission.admit`.

    ``view`` is a viewset or its class; what is no cached page asks nothing.
    """
    if request.method != "GET" or action not in getattr(view, "cached_actions", ()):
        return {}
    return {
        "page_name": page_name(request.path, request.META.get("QUERY_STRING", "")),
        "if_none_match": opaque_tags(request.META.get("HTTP_IF_NONE_MATCH", "")),
    }


def found_page(page: Page) -> HttpResponse | None:
    """The answer if the page cache has it."""
    if page.outcome == "same":
        return not_modified(page.etag)
    return page_response(page.body, page.etag) if page.outcome == "hit" else None


def opaque_tags(header: str) -> list[str]:
    """The tags of an ``If-Match`` or ``If-None-Match`` header without quotes and ``W/``, as gzip weakens tags."""
    return [tag.strip().removeprefix("W/").strip('"') for tag in header.split(",") if tag.strip()]


def body_tag(body: bytes) -> str:
    """A tag for an answer that has no version of its own."""
    return blake2b(body, digest_size=12).hexdigest()


def not_modified(etag: str) -> HttpResponse:
    return HttpResponse(status=304, headers={"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"})


def page_response(body: bytes, etag: str) -> HttpResponse:
    """A rendered answer that a client may keep but must ask about before it shows it again."""
    return HttpResponse(
        body, content_type=MEDIA_TYPE, headers={"ETag": f'"{etag}"', "Cache-Control": "private, no-cache"}
    )


def conditional(request: Request, body: bytes, etag: str) -> HttpResponse:
    """The rendered answer, or 304 if the client has it."""
    tags = opaque_tags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    return not_modified(etag) if etag in tags or "*" in tags else page_response(body, etag)


def cached_page(method: ViewMethod) -> Callable[..., HttpResponse]:
    """Answer from the page cache; else call the method, keep what it answers and answer that.

    Of requests that miss the same page at once, one calls the method and the others wait for what it stores.
    The method's ``ETag`` is kept where it sets one; else the answer is tagged by its bytes.
    """

    @wraps(method)
    def answer(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        admission = getattr(request._request, "admission", None)
        page = admission.page if admission is not None else NO_PAGE
        if found := found_page(page):
            return found
        if page.outcome == "busy" and (awaited := await_page(page.key)):
            etag, body = awaited
            return conditional(request, body, etag)
        try:
            response = method(self, request, *args, **kwargs)
        except Exception:
            if page.outcome == "miss":
                abandon_page(page.key)
            raise
        body = dumps(response.data)
        etag = response["ETag"].strip('"') if "ETag" in response else body_tag(body)
        if page.outcome == "miss":
            store_page(page.key, etag=etag, body=body, ttl=self.cached_actions[self.action])
        return conditional(request, body, etag)

    return answer
