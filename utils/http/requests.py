"""Helpers of views to read a request."""

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


def read_body(serializer_class: type[serializers.Serializer[Any]], request: Request, **options: Any) -> Any:
    """Return the validated body. Raises ``ValidationError``, or ``ParseError`` if it is empty."""
    data = request.data
    if request.META.get("CONTENT_LENGTH", "0") in ("", "0"):
        raise ParseError("The request body is empty.")
    body = serializer_class(data=data, **options)
    body.is_valid(raise_exception=True)
    return body.validated_data


def read_query(serializer_class: type[serializers.Serializer[Any]], query: QueryDict) -> dict[str, Any]:
    """Return the validated query parameters; of a repeated one the last. Raises ``ValidationError``."""
    checked = serializer_class(data=query.dict())
    checked.is_valid(raise_exception=True)
    return checked.validated_data
