"""Fast reads, answered before REST framework begins: its dispatch would cost more than the answer."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.authentication import admit_request, read_bearer
from utils.exceptions import problem_exception_handler
from utils.pages import FastReads, answer, fast_read_of, found_page
from utils.throttling import limits_of


class FastReadMiddleware:
    """Answer a signed-in GET that its view names as a fast read, with every check that the view would make.

    What cannot be answered so goes on to the view, which finds the request's admission there and does not ask again.
    What goes wrong is answered here: the view would try the same, and wait for a database that is away once more.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(
        self, request: HttpRequest, view: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> HttpResponse | None:
        view_class = getattr(view, "cls", None)
        if view_class is None or not issubclass(view_class, FastReads):
            return None
        read = fast_read_of(view_class, getattr(view, "actions", {}).get("get"), request)
        if read is None:
            return None
        try:
            claims = read_bearer(request.META.get("HTTP_AUTHORIZATION", ""))
            if claims is None:
                return None
            admission = admit_request(claims, request, read, limits_of(read.scopes))
            request.admission = admission  # type: ignore[attr-defined]
            if admission.denied is not None:
                return None
            if read.renderer is None:
                return found_page(admission.page)
            renderer = read.renderer
            return answer(request, read, admission.page, lambda: renderer(request, claims.user_id, **kwargs))
        except Exception as error:  # noqa: BLE001  # logged and answered as everywhere
            return problem_exception_handler(error, {"request": request})
