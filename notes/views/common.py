"""What the views of notes have in common."""

import re
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.http import QueryDict
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from notes.services import NoteState
from utils.pages import FastRead, FastReads, opaque_tags

ID_PATTERN = "[0-9]{1,19}"
"""Digits that Python converts at once and that may be an id; anything longer matches no path."""

IF_MATCH = OpenApiParameter("If-Match", str, OpenApiParameter.HEADER, description="The note's version, quoted.")
IF_MATCH_IN_NOTE = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='The id and the version of the note that it is in, quoted: `"12-3"`.',
)
IDEMPOTENCY_KEY = OpenApiParameter("Idempotency-Key", str, OpenApiParameter.HEADER)

_VERSION = re.compile("[0-9]{1,10}")
_STATE = re.compile("([0-9]{1,19})-([0-9]{1,10})")


class NotePages(FastReads):
    """Lists and details of notes, and of what is in them, are pages."""

    fast_reads = {
        "list": FastRead(ttl=settings.CACHE_TTL_LIST),
        "retrieve": FastRead(ttl=settings.CACHE_TTL_LIST, has_query=False),
    }


def paginated(view: viewsets.GenericViewSet) -> Response:
    """A page of the view's queryset."""
    page = view.paginate_queryset(view.get_queryset())
    return view.get_paginated_response(view.get_serializer(page, many=True).data)


def expected_versions(request: Request) -> list[int] | None:
    """The versions that ``If-Match`` names; None if any will do. A tag that is no version matches none."""
    tags = _expected_tags(request)
    return None if tags is None else [int(tag) for tag in tags if _VERSION.fullmatch(tag)]


def expected_states(request: Request) -> list[NoteState] | None:
    """The states of a note that ``If-Match`` names, for a part of it; None if any will do."""
    tags = _expected_tags(request)
    if tags is None:
        return None
    return [NoteState(int(found[1]), int(found[2])) for tag in tags if (found := _STATE.fullmatch(tag))]


def _expected_tags(request: Request) -> Sequence[str] | None:
    header = request.headers.get("If-Match")
    if header is None:
        return None
    tags = opaque_tags(header)
    return None if "*" in tags else tags


def read_body(serializer_class: type[serializers.Serializer], request: Request, **options: Any) -> Any:
    """The body, checked. Raises ``ValidationError``."""
    body = serializer_class(data=request.data, **options)
    body.is_valid(raise_exception=True)
    return body.validated_data


def read_query(serializer_class: type[serializers.Serializer], query: QueryDict) -> dict[str, Any]:
    """The query's parameters, checked; of a repeated one the last. Raises ``ValidationError``."""
    checked = serializer_class(data=query.dict())
    checked.is_valid(raise_exception=True)
    return checked.validated_data


def versioned(data: dict[str, Any]) -> Response:
    """An answer whose ETag is the version of the note that it shows."""
    return Response(data, headers={"ETag": f'"{data["version"]}"'})


def versioned_in_note(data: dict[str, Any], note_id: int) -> Response:
    """An answer that shows a part of a note: its ETag names the note, too, as parts move between notes."""
    return Response(data, headers={"ETag": f'"{note_id}-{data["version"]}"'})


def created(response: Response, *, path: str) -> Response:
    """The same as the answer to a request that made something, which is found at ``path``."""
    response.status_code = status.HTTP_201_CREATED
    response["Location"] = path
    return response
