"""Cached pages, answered before REST framework begins: its dispatch would cost more than the page."""

from collections.abc import Callable
from typing import Any

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout

from accounts.authentication import admit_request, read_bearer
from accounts.tokens import InvalidToken
from utils.pages import CachedPages, found_page, requested_page
from utils.throttling import DEFAULT_SCOPES, limits_of


class CachedPageMiddleware:
    """Answer a signed-in GET from the page cache, with every check that its view would make.

    What is no hit goes on to the view, which finds the request's admission there and does not ask again. Whatever is
    wrong with the request is the view's to say.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        view_class = getattr(view, "cls", None)
        if view_class is None or not issubclass(view_class, CachedPages):
            return None
        page = requested_page(view_class, view.actions.get("get"), request)
        if not page:
            return None
        try:
            claims = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
            if claims is None:
                return None
            limits = limits_of(getattr(view_class, "throttle_scopes", DEFAULT_SCOPES))
            admission = admit_request(claims, limits, page)
        except (InvalidToken, DatabaseError, PoolTimeout):
            return None
        request.admission = admission  # type: ignore[attr-defined]
        return found_page(admission.page)
