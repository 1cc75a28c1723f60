"""Helpers of the views of notes."""

import re
from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from notes.models import NoteLink
from notes.services import AccountFull, NoteTooLarge
from utils.page_cache.fast_reads import FastReadMixin, ReadSpec, opaque_etags

ID_PATTERN = "[0-9]{1,19}"
"""The digits of any possible id, few enough for a fast conversion; a longer number matches no path."""

IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description='The `ETag` that you received: the note\'s version, quoted: `"3"`. If the note has changed '
    "since, nothing is written and the response is a 412 with `current_version`.",
)
ETAG = OpenApiParameter(
    "ETag",
    str,
    OpenApiParameter.HEADER,
    response=[200, 201],
    description="The version tag of the response, for `If-Match`.",
)
LOCATION = OpenApiParameter(
    "Location", str, OpenApiParameter.HEADER, response=[201], description="Relative link to it."
)

OVER_BUDGET = (NoteTooLarge, AccountFull)
"""The errors of a write that makes a note larger."""

_VERSION = re.compile("[0-9]{1,10}")


class NotePages(FastReadMixin):
    """Mixin: the lists and details of notes, chapters and topics are fast reads."""

    read_specs = {
        "list": ReadSpec(ttl=settings.CACHE_TTL_LIST),
        "retrieve": ReadSpec(ttl=settings.CACHE_TTL_LIST),
    }


def paginated(view: viewsets.GenericViewSet) -> Response:
    """A page of the view's queryset."""
    page = view.paginate_queryset(view.get_queryset())
    return view.get_paginated_response(view.get_serializer(page, many=True).data)


def link_page(
    view: viewsets.GenericViewSet, rows: QuerySet[NoteLink, Any], serializer: type[serializers.Serializer]
) -> Response:
    """A page of a list of links."""
    return view.get_paginated_response(serializer(view.paginate_queryset(rows), many=True).data)


def expected_versions(request: Request) -> list[int] | None:
    """The versions in ``If-Match``; None if any is accepted. An ETag that is not a version matches none."""
    header = request.headers.get("If-Match")
    if header is None or "*" in (etags := opaque_etags(header)):
        return None
    return [int(etag) for etag in etags if _VERSION.fullmatch(etag)]


def versioned(data: dict[str, Any]) -> Response:
    """A response that shows a note: its ETag is the note's version."""
    return Response(data, headers={"ETag": f'"{data["version"]}"'})


def created(response: Response, *, path: str) -> Response:
    """Turn the response into a 201 for a resource created at ``path``."""
    response.status_code = status.HTTP_201_CREATED
    response["Location"] = path
    return response
