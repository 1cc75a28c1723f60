"""Who may open an event stream: the base of the views that answer with one."""

import threading
from collections.abc import Callable, Iterator
from itertools import starmap
from typing import Any

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.authentication import SessionJWTAuthentication, claims_of
from accounts.models import Session
from accounts.tokens import AccessClaims, read_ticket
from utils.admission import Subject
from utils.ended_rows import EndedRows
from utils.sse import MEDIA_TYPE
from utils.sse_clients import StreamClient

OPENING_AT_ONCE = 16
ACCESS_CHECK_SECONDS = 30
"""How often rows are asked whether sessions still stand. No mark of Redis is needed for it, which may be missing."""

# When a process has been restarted all its clients come at once. Those that wait here need no connection yet.
_doors = threading.BoundedSemaphore(OPENING_AT_ONCE)


class TicketAuthentication(SessionJWTAuthentication):
    """A ticket in ``?ticket=``: a browser's ``EventSource`` sends no headers of one's own."""

    def read_claims(self, request: Request) -> AccessClaims | None:
        ticket = request.query_params.get("ticket")
        return read_ticket(ticket) if ticket else None


class StreamView(APIView):
    """Answers GET with an event stream of the signed-in user."""

    http_method_names = ["get", "options"]  # no HEAD, whose answer would never end
    authentication_classes = (SessionJWTAuthentication, TicketAuthentication)
    throttle_scopes = ("poll",)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        with _doors:
            return super().dispatch(request, *args, **kwargs)


def _live(subjects: list[Subject]) -> Iterator[Subject]:
    live = Session.objects.live().filter(pk__in=[subject.session_id for subject in subjects])
    return starmap(Subject, live.values_list("user_id", "pk", "user__token_version"))


ended_sessions = EndedRows(_live, seconds=ACCESS_CHECK_SECONDS)


def client_of(request: Request) -> StreamClient:
    """Take a place for the stream's reader, until what they showed expires or its session ends.

    Raises ``TooManyStreams``.
    """
    claims = claims_of(request)
    request._request.resolver_match = None  # every URL that was tried: 5 kB that a stream would keep
    subject = Subject(claims.user_id, claims.session_id, claims.token_version)
    return StreamClient(request._request, subject, expires_at=claims.expires_at, ended_sessions=ended_sessions)


def stream_schema(*, operation_id: str) -> Callable[[Any], Any]:
    """Describe a stream to clients: what it takes, and that it answers with events."""
    last_event_id = "Go on after this event. The header wins."
    return extend_schema(
        operation_id=operation_id,
        parameters=[
            OpenApiParameter("last_event_id", str, description=last_event_id),
            OpenApiParameter("Last-Event-ID", str, OpenApiParameter.HEADER, description=last_event_id),
        ],
        responses={
            (200, MEDIA_TYPE): OpenApiResponse(OpenApiTypes.STR, "Server-sent events."),
            204: OpenApiResponse(description="There will be no more events."),
        },
    )
