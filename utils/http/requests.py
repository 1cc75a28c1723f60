"""Helpers of views for reading requests."""

from functools import cache
from typing import Any

from django.http import QueryDict
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.request import Request


def user_id_of(request: Request) -> int:
    """The id of the signed-in user. For views that require authentication."""
    user_id = request.user.pk
    if user_id is None:
        raise TypeError("This view is public, so it has no signed-in user.")
    return user_id


def read_body(
    serializer_class: type[serializers.Serializer[Any]],
    request: Request,
    *,
    partial: bool = False,
    optional: bool = False,
    context: dict[str, Any] | None = None,
) -> Any:
    """Return the validated body. Raises ``ValidationError``, or ``ParseError`` if it is empty and not ``optional``."""
    data = request.data
    if not optional and request.META.get("CONTENT_LENGTH", "0") in ("", "0"):
        raise ParseError("The request body is empty.")
    if context is not None:
        return serializer_class(partial=partial, context=context).run_validation(data)
    return _shared(serializer_class, partial).run_validation(data)


def read_query(serializer_class: type[serializers.Serializer[Any]], query: QueryDict) -> dict[str, Any]:
    """Return the validated query parameters; if one is repeated, the last counts. Raises ``ValidationError``."""
    return _shared(serializer_class, partial=False).run_validation(query.dict())


@cache
def _shared(serializer_class: type[serializers.Serializer[Any]], partial: bool) -> serializers.Serializer[Any]:
    """A serializer shared by all requests, so its fields must not store data of a request.

    REST framework copies all fields for each new serializer, which takes longer than validating most bodies.
    """
    return serializer_class(partial=partial)
