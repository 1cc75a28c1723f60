"""Query parameters: each view lists those that it reads; any other parameter is an error, and is not ignored."""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request

from utils.http.errors import FieldError, InvalidRequest, pointer_to
from utils.http.pagination import PAGE_PARAMETERS
from utils.http.serializers import UNKNOWN_FIELDS_SHOWN

Parameters = Mapping[str, Collection[str]]
"""A view's ``query_parameters``: the names that it reads, by action, or by method (``"get"``) without actions."""


def names_of(serializer_class: type[serializers.Serializer[Any]], *, paginated: bool = False) -> frozenset[str]:
    """The parameters that a serializer reads; with ``paginated``, those of pagination as well."""
    return frozenset([*serializer_class().fields, *(PAGE_PARAMETERS if paginated else ())])


def parameters_of(callback: Any, method: str) -> Collection[str] | None:
    """The parameters that a view of the API reads for a method; None if it does not allow the method."""
    view_class = callback.cls
    actions: Mapping[str, str] | None = getattr(callback, "actions", None)
    method = "get" if method == "HEAD" else method.lower()
    action = getattr(view_class, method, None) and method if actions is None else actions.get(method)
    if action is None or method == "options":
        return None
    declared: Parameters = getattr(view_class, "query_parameters", {})
    return declared.get(action, ())


def unknown_parameters(request: Request, view: Any) -> list[str]:
    """The first parameters that the view does not read; an empty list if it does not allow the method."""
    if not request.query_params or request.method is None or request.method == "OPTIONS":
        return []
    method = "get" if request.method == "HEAD" else request.method.lower()
    action = getattr(view, "action", None) if hasattr(view, "action_map") else method
    if action is None or not hasattr(view, action):
        return []  # the error for the method says more
    declared: Parameters = getattr(view, "query_parameters", {})
    known = set(declared.get(action, ()))
    return list(islice((name for name in request.query_params if name not in known), UNKNOWN_FIELDS_SHOWN))


def refuse_unknown_parameters(request: Request, view: Any) -> None:
    """Raise ``InvalidRequest`` if the query has a parameter that the view does not read. Call after authentication."""
    if unknown := unknown_parameters(request, view):
        errors: list[FieldError] = [
            {"pointer": pointer_to(name), "code": "unknown_parameter", "detail": "This parameter is not known here."}
            for name in unknown
        ]
        raise InvalidRequest("The query has unknown parameters.", errors=errors)
